"""The folder of one run, enough to resume, to sample and to evaluate it.

config.json     the meta of its checkpoints, as of the latest start
metrics.jsonl   one line per logged step, and TensorBoard's events.*
checkpoints/    STEP/, see `checkpoint.py`
frozen/         the weights of players that never change, see `frozen.py`
samples/        STEP.png
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import files, images
from gen_jax.config import FitConfig
from gen_jax.errors import UserError
from gen_jax.files import write_json
from gen_jax.game import State
from gen_jax.runs import checkpoint, metrics_log
from gen_jax.runs.writer import Writer


class Folder:
    """A run's folder: first `held`, then `opened`, then written to.

    Every process saves, by `writer`; only the first process writes the other files.
    """

    def __init__(
        self,
        path: Path,
        meta: Mapping[str, Any],
        config: FitConfig,
        name: str,
        frozen_players: Collection[str] = (),
    ):
        """Check the path; write nothing.

        path: absolute. meta: of its checkpoints. config: the intervals of the run.
        name: name of the state in errors. frozen_players: as for `Writer`.

        Raises UserError for a path below which no checkpoint could be read again.
        """
        _check_name(path)
        self._path, self._name = path, name
        self._meta = {**meta, "format": checkpoint.FORMAT}
        self._config, self._frozen_players = config, frozen_players
        self._leads = jax.process_index() == 0

    @property
    def checkpoints(self) -> Path:
        """Return the folder of its step directories."""
        return self._path / checkpoint.CHECKPOINTS

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and lock other runs out until the process ends or leaves.

        Raises UserError if the folder cannot be made or another process holds it.
        """
        if not self._leads:
            yield
            return
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the folder {self._path} cannot be made: {error.strerror}; "
                "choose another workdir"
            ) from error
        busy = (
            f"another process is training in {self._path}: wait until it ends, or "
            "choose another workdir"
        )
        with files.locked(self._path, busy):
            yield

    @contextlib.contextmanager
    def opened(self, step: int, environment: Mapping[str, Any]) -> Iterator[None]:
        """Open its files at the step that the run is at, and close them."""
        self._meta["environment"] = environment
        with contextlib.ExitStack() as stack:
            if self._leads:
                write_json(self._path / "config.json", self._meta)
                for later in checkpoint.steps(self.checkpoints):
                    if later > step:  # after a kill, the runs of other seeds lack it
                        checkpoint.set_aside(self.checkpoints / str(later), "ahead")
                files.remove_unfinished(self._path / "samples")
                every = self._config.log_every_steps
                self._log = metrics_log.MetricsLog(self._path, step, every)
                stack.callback(self._log.close)
            self.writer = Writer(
                self.checkpoints,
                self._config.keep_every_steps,
                self._name,
                self._frozen_players,
            )
            stack.callback(self.writer.close)
            yield

    def log(
        self, step: int, seen: int, seconds: float, values: Mapping[str, float]
    ) -> None:
        """Record the metrics of a step.

        seen: images seen up to this step. seconds: since the files were opened.
        """
        if self._leads:
            self._log.write(step, seen, seconds, values)

    def save(self, step: int, state: State) -> None:
        """Start to write a checkpoint; see `Writer.save`."""
        try:
            if self._leads:
                self._log.flush()  # the log must not be behind a checkpoint
        finally:  # but a state is worth more than its log
            self.writer.save(step, state, self._meta)

    def picture(self, step: int, picture: np.ndarray) -> None:
        """Write a picture of samples, uint8 [H, W, 1 or 3], by the first process."""
        folder = self._path / "samples"
        folder.mkdir(exist_ok=True)
        images.save_png(folder / f"{step}.png", picture)
        self._log.image(step, picture)


def _check_name(folder: Path) -> None:
    """Raise UserError for a folder whose checkpoints could not be read again.

    Orbax finds the files of its processes by a glob pattern that contains the absolute
    path, and TensorStore takes a backslash for a slash.
    """
    path = str(folder)
    if found := [character for character in "*?[\\" if character in path]:
        raise UserError(
            f"{path} holds {' and '.join(found)}: checkpoints below it could not be "
            "read again: choose another folder, or rename that one"
        )
