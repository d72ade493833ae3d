"""launch.sh with a fake Python, which writes down what it is asked to do."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FAKE_PYTHON = """#!/bin/bash
case "$1 $2" in
-c*) [[ ${FAKE_EXIT-} ]] && exit $FAKE_EXIT; echo "3.12.0 $FAKE" ;;
"-m venv") mkdir -p "$3/bin"
    for name in python ruff mypy; do cp "$FAKE" "$3/bin/$name"; done ;;
*) echo "$PWD: $*" >>"$LOG"; [[ $2 != pip ]] || exit ${PIP_EXIT:-0} ;;
esac
"""


class Launcher:
    """A repository with a space in its path, a Python that pretends, and its log."""

    def __init__(self, folder: Path):
        self.repository = folder / "a repository"
        self.repository.mkdir()
        for name in ("launch.sh", "pyproject.toml"):
            shutil.copy(ROOT / name, self.repository)
        self.venv = self.repository / ".venv"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.fake("nvidia-smi", "#!/bin/bash\nexit 9\n")
        self.fake("uv", "#!/bin/bash\nexit 127\n")
        for version in ("3", "3.13", "3.12", "3.11"):
            self.fake(f"python{version}", "#!/bin/bash\nexit 127\n")  # an idle shim
        self.fake("python3.12", FAKE_PYTHON)
        self.log = folder / "log"
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "FAKE": str(self.bin / "python3.12"),
            "LOG": str(self.log),
        }

    def fake(self, name: str, script: str) -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def __call__(self, *arguments, code=0, cwd=None, **environment) -> list[str]:
        """What Python was asked to do, or, where launch.sh fails, what it says."""
        self.log.write_text("")
        done = subprocess.run(
            [self.repository / "launch.sh", *arguments],
            cwd=cwd or self.repository,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        if code:
            return done.stderr.splitlines()
        return self.log.read_text().splitlines()


@pytest.fixture
def launch(tmp_path):
    return Launcher(tmp_path)


@pytest.mark.parametrize("script", ["launch.sh", ".ci/run"])
def test_bash_can_read_it(script):
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    assert os.access(ROOT / script, os.X_OK)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_makes_no_environment(launch, flag):
    assert launch(flag) == []
    assert not launch.venv.exists()


def test_an_unknown_command_is_one_line(launch):
    (line,) = launch("tarin", "--experiment=vae", code=2)
    assert "'tarin'" in line
    assert (
        "train, sample, evaluate, figures, report, look, import_weights, "
        "benchmark, truth, test" in line
    )
    assert not launch.venv.exists()


@pytest.mark.parametrize("python", ["/nowhere/python", "true", "false"])
def test_an_invalid_python_is_refused(launch, python):
    (line,) = launch(PYTHON=python, code=2)
    assert f"PYTHON={python} is not a working Python 3.11 to 3.13" in line
    assert not launch.venv.exists()


@pytest.mark.parametrize(
    ("fake_exit", "says"), [("1", "no Python 3.11 to 3.13"), ("3", "python3-venv")]
)
def test_no_python_or_no_venv_module(launch, fake_exit, says):
    (line,) = launch(FAKE_EXIT=fake_exit, code=2)
    assert says in line
    assert not launch.venv.exists()


def test_alone_it_trains_the_default_experiment(launch):
    install, run = launch()
    assert f"--editable {launch.repository}[digits,interop]" in install
    default = "--experiment=ddpm --workdir=runs/ddpm"
    assert run == f"{launch.repository}: -P -m experiments.train {default}"


def test_commands_and_flags_where_the_user_stands(launch, tmp_path):
    launch()
    here = f"{tmp_path}: -P -m experiments"
    assert launch("--a=b c", cwd=tmp_path) == [f"{here}.train --a=b c"]
    assert launch("train", cwd=tmp_path) == [f"{here}.train"]
    assert launch("train", "--help", cwd=tmp_path) == [f"{here}.train --help"]
    assert launch("sample", "--num=4", cwd=tmp_path) == [f"{here}.sample --num=4"]


def test_it_installs_again_only_when_something_changed(launch):
    assert len(launch()) == 2
    assert len(launch()) == 1
    with (launch.repository / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert len(launch()) == 2
    assert "[test]" in launch("test")[0]
    assert len(launch()) == 1  # the test extra has the others in it, and stays
    launch.repository = launch.repository.rename(launch.repository.with_name("moved"))
    assert len(launch()) == 2


def test_an_environment_keeps_its_python(launch):
    launch()
    launch.fake("python3", FAKE_PYTHON.replace("3.12.0", "3.11.0"))
    assert len(launch()) == 1
    assert len(launch(PYTHON="python3", FAKE=str(launch.bin / "python3"))) == 2


def test_uv_installs_if_there_is_one_and_pip_if_uv_fails(launch):
    launch.fake("uv", '#!/bin/bash\necho "uv $*" >>"$LOG"; exit ${UV_EXIT:-0}\n')
    lines = launch("--a", UV_EXIT="0")
    install = f"uv pip install --quiet --python {launch.venv}/bin/python"
    assert lines[0] == "uv --version"
    assert lines[1].startswith(f"{install} --editable {launch.repository}[")
    assert len(lines) == 3
    launch.fake("uv", "#!/bin/bash\n[[ $1 == --version ]]\n")
    assert "-m pip install" in launch("test")[0]


def test_on_linux_it_installs_the_versions_that_were_tested(launch):
    launch.fake("uname", '#!/bin/bash\necho "${UNAME:-Linux x86_64}"\n')
    constraints = launch.repository / ".ci" / "constraints-3.12.txt"
    assert "--constraint" not in launch("test")[0]  # of this Python none are known
    constraints.parent.mkdir()
    constraints.write_text("jax==0.12.0\n")
    shutil.rmtree(launch.venv)
    assert f"--constraint {constraints} --editable" in launch("test")[0]
    shutil.rmtree(launch.venv)
    assert "--constraint" not in launch("test", UNAME="Darwin arm64")[0]


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_the_tested_versions_are_allowed_ones(version):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / ".ci" / f"constraints-{version}.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    extras = [
        r
        for name in ("test", "figures")
        for r in project["optional-dependencies"][name]
    ]
    for text in (*project["dependencies"], *extras):
        wanted = Requirement(text)
        if not wanted.name.startswith("gen_jax"):
            name = wanted.name.lower().replace("array-record", "array_record")
            assert wanted.specifier.contains(pinned[name]), text


def test_a_half_made_environment_is_made_anew(launch):
    lines = launch(PIP_EXIT="1", code=1)
    assert "run ./launch.sh again to retry" in lines[-1]
    (launch.venv / "debris").touch()
    assert len(launch()) == 2
    assert not (launch.venv / "debris").exists()


def test_a_failed_update_keeps_the_environment(launch):
    launch()
    (launch.venv / "kept").touch()
    launch("test", PIP_EXIT="1", code=1)
    assert len(launch()) == 1
    assert (launch.venv / "kept").exists()


def test_a_folder_that_is_not_ours_is_not_touched(launch, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    (line,) = launch(VENV=str(mine), code=2)
    assert "was not made by launch.sh" in line
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


def test_venv_chooses_the_folder_from_where_the_user_stands(launch, tmp_path):
    launch(VENV="other", cwd=tmp_path)
    assert (tmp_path / "other" / "bin" / "python").exists()
    assert not launch.venv.exists()


@pytest.mark.parametrize(
    ("driver", "extra"), [("580.65.06", "cuda13"), ("535.1\n535.1", "cuda12")]
)
def test_an_nvidia_gpu_gets_its_libraries_and_keeps_them(launch, driver, extra):
    launch.fake("nvidia-smi", f"#!/bin/bash\necho '{driver}'\n")
    assert launch()[0].endswith(f"[digits,interop] jax[{extra}]")
    launch.fake("nvidia-smi", "#!/bin/bash\nexit 9\n")  # a cluster's login node
    assert len(launch()) == 1


def test_test_checks_and_passes_flags_on(launch, tmp_path):
    _, *rest = launch("test", "-k", "a b", "--slow", "-x", cwd=tmp_path)
    here = f"{launch.repository}: "
    assert rest == [
        f"{here}check --quiet .",
        f"{here}format --quiet --check .",
        f"{here}--no-error-summary",
        f"{here}-m pytest -k a b -m not gpu -x",
    ]
    assert launch("test", "--quick")[-1].endswith("pytest --ignore=tests/experiments")
    assert launch("test", "--gpu")[-1].endswith("-m pytest -m gpu")
