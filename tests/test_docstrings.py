"""A public function that takes or returns arrays says their shapes, as in [B, H, W]."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARRAYS = ("jax.Array", "np.ndarray")
MODULES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("gen_jax", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def functions(body: list[ast.stmt], around: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Yield the public functions and methods, each with its class's docstring."""
    for node in body:
        name = getattr(node, "name", "_")
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(node, ast.ClassDef):
            yield from functions(node.body, ast.get_docstring(node) or "")
        elif isinstance(node, ast.FunctionDef):
            yield node, around


def takes_arrays(function: ast.FunctionDef) -> bool:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotations = [argument.annotation for argument in every] + [function.returns]
    texts = [ast.unparse(annotation) for annotation in annotations if annotation]
    return any(array in text for text in texts for array in ARRAYS)


@pytest.mark.parametrize("module", MODULES)
def test_shapes_are_said(module):
    tree = ast.parse((ROOT / module).read_text())
    silent = [
        f"{function.name}, line {function.lineno}"
        for function, around in functions(tree.body)
        if takes_arrays(function)
        and "[" not in around + (ast.get_docstring(function) or "")
    ]
    assert not silent
