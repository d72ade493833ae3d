"""A public function that takes or returns arrays says their shapes, as in [B, H, W].

So do the methods of the objectives' private classes, which become a game's ops.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARRAYS = re.compile(r"\b(jax\.Array|np\.ndarray|Tree|Batch)\b")
# Arguments that are arrays or hold them; the ops' arguments have no annotations.
ARGUMENTS = {"players", "player", "mine", "batch", "context", "keys", "x", "x_0", "x_t"}
MODULES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("gen_jax", "experiments")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def functions(
    body: list[ast.stmt], private_classes: bool, around: str = ""
) -> Iterator[tuple[ast.AST, str]]:
    """Yield the public functions and methods, each with its class's docstring."""
    for node in body:
        name = getattr(node, "name", "_")
        public = name == "__call__" or not name.startswith("_")
        if isinstance(node, ast.ClassDef) and (public or private_classes):
            docstring = ast.get_docstring(node) or ""
            yield from functions(node.body, private_classes, docstring)
        elif isinstance(node, ast.FunctionDef) and public:
            yield node, around


def takes_arrays(function: ast.FunctionDef) -> bool:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    if any(each.arg in ARGUMENTS and not each.annotation for each in every):
        return True
    annotations = [argument.annotation for argument in every] + [function.returns]
    return any(ARRAYS.search(ast.unparse(each)) for each in annotations if each)


@pytest.mark.parametrize("module", MODULES)
def test_shapes_are_said(module):
    tree = ast.parse((ROOT / module).read_text())
    silent = [
        f"{function.name}, line {function.lineno}"
        for function, around in functions(
            tree.body, private_classes=module.startswith("gen_jax/objectives/")
        )
        if takes_arrays(function)
        and "[" not in around + (ast.get_docstring(function) or "")
    ]
    assert not silent
