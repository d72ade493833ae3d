"""The processes of a row's variants: start them, ask them, stop them.

A process sends its first answer when the networks are built. Then it answers requests:

    "first"          -> {"seconds": 12.3}, with compilation
    "plan", 2.0      -> {"steps": 340}, about 2 seconds of steps, after a warm-up
    "time", 340      -> {"seconds": 2.01}
    "end"            -> memory, and whether the parameters are finite
    "operations"     -> {"operations": 1.2e9}

A failure is answered with {"error": "..."}. Everything that it prints goes to its log.
"""

import contextlib
import math
import subprocess
import sys
import time
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from experiments.studies.speed.rows import Row, Variant

_LONGEST_TRIAL = 1.0  # seconds of steps from which their duration is estimated


class FailedError(Exception):
    """A variant that did not answer, or answered with an error."""


class Worker:
    """A running variant. Requests have a time limit; a worker that misses it is killed.

    It has the environment of this process.
    """

    def __init__(self, row: Row, variant: Variant, log: Path):
        self._pipe, theirs = Pipe()
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        # No multiprocessing.Process: with one that is killed, it would print a warning.
        with theirs, log.open("w") as printed:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
            )
        self._pipe.send((row, variant))
        self._log = log

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Return the next answer. Raises FailedError if there is none, or an error."""
        if not self._pipe.poll(max(limit_s, 0.1)):
            self.stop()
            raise FailedError(f"no answer within {limit_s:.0f} s")
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            last = self._log.read_text(errors="replace").strip().split("\n")[-1]
            raise FailedError(f"the process ended: {last[:300]}") from None
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def ask(self, limit_s: float, *request: Any) -> dict[str, Any]:
        """Send a request and return its answer. Raises FailedError as `answer` does."""
        with contextlib.suppress(OSError):  # `answer` finds the end of the process
            self._pipe.send(request)
        return self.answer(limit_s)

    def stop(self) -> None:
        """End the process; its memory is free for others afterwards."""
        self._process.kill()
        self._process.wait()


class Clock:
    """The time left of a limit in seconds."""

    def __init__(self, limit_s: float):
        self._end = time.monotonic() + limit_s

    def left(self, at_most: float = float("inf")) -> float:
        """Return the seconds left, at most `at_most`."""
        return min(at_most, self._end - time.monotonic())


def main() -> None:
    """Build the side that the pipe argv[1] names; answer requests until it ends."""
    pipe = Connection(int(sys.argv[1]))
    row, variant = pipe.recv()
    started = time.perf_counter()
    try:
        side = _build(row, variant)
        seconds = time.perf_counter() - started
        hello = {"parameters": side.parameters, **side.about()}
        pipe.send({**hello, "build_seconds": seconds})
    except Exception as error:
        pipe.send({"error": _line(error)})
        return
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(_answer(side, *request))
        except Exception as error:
            pipe.send({"error": _line(error)})


def _build(row: Row, variant: Variant) -> Any:
    if variant.side == "jax":
        from experiments.studies.speed import jax_side

        return jax_side.Side(row, variant)
    from experiments.studies.speed import torch_side

    return torch_side.Side(row, variant)


def _answer(side: Any, ask: str, argument: Any = None) -> dict:
    if ask == "first":
        return {"seconds": side.seconds(side.steps_per_call)}
    if ask == "plan":
        return {"steps": _plan(side, argument)}
    if ask == "time":
        return {"seconds": side.seconds(argument)}
    if ask == "operations":
        return {"operations": side.operations()}
    if ask == "end":
        return {"memory": side.memory(), "finite": side.finite()}
    raise ValueError(f"unknown request {ask!r}")


def _plan(side: Any, seconds: float) -> int:
    """Return a number of steps that take about `seconds`, after a warm-up."""
    unit = side.steps_per_call
    side.seconds(2 * unit)
    calls, enough = 1, min(_LONGEST_TRIAL, seconds / 2)
    while True:
        taken = side.seconds(calls * unit)
        if taken >= enough:
            return unit * max(1, round(seconds * calls / taken))
        calls = min(10 * calls, math.ceil(1.2 * enough * calls / max(taken, 1e-6)))


def _line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".split("\n")
    return " | ".join(text)[:400]


if __name__ == "__main__":
    main()
