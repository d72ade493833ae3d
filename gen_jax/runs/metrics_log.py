"""The metrics of a run: metrics.jsonl, TensorBoard events and a progress bar.

Events are written through tensorboardX's synchronous writer. Its usual SummaryWriter
writes in a thread. On a full disk that thread dies silently, and later writes block
forever.
"""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gen_jax import console, typed_json
from gen_jax.files import written_whole
from gen_jax.images import encode_png


class MetricsLog:
    """The logged metrics of one run, in its folder, written by its first process.

    metrics.jsonl has one JSON object per logged step: step, images, every metric and
    seconds. A value that is not finite is null, since JSON has no NaN.

    Opening drops the lines after `resume_step`, and a last line torn by a kill. With
    `every` it also drops the line of `resume_step` if that step was logged only because
    it was the last. So a resumed run's file looks as if the run had never stopped.
    TensorBoard drops the steps after `resume_step`.

    Every method raises OSError if the disk is full or the folder is gone.
    """

    def __init__(self, folder: str | os.PathLike, resume_step: int = 0, every: int = 1):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        kept = _drop_lines_after(path, resume_step, every)
        self._seconds_before = json.loads(kept[-1]).get("seconds") or 0 if kept else 0
        self._lines = path.open("a", encoding="utf-8")
        # The writer names its file by the second; two in one second would share it.
        self._events = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        start = SessionLog(status=SessionLog.START)
        self._write_event(resume_step + 1, session_log=start)

    def write(
        self, step: int, images: int, seconds: float, metrics: Mapping[str, float]
    ) -> None:
        """Record a step.

        images: seen so far. seconds: since this process opened the log; the file adds
            those of earlier processes, so pauses do not count. metrics: scalars.
        """
        scalars = {name: float(value) for name, value in metrics.items()}
        record = {
            "step": int(step),
            "images": int(images),
            **{n: x if math.isfinite(x) else None for n, x in scalars.items()},
            "seconds": self._seconds_before + float(seconds),
        }
        self._lines.write(json.dumps(record, allow_nan=False) + "\n")
        self._lines.flush()
        values = [{"tag": tag, "simple_value": value} for tag, value in scalars.items()]
        self._write_event(step, summary={"value": values})

    def image(self, step: int, picture: np.ndarray, tag: str = "samples") -> None:
        """Record a picture, uint8 [H, W, 1 or 3], for TensorBoard."""
        height, width, channels = picture.shape
        image = {
            "height": height,
            "width": width,
            "colorspace": channels,
            "encoded_image_string": encode_png(picture),
        }
        self._write_event(step, summary={"value": [{"tag": tag, "image": image}]})

    def flush(self) -> None:
        """Flush metrics.jsonl to disk.

        Call it before a checkpoint; otherwise a resumed run's log has a gap.
        """
        self._lines.flush()
        os.fsync(self._lines.fileno())

    def close(self) -> None:
        """Flush and close both files."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._events.close)
            stack.callback(self._lines.close)
            self.flush()

    def _write_event(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        event = Event(wall_time=time.time(), step=step, **content)
        self._events.write_event(event)
        self._events.flush()


def _drop_lines_after(path: Path, step: int, every: int) -> list[str]:
    """Return the whole lines up to a step; replace the file by them in one move.

    every: the interval of logged steps. The last step of a shorter run may not be a
        multiple of it; a longer run would not log that step.
    """
    last = step if step % every == 0 or step == 1 else step - 1
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _is_record_up_to(last, line)]
    if kept == lines:
        return kept
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8") as f:
        f.writelines(kept)
        f.flush()
        os.fsync(f.fileno())
    return kept


def _is_record_up_to(step: int, line: str) -> bool:
    if not line.endswith("\n"):
        return False
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, TypeError, KeyError):
        return False


def record(line: str) -> dict[str, float | None]:
    """Return the numbers of a line by name; none if it is damaged or has no step."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    found = typed_json.read(dict[str, float | None], content, []) or {}
    return {} if found.get("step") is None else found


_CLOCKED_SECONDS = 1.0  # over a shorter time, steps that were queued seem fast


class Progress:
    """The progress of a run on standard error: step, losses, images/s, time left.

    It is a bar on a terminal. Elsewhere, as in a log file, it is a line at intervals.
    Use it with `with`, so that an error leaves the bar's line finished. A line that
    cannot be written is lost, without an error.

    total: the last step. start: the step that a resumed run begins at.
    """

    def __init__(self, total: int, start: int = 0, seconds_between_lines: float = 10.0):
        self._total, self._interval, self._bar = total, seconds_between_lines, None
        if console.is_terminal():
            from tqdm import tqdm

            self._interval = 0.2
            with console.ignore_closed_output():
                self._bar = tqdm(
                    total=total,
                    initial=start,
                    bar_format="|{bar}| step {n}/{total}{postfix} [{remaining} left]",
                    dynamic_ncols=True,
                    mininterval=0,
                )
        # The last step shown, its images, and when.
        self._shown: tuple[int, int, float] | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, step: int, images: int, metrics: Mapping[str, float]) -> None:
        """Show a step: the first, the last, and one per interval between them.

        images: seen so far, in earlier processes too. metrics: floats by name; the
        first three losses are shown. Without metrics, as after a resume, no line is.
        """
        if not metrics and self._bar is None:
            return
        now = time.monotonic()
        speed, left = "", ""
        if self._shown is not None:  # the first step is slow: XLA compiles it
            shown_step, shown_images, shown_time = self._shown
            seconds = max(now - shown_time, 1e-9)
            if seconds < self._interval and step < self._total:
                return
            if seconds >= _CLOCKED_SECONDS:
                speed = f"{(images - shown_images) / seconds:,.0f} images/s"
            if step > shown_step and step < self._total:
                rate = (step - shown_step) / seconds
                left = f"{_clock((self._total - step) / rate)} left"
        self._shown = step, images, now
        losses = short_losses(metrics)
        if self._bar is not None:
            with console.ignore_closed_output():
                self._bar.set_postfix_str(_joined(losses, speed), refresh=False)
                self._bar.update(step - self._bar.n)
        else:
            self.say(_joined(f"step {step}/{self._total}", losses, speed, left))

    def say(self, message: str) -> None:
        """Print a line on standard error, above the bar if there is one."""
        if self._bar is not None:
            with console.ignore_closed_output():
                self._bar.write(message, file=sys.stderr)
        else:
            console.tell(message)

    def close(self) -> None:
        """Finish the bar's line and leave it as it is."""
        if self._bar is not None:
            with console.ignore_closed_output():
                self._bar.close()


def short_losses(metrics: Mapping[str, float]) -> str:
    """Return the first three losses, metrics named `player/loss`, as a short text.

    A single loss is shown as "loss", several by their players' names.
    """
    losses = {n: v for n, v in metrics.items() if n.rpartition("/")[2] == "loss"}
    names = ["loss"] if len(losses) == 1 else [n.partition("/")[0] for n in losses]
    digits = 4 if len(losses) == 1 else 3  # the bar should fit into 80 columns
    pairs = list(zip(names, losses.values(), strict=True))[:3]
    return _joined(*(f"{name} {value:.{digits}g}" for name, value in pairs))


def _joined(*parts: str) -> str:
    return "  ".join(filter(None, parts))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
