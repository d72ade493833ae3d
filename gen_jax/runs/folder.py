"""What one run leaves in its folder, enough to go on, to sample and to evaluate:

config.json  metrics.jsonl  checkpoints/STEP/  samples/STEP.png  TensorBoard events
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax.runs import checkpoint, metrics_log, manifest
from gen_jax import images
from gen_jax.errors import UserError
from gen_jax.game import State


class Folder:
    """A run's folder: `held`, then `opened`, then written to.

    All processes save; what is else written, the first one writes.
    """

    def __init__(
        self, path: Path, meta: Mapping[str, Any], keep_every_steps: int, name: str
    ):
        """path: absolute. meta: what its checkpoints say of it. name: the state's.

        Raises UserError for a path below which no checkpoint could be read again.
        """
        _check_name(path)
        self._path, self._meta, self._name = path, dict(meta), name
        self._keep_every_steps = keep_every_steps
        self._leads = jax.process_index() == 0

    @property
    def checkpoints(self) -> Path:
        """Where its step directories lie."""
        return self._path / checkpoint.CHECKPOINTS

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder, and keeps other runs out until it is let go of, or dies."""
        if not self._leads:
            yield
            return
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            line = f"the folder {self._path} cannot be made: {error.strerror}"
            raise UserError(line) from error
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                line = f"another process is training in {self._path}"
                raise UserError(line) from None
            except OSError:  # a file system without locks
                pass
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def opened(self, step: int, environment: Mapping[str, Any]) -> Iterator[None]:
        """Opens its files at the step that the run is at, and closes them."""
        self._meta["environment"] = environment
        with contextlib.ExitStack() as stack:
            if self._leads:
                manifest.write_json(self._path / "config.json", self._meta)
                for later in checkpoint.steps(self.checkpoints):
                    if later > step:  # left by a kill; other seeds' runs lack it
                        checkpoint.set_aside(self.checkpoints / str(later), "ahead")
                self._log = metrics_log.MetricsLog(self._path, step)
                stack.callback(self._log.close)
            self._writer = checkpoint.Writer(
                self.checkpoints, self._keep_every_steps, self._name
            )
            stack.callback(self._writer.close)
            yield

    def log(
        self, step: int, seen: int, seconds: float, values: Mapping[str, float]
    ) -> None:
        """Records the metrics of a step by which so many images were seen."""
        if self._leads:
            self._log.write(step, seen, seconds, values)

    def check(self, step: int, state: State) -> None:
        """Raises UserError or OSError where a state cannot be saved."""
        self._writer.check(step, state)

    def save(self, step: int, state: State) -> None:
        """Starts to write a checkpoint; see `checkpoint.Writer`."""
        if self._leads:
            self._log.flush()  # what a checkpoint has seen must be in the log
        self._writer.save(step, state, self._meta)

    def last_kept(self) -> str:
        """Says which checkpoint is the last."""
        return self._writer.last_kept()

    def picture(self, step: int, picture: np.ndarray) -> None:
        """Writes a picture of samples, uint8 [H, W, 1 or 3]. Of the first process."""
        folder = self._path / "samples"
        folder.mkdir(exist_ok=True)
        images.save_png(folder / f"{step}.png", picture)
        self._log.image(step, picture)


def _check_name(folder: Path) -> None:
    """Raises UserError for a folder whose checkpoints could not be read again.

    Orbax looks for what its processes wrote by a pattern, of which the absolute path is
    a part; and TensorStore takes a backslash for a slash.
    """
    path = str(folder)
    if found := [character for character in "*?[\\" if character in path]:
        raise UserError(
            f"{path} holds {' and '.join(found)}: checkpoints below it could not be "
            "read again: choose another folder, or rename that one"
        )
