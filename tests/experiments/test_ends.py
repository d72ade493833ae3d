"""How commands end: interrupted, with a closed output, or after another process."""

import contextlib
import gc
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from command_line import command, environment, shrunk, succeed
from records import logged
from test_bad_input import fails
from test_runs import free_port, start_process

from experiments import flags as parsing
from gen_jax import files
from gen_jax.runs import checkpoint

SLOW = pytest.mark.slow
QUIET = {"log_every_steps": 5, "sample_every_steps": 0}


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize(
    ("name", "library"),
    [("train", "jaxlib"), pytest.param("sample", "numpy", marks=SLOW)],
)
def test_an_interrupt_while_modules_load_says_nothing(name, library, tmp_path):
    # A shell's background jobs ignore interrupts, and so do their children.
    heeding = ["env", "--default-signal=INT"]
    process = subprocess.Popen(
        [*heeding, *command(name, "--experiment=vae", "--workdir=run")],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    maps = Path(f"/proc/{process.pid}/maps")
    try:
        while library not in maps.read_text() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "")
    assert not list(tmp_path.iterdir())


class Collected:
    """A cycle whose end comes while Python collects garbage, which prints errors."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        signal.raise_signal(signal.SIGINT)


class Converting:
    """An attribute whose naming fails: Python makes a RuntimeError of any exception."""

    def __set_name__(self, owner, name):
        signal.raise_signal(signal.SIGINT)


def collect():
    Collected()
    gc.collect()


def convert():
    type("Owner", (), {"field": Converting()})


def swallow():
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)


def compute():
    def on_host(x):
        signal.raise_signal(signal.SIGINT)
        return x

    like = jax.ShapeDtypeStruct((), np.float32)
    jax.pure_callback(on_host, like, np.float32(1)).block_until_ready()


@pytest.mark.parametrize("foreign", [collect, convert, swallow, compute])
def test_an_interrupt_inside_foreign_code_ends_the_command_at_once(
    foreign, tmp_path, monkeypatch, capsys
):
    left, out = [], tmp_path / "x.npy"
    monkeypatch.setattr("os._exit", left.append)
    before = signal.getsignal(signal.SIGINT)

    def main(overrides):
        with files.written_whole(out) as unfinished:
            unfinished.write_text("half")
            foreign()
            deadline = time.monotonic() + 5  # the handler may run a little later
            while not left and time.monotonic() < deadline:
                time.sleep(0.001)
            assert (left, [*tmp_path.iterdir()]) == ([130], [])
            unfinished.write_text("whole")

    monkeypatch.setattr("sys.argv", ["command"])
    try:
        with pytest.raises(SystemExit) as ended:
            parsing.run(main)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code is None
    assert capsys.readouterr().err == ""


UNHEARD = [
    '"$@" 2>&1 | head -1; exit ${PIPESTATUS[0]}',  # its reader has gone
]
# All streams are closed, one is, or its disk is full.
MORE = [
    '"$@" <&- >&- 2>&-',
    '"$@" 2>&-',
    '"$@" 2>/dev/full',
    'nohup "$@" 2>/dev/full >&2',
]


@pytest.mark.skipif(sys.platform != "linux", reason="it needs /dev/full")
@pytest.mark.parametrize("lines", [UNHEARD, pytest.param(MORE, marks=SLOW)])
def test_a_training_with_a_closed_output_finishes(lines, tmp_path):
    for number, line in enumerate(lines, 1):
        steps = 10 * number
        flags = [*shrunk("vae", steps, **QUIET), "--workdir=run"]
        done = subprocess.run(
            ["bash", "-c", line, "-", *command("train", *flags)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (line, done.stderr)
        assert checkpoint.steps(tmp_path / "run" / "checkpoints")[0] == steps
        assert (tmp_path / "run" / "report.html").exists()
    assert [r["step"] for r in logged(tmp_path / "run")] == [1, *range(5, steps + 1, 5)]


def both(tmp_path, steps, **fields):
    """Two processes that have taken their first steps together."""
    flags, port = shrunk("vae", steps, **{"data.spec": "ring", **fields}), free_port()
    two = [start_process(number, port, tmp_path, flags) for number in range(2)]
    log, deadline = tmp_path / "metrics.jsonl", time.monotonic() + 120
    while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
        assert [process.poll() for process in two] == [None, None]
        time.sleep(0.05)
    return two


@pytest.mark.parametrize("number", [pytest.param(0, marks=SLOW), 1])
def test_a_signal_to_one_process_stops_all_alike(number, tmp_path):
    two = both(tmp_path, 10**6, log_every_steps=10**6, sample_every_steps=0)
    two[number].send_signal(signal.SIGTERM)
    told = time.monotonic()
    said = [process.communicate(timeout=60)[1] for process in two]
    assert time.monotonic() - told < 10  # two seconds, and time to save and to leave
    assert [process.returncode for process in two] == [143, 143], said
    [step] = checkpoint.steps(tmp_path / "checkpoints")
    assert f"interrupted and saved at step {step}" in said[0]
    assert not (tmp_path / "report.html").exists()
    assert not any("Traceback" in each for each in said)


@pytest.mark.parametrize("number", [pytest.param(0, marks=SLOW), 1])
def test_a_killed_process_ends_the_other_in_time_and_in_a_line(number, tmp_path):
    two = both(tmp_path, 10**6, **QUIET)
    two[number].kill()
    killed = time.monotonic()
    said = [process.communicate(timeout=60)[1] for process in two]
    assert time.monotonic() - killed < 30
    assert two[1 - number].returncode == 4
    last = said[1 - number].splitlines()[-1]
    assert last.startswith("error: another process of this training has ended; start")
    known = ("step ", "data: ")
    others = [x for x in said[1 - number].splitlines() if not x.startswith(known)]
    assert others == [last]


def images_in(folder):
    """A folder of a few images of two classes."""
    import numpy as np

    from gen_jax.images import save_png

    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(9):
            picture = rng.integers(0, 256, (8, 8, 1), np.uint8)
            save_png(folder / name / f"{number}.png", picture)
    return folder


def test_moved_data_go_on_and_other_data_do_not(tmp_path):
    first = images_in(tmp_path / "first")
    flags = [*shrunk("vae", 2, **{"data.spec": "folder:first"}), "--workdir=run"]
    succeed("train", *flags, cwd=tmp_path)
    moved = first.rename(tmp_path / "moved")
    again = ["--workdir=run", "--steps=4"]
    fails("train", *again, says="first: there is no such folder", cwd=tmp_path)
    succeed("train", *again, f"--data=folder:{moved}", cwd=tmp_path)
    succeed("train", "--workdir=run", "--steps=5", cwd=tmp_path)  # it knows the place
    assert [r["step"] for r in logged(tmp_path / "run")] == [1, 2, 3, 4, 5]
    other = tmp_path / "other"
    shutil.copytree(moved, other)
    shutil.copy(other / "cat" / "0.png", other / "dog" / "0.png")
    says = "differs from the data that the run was trained on"
    flags = ["--workdir=run", "--steps=7", "--data=folder:other"]
    fails("train", *flags, says=says, cwd=tmp_path)
    flags = ["--workdir=run", "--steps=7", "--data=digits"]
    fails("train", *flags, says=says, cwd=tmp_path)
    flags = [*again, f"--data=folder:{moved}", "--config.data.image_size=4"]
    fails(
        "train", *flags, says="data.image_size=4 disagrees with the run", cwd=tmp_path
    )


@SLOW
def test_a_home_is_a_home_in_every_flag(tmp_path):
    home = {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    flags = [*shrunk("vae", 1), "--workdir=~/run"]
    succeed("train", *flags, cwd=tmp_path, env=home)
    assert [each.name for each in tmp_path.iterdir()] == ["home"]
    assert (tmp_path / "home" / "run" / "report.html").exists()


def test_homes_are_expanded_wherever_they_stand(monkeypatch):
    from absl import flags

    monkeypatch.setenv("HOME", "/h")
    values = flags.FlagValues()
    flags.DEFINE_string("a", None, "", flag_values=values)
    flags.DEFINE_list("b", [], "", flag_values=values)
    flags.DEFINE_multi_string("c", [], "", flag_values=values)
    flags.DEFINE_integer("d", 3, "", flag_values=values)
    values(["x", "--a=~/run", "--b=x,~/y", "--c=~", "--c=a~b"])
    monkeypatch.setattr(flags, "FLAGS", values)
    parsing._expand_homes()
    assert (values.a, values.b, values.c, values.d) == (
        *("/h/run", ["x", "/h/y"], ["/h", "a~b"]),
        3,
    )
    assert values["a"].present
    values.a = "~nobody-of-this-name/x"
    with pytest.raises(flags.Error, match="there is no such user"):
        parsing._expand_homes()


@SLOW
def test_a_home_that_takes_no_files_says_nothing(tmp_path):
    env = {**environment(), "HOME": "/proc/nobody", "XDG_CACHE_HOME": ""}
    del env["JAX_COMPILATION_CACHE_DIR"]
    done = subprocess.run(
        command("train", *shrunk("vae", 1), "--workdir=run"),
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    starts = ("step ", "samples: ", "done: ", "report: ", "data: ")
    assert not [x for x in done.stderr.splitlines() if not x.startswith(starts)]
