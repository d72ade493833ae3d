"""The processes of a row's variants: start them, ask them, stop them."""

import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from experiments.studies.speed.rows import Row, Variant


class FailedError(Exception):
    """A variant that did not answer, or answered with an error."""


class Worker:
    """A running variant. Requests have a time limit; a worker that misses it is killed.

    device: "" for the best one, "cpu" to hide every GPU.
    """

    def __init__(self, name: str, row: Row, variant: Variant, log: Path, device: str):
        self.name = name
        spec = {
            "row": dataclasses.asdict(row),
            "variant": dataclasses.asdict(variant),
        }
        environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        if device == "cpu":
            environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "experiments.studies.speed.worker",
                    json.dumps(spec),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                env=environment,
            )
        self._log = log
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def answer(self, limit_s: float) -> dict[str, Any]:
        """Return the next answer. Raises FailedError if there is none, or an error."""
        try:
            line = self._lines.get(timeout=max(limit_s, 0.1))
        except queue.Empty:
            self.stop()
            raise FailedError(f"no answer within {limit_s:.0f} s") from None
        if not line:
            last = self._log.read_text(errors="replace").strip().split("\n")[-1]
            raise FailedError(f"the process ended: {last[:300]}")
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def ask(self, limit_s: float, **request: Any) -> dict[str, Any]:
        """Send a request and return its answer. Raises FailedError as `answer` does."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass  # `answer` finds the end of the process
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
