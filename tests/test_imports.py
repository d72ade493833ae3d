"""The rules of the code: imports between folders, lengths, and words."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gen_jax

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "gen_jax").rglob("*.py"))
EVERYTHING = [*LIBRARY, *sorted((ROOT / "experiments").rglob("*.py"))]
EVERYTHING += sorted((ROOT / "tests").rglob("*.py"))
CORE = {
    "arguments",
    "config",
    "contracts",
    "devices",
    "errors",
    "game",
    "loop",
    "memory",
    "ops",
}
CORE |= {"optimizers", "randomness", "step", "files"}  # what `import gen_jax` may load
LATE = ["orbax", "grain", "tensorflow", "tensorflow_datasets", "sklearn", "PIL"]
LATE += ["tensorboardX", "tqdm", "array_record", "experiments"]
LATE += ["gen_jax.metrics", "gen_jax.interop", "safetensors"]
LATE += ["gen_jax.report", "jinja2", "matplotlib"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, at the top or inside a function.

    `from a import b` counts as a and as a.b, since b may be a module.
    """
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: a relative import"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
            modules.add(node.module)
    return modules


def breaks(path: Path, *packages: str) -> list[str]:
    """The imports of a file that lie in one of the packages."""
    return [m for m in imported(path) for p in packages if f"{m}.".startswith(f"{p}.")]


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_the_library_knows_no_flags_experiments_or_tensorflow(path):
    assert breaks(path, "experiments", "absl", "tensorflow") == []


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_models_and_objectives_do_not_know_each_other(path):
    room = path.relative_to(ROOT / "gen_jax").parts[0]
    others = {"models": "gen_jax.objectives", "objectives": "gen_jax.models"}
    assert breaks(path, others.get(room, "nothing")) == []


@pytest.mark.parametrize(
    "path", [p for p in LIBRARY if p.parent.name == "models"], ids=name
)
def test_models_know_only_models_errors_and_devices(path):
    known = {"gen_jax.models", "gen_jax.errors", "gen_jax.devices"}
    mine = [m for m in imported(path) if m.startswith("gen_jax.")]
    assert all(".".join(m.split(".")[:2]) in known for m in mine), mine


def test_configurations_know_no_data_and_no_experiments():
    path = ROOT / "gen_jax" / "config.py"
    assert breaks(path, "gen_jax.data", "gen_jax.experiment") == []


def test_import_gen_jax_is_light():
    """It loads the core; heavy and optional libraries wait until they are used."""
    loaded = modules_after("import gen_jax")
    late = {m for m in loaded for name in LATE if f"{m}.".startswith(f"{name}.")}
    assert late == set()
    mine = {m.removeprefix("gen_jax.") for m in loaded if m.startswith("gen_jax.")}
    assert mine - CORE == set()


def test_the_late_names_are_there():
    """`load` and its like are public names that import their module when asked for."""
    loaded = modules_after(
        "import gen_jax; assert {'Run', 'load', 'load_params'} <= set(dir(gen_jax)); "
        "from gen_jax import Run, load, load_params; "
        "assert [*Run._fields] == ['name', 'info', 'game', 'config', 'state', 'step', "
        "'folder', 'summary']"
    )
    assert "gen_jax.runs.run" in loaded
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        gen_jax.lode  # noqa: B018


def modules_after(statements: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after statements."""
    command = f"{statements}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_checkpoints_know_neither_recipes_nor_data():
    path = ROOT / "gen_jax" / "runs" / "checkpoint.py"
    assert breaks(path, "gen_jax.experiment", "gen_jax.data", "gen_jax.config") == []


@pytest.mark.parametrize("path", EVERYTHING, ids=name)
def test_nothing_is_long(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_public_functions_and_classes_have_docstrings(path):
    tree = ast.parse(path.read_text())
    silent = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    public = {"": public_definitions(tree)}
    for node in public[""]:
        if isinstance(node, ast.ClassDef):
            public[f"{node.name}."] = public_definitions(node)
    for scope, nodes in public.items():
        silent += [scope + node.name for node in nodes if not ast.get_docstring(node)]
    assert silent == []


def public_definitions(scope: ast.Module | ast.ClassDef) -> list[ast.stmt]:
    """Functions and classes without an underscore; linen's `setup` is no user's."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    nodes = [node for node in scope.body if isinstance(node, kinds)]
    return [n for n in nodes if not n.name.startswith("_") and n.name != "setup"]
