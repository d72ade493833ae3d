"""Runs in processes of their own: stopped in every way, they end as if they had not."""

import shutil
import signal
import socket
import subprocess
import time

import jax
import numpy as np
import pytest
from command_line import SHRUNK, command, environment, shrunk, succeed
from records import logged

from gen_jax import load

LONG = 40  # steps: a few for each of three stops, and time to notice them
QUIET = {"log_every_steps": 5, "sample_every_steps": 0}


def leaves(workdir):
    """Every array of the run's last state by its path: parameters to optimizer."""
    found, _ = jax.tree.flatten_with_path(load(workdir).state)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in found}


def check_same_run(found, expected):
    """States, metrics and last pictures agree bit for bit."""
    mine, others = leaves(found), leaves(expected)
    assert mine.keys() == others.keys()
    assert not [key for key in mine if mine[key].tobytes() != others[key].tobytes()]
    assert logged(found) == logged(expected)
    last = max((expected / "samples").iterdir(), key=lambda path: int(path.stem))
    assert (found / "samples" / last.name).read_bytes() == last.read_bytes()


ORDINARY = ("vae",)  # `test_resume.py` tries every other


@pytest.mark.parametrize(
    "name",
    [n if n in ORDINARY else pytest.param(n, marks=pytest.mark.slow) for n in SHRUNK],
)
def test_ten_steps_are_five_a_restart_and_five(name, tmp_path):
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    succeed("train", *shrunk(name, 10, keep_every_steps=5), f"--workdir={straight}")
    shutil.copytree(straight, halves)
    shutil.rmtree(halves / "checkpoints" / "10")  # as if it had died before
    shutil.rmtree(halves / "samples")
    done = succeed("train", f"--workdir={halves}")  # the folder knows the rest
    assert "resuming from step 5" in done.stderr
    check_same_run(halves, straight)
    kinds = {".players", ".step", ".opt", ".params", ".updates"}
    kinds |= {".ema"} if name != "pix2pix" else set()
    kinds |= {".mutable"} if name in ("dcgan", "cgan", "ae") else set()
    found = "".join(leaves(halves))
    assert all(kind in found for kind in kinds)


def stopped(arguments, workdir, number):
    """Starts a command, and stops it with a signal after one more checkpoint."""

    def newest():
        folder = workdir / "checkpoints"
        entries = folder.iterdir() if folder.is_dir() else ()
        return max((int(e.name) for e in entries if e.name.isdigit()), default=0)

    before = newest()
    process = subprocess.Popen(
        arguments, env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 240
    while newest() == before and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read()  # else it was too quick for us
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize(
    "name",
    ["vae", *(pytest.param(n, marks=pytest.mark.slow) for n in ("dcgan", "ddpm"))],
)
def test_killed_terminated_and_interrupted_it_ends_as_if_nothing_had_happened(
    name, tmp_path
):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    succeed("train", *shrunk(name, LONG, **QUIET), f"--workdir={straight}")
    flags = shrunk(name, LONG, **QUIET, checkpoint_every_seconds=0)  # at every step
    again = command("train", *flags, f"--workdir={broken}")
    code, _ = stopped(again, broken, signal.SIGKILL)
    assert code == -signal.SIGKILL
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        code, errors = stopped(again, broken, number)
        assert code == expected
        assert "resuming from step" in errors
        step = int(errors.rpartition("interrupted and saved at step ")[2])
        assert 0 < step < LONG
        assert (broken / "checkpoints" / str(step)).is_dir()
        assert "Traceback" not in errors
    done = succeed("train", *flags, f"--workdir={broken}")
    assert f"resuming from step {step}" in done.stderr
    check_same_run(broken, straight)


@pytest.mark.slow
def test_several_seeds_are_killed_and_end_as_if_nothing_had_happened(tmp_path):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    flags = shrunk("vae", LONG, **QUIET)
    succeed("train", *flags, "--seeds=3", f"--workdir={straight}")
    often = "--config.checkpoint_every_seconds=0"  # at every step
    again = command("train", *flags, "--seeds=3", often, f"--workdir={broken}")
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
        _, errors = stopped(again, broken / "seed_0", number)
    step = int(errors.rpartition("interrupted and saved at step ")[2])
    rarely = "--config.checkpoint_every_seconds=60"
    done = succeed("train", rarely, f"--workdir={broken}")  # it knows its seeds
    assert f"resuming from step {step}" in done.stderr
    for seed in range(3):
        check_same_run(broken / f"seed_{seed}", straight / f"seed_{seed}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def start_process(number, port, workdir, flags):
    """One of two processes that train together."""
    variables = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": str(number),
    }
    return subprocess.Popen(
        command("train", *flags, f"--workdir={workdir}", "--distributed"),
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_are_one_run(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    flags, port = shrunk("vae", 6, **{"data.spec": "ring"}), free_port()
    both = [start_process(number, port, two, flags) for number in range(2)]
    said = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "done: step 6" in said[0]
    assert "done" not in said[1]  # one speaks for both
    succeed("train", *flags, f"--workdir={one}")
    for mine, others in zip(logged(two), logged(one), strict=True):
        assert mine.keys() == others.keys()
        np.testing.assert_allclose([*mine.values()], [*others.values()], rtol=1e-5)
    done = succeed("train", f"--workdir={two}", "--steps=8")  # alone, where two began
    assert "resuming from step 6" in done.stderr
