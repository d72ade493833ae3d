"""Lines that cannot be written stop nothing, and lose nothing but themselves."""

import io
import itertools
import os
import signal

import numpy as np
import pytest
from games import noisy_game
from records import logged

from gen_jax import FitConfig, console, fit
from gen_jax.errors import UserError
from gen_jax.runs import checkpoint


class Unwritable(io.StringIO):
    """A stream whose reader, disk or terminal has gone after some writes."""

    def __init__(self, error, writes=0, terminal=False):
        super().__init__()
        self.error, self.writes, self.terminal = error, writes, terminal

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.writes -= 1
        if self.writes < 0:
            raise self.error
        return len(text)

    def flush(self):
        if self.writes < 0:
            raise self.error


def batches(start):
    for step in itertools.count(start):
        yield {"x": np.random.default_rng(step).normal(size=8).astype(np.float32)}


ENDS = [
    BrokenPipeError(32, "Broken pipe"),
    OSError(28, "No space left on device"),
    OSError(5, "Input/output error"),
    BlockingIOError(11, "Resource temporarily unavailable"),
    ValueError("I/O operation on closed file"),
]


def streams():
    for error in ENDS:
        yield Unwritable(error)
    yield Unwritable(ENDS[0], writes=3)
    yield Unwritable(ENDS[2], terminal=True)
    yield Unwritable(ENDS[1], writes=9, terminal=True)
    yield None


@pytest.mark.parametrize("stream", [*streams()])
def test_a_training_goes_on_without_its_lines(stream, tmp_path, monkeypatch, capsys):
    config = FitConfig(steps=6, log_every_steps=2, sample_every_steps=3)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        fit(noisy_game(), batches, config, workdir=tmp_path)
    assert capsys.readouterr().out == ""  # not there instead
    assert checkpoint.steps(tmp_path / "checkpoints") == [6]
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 4, 6]
    assert (tmp_path / "samples" / "6.png").exists()


def test_a_line_is_printed_or_lost(monkeypatch, capsys):
    console.tell("a line")
    assert capsys.readouterr().err == "a line\n"
    monkeypatch.setattr("sys.stderr", Unwritable(ENDS[0]))
    console.tell("a line")
    assert not console.is_terminal()
    monkeypatch.setattr("sys.stderr", None)
    assert not console.is_terminal()


def leaving(at, act):
    """Batches whose reader acts at one step."""

    def from_(start):
        for step, batch in enumerate(batches(start), start):
            if step == at:
                act()
            yield batch

    return from_


def raising(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a reader's"),
        UserError("a broken image"),
        MemoryError("too much"),
        KeyboardInterrupt(),
        SystemExit(7),
        StopIteration(),
    ],
)
def test_whatever_leaves_the_loop_saves_first(error, tmp_path):
    config = FitConfig(steps=9, log_every_steps=2, sample_every_steps=0)
    with pytest.raises(
        RuntimeError if isinstance(error, StopIteration) else type(error)
    ):
        fit(noisy_game(), leaving(5, raising(error)), config, workdir=tmp_path)
    assert checkpoint.steps(tmp_path / "checkpoints") == [5]


def test_after_an_error_a_run_ends_as_if_there_had_been_none(tmp_path):
    config = FitConfig(steps=9, log_every_steps=2, sample_every_steps=0)
    one, two = tmp_path / "one", tmp_path / "two"
    with pytest.raises(KeyError):
        fit(noisy_game(), leaving(5, raising(KeyError())), config, workdir=one)
    for folder in (one, two):
        fit(noisy_game(), batches, config, workdir=folder)
    assert logged(one) == logged(two)


@pytest.mark.parametrize(
    "target",
    [
        "gen_jax.runs.metrics_log.MetricsLog.write",
        "gen_jax.runs.metrics_log.MetricsLog.flush",
        "gen_jax.runs.sample_grids.Pictures.start",
    ],
)
def test_a_record_that_cannot_be_written_costs_no_steps(target, tmp_path, monkeypatch):
    config = FitConfig(steps=9, log_every_steps=2, sample_every_steps=4)

    def full(*_):
        raise OSError(28, "No space left on device")

    act = lambda: monkeypatch.setattr(target, full)  # noqa: E731
    with pytest.raises(OSError, match="No space"):
        fit(noisy_game(), leaving(3, act), config, workdir=tmp_path)
    assert checkpoint.steps(tmp_path / "checkpoints")[0] >= 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_each_signal_that_ends_a_run_saves_and_has_its_code(number, tmp_path):
    told = leaving(4, lambda: signal.raise_signal(number))
    config = FitConfig(steps=9, sample_every_steps=0)
    kind = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    usual = signal.default_int_handler if kind is KeyboardInterrupt else signal.SIG_DFL
    before = signal.signal(number, usual)  # these tests may run under nohup
    try:
        with pytest.raises(kind) as ended:
            fit(noisy_game(), told, config, workdir=tmp_path)
    finally:
        signal.signal(number, before)
    if kind is SystemExit:
        assert ended.value.code == 128 + number
    assert checkpoint.steps(tmp_path / "checkpoints") == [5]


def test_a_lost_terminal_does_not_end_a_run_under_nohup(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        told = leaving(4, lambda: os.kill(os.getpid(), signal.SIGHUP))
        config = FitConfig(steps=9, sample_every_steps=0)
        fit(noisy_game(), told, config, workdir=tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert checkpoint.steps(tmp_path / "checkpoints") == [9]


def test_done_is_said_when_it_is_on_disk(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gen_jax.runs.writer.write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        fit(noisy_game(), batches, FitConfig(steps=2), workdir=tmp_path)
    assert "done" not in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "every"), [(20, 50), (1, 50), (7, 3), (4, 1)])
@pytest.mark.parametrize("per_call", [1, 3])
def test_the_first_and_the_last_step_are_logged_and_shown(
    steps, every, per_call, tmp_path, capsys
):
    config = FitConfig(
        steps=steps,
        log_every_steps=every,
        steps_per_call=per_call,
        sample_every_steps=0,
    )
    fit(noisy_game(), batches, config, workdir=tmp_path)
    due = {1, steps, *range(every, steps + 1, every)}
    assert [line["step"] for line in logged(tmp_path)] == sorted(due)
    shown = [x for x in capsys.readouterr().err.splitlines() if x.startswith("step ")]
    last = logged(tmp_path)[-1]["model/loss"]
    assert f"step {steps}/{steps}  loss {last:.4g}" in shown[-1]
    assert "loss" in shown[0]


def test_a_run_made_longer_logs_as_if_it_had_been_from_the_start(tmp_path):
    options = {"log_every_steps": 4, "sample_every_steps": 0}
    for steps in (3, 6, 10):
        config = FitConfig(steps=steps, **options)
        fit(noisy_game(), batches, config, workdir=tmp_path / "two")
    fit(noisy_game(), batches, config, workdir=tmp_path / "one")
    assert logged(tmp_path / "two") == logged(tmp_path / "one")
