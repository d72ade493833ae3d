"""What a run leaves behind: metrics, pictures and checkpoints in its folder.

The folder is enough to go on, to sample and to evaluate:

    config.json  metrics.jsonl  checkpoints/STEP/  samples/STEP.png  TensorBoard events
"""

import concurrent.futures
import contextlib
import fcntl
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import checkpoint, devices, environment, images, logging, manifest
from gen_jax.config import FitConfig
from gen_jax.errors import UserError
from gen_jax.game import Game, State, Tree, averaged
from gen_jax.step import sample_keys

_PICTURED = 64  # samples in a picture


class Recorder:
    """Follows one run: `after` each call of the step it records what is due."""

    def __init__(
        self,
        game: Game,
        config: FitConfig,
        example: Tree,
        workdir: str | Path | None,
        meta: dict[str, Any],
        held_out: Tree | None = None,
    ):
        self._game, self._config = game, config
        self._batch_size = jax.tree.leaves(example)[0].shape[0]
        self._folder = Path(workdir).absolute() if workdir else None
        if self._folder is not None:
            checkpoint.check_name(self._folder)
        batch = checkpoint.describe_batch(example)
        self._meta = {"format": checkpoint.FORMAT, **meta, "batch": batch}
        self._leads = jax.process_index() == 0
        self._shown: dict[str, float] = {}
        self._progress: logging.Progress | None = None
        self._pending: list[tuple[int, Mapping[str, jax.Array]]] = []
        self._draw, self._arrange = picture_functions(game, config.seed, held_out)

    def restore(self, like: State) -> State | None:
        """The newest readable state in the folder, None where it has none.

        like: ShapeDtypeStructs with shardings.
        """
        if self._folder is None:
            return None
        folder = self._folder / checkpoint.CHECKPOINTS
        if not (steps := checkpoint.steps(folder)):
            return None
        directories = [folder / str(step) for step in steps]
        state, _ = checkpoint.restore_first(directories, like, repair=self._leads)
        self._say(f"going on from step {int(state.step)}")
        return state

    def already_done(self, step: int) -> None:
        """Says that there is nothing to do."""
        self._say(
            f"already at step {step} of {self._config.steps}: nothing to do; "
            "raise --steps to go on"
        )

    @contextlib.contextmanager
    def recording(self, state: State) -> Iterator[None]:
        """Opens the folder's files at the state's step, and closes them."""
        step = int(state.step)
        if self._folder is not None:
            checkpoint.check_room(self._folder, state)
        with contextlib.ExitStack() as stack:
            if self._leads:
                progress = logging.Progress(self._config.steps, step)
                self._progress = stack.enter_context(progress)
            if self._folder is not None:
                place = environment.describe(state.step.sharding.device_set)
                self._meta["environment"] = place
                self._open(step, stack)
            self._started = self._saved = time.monotonic()
            yield

    def _open(self, step: int, stack: contextlib.ExitStack) -> None:
        if self._leads:
            self._make_folder()
            stack.enter_context(_held(self._folder))
            manifest.write_json(self._folder / "config.json", self._meta)
            self._log = logging.MetricsLog(self._folder, step)
            stack.callback(self._log.close)
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        stack.callback(self._pool.shutdown)
        self._picture = None
        self._writer = checkpoint.Writer(
            self._folder / checkpoint.CHECKPOINTS, self._config.keep_every_steps
        )
        stack.callback(self._writer.close)

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            line = f"the folder {self._folder} cannot be made: {error.strerror}"
            raise UserError(line) from error

    def agree(self, step: int, stop: bool) -> bool:
        """Whether any process was told to stop; all of them ask at the same steps."""
        if jax.process_count() == 1:
            return stop
        if step % self._config.log_every_steps:
            return False
        return _any_process(stop)

    def after(
        self, step: int, state: State, metrics: Mapping[str, jax.Array], count: int
    ) -> None:
        """Records what is due after a call of `count` steps that ended at `step`.

        metrics: scalars, or [count] arrays where `count` is more than 1.
        """
        due = _due(step, count, self._config.log_every_steps)
        if due:
            self._write_pending()
        for logged in due:
            place = logged - (step - count) - 1
            picked = (
                metrics if count == 1 else {k: v[place] for k, v in metrics.items()}
            )
            self._pending.append((logged, picked))
        if self._leads:
            self._progress.update(step, step * self._batch_size, self._shown)
        if self._folder is None:
            return
        if _due(step, count, self._config.sample_every_steps):
            self._start_picture(step, state)
        if self._checkpoint_due(step, count):
            self._save(step, state)

    def finish(self, step: int, state: State) -> None:
        """Records the end of the run, or of this part of it."""
        self._write_pending()
        if self._folder is None:
            return
        self._save(step, state)
        if step < self._config.steps:
            return
        self._start_picture(step, state)
        if self._picture is not None:
            self._picture.result()
            self._say(f"samples: {self._folder / 'samples' / f'{step}.png'}")
        self._say(f"done: step {step}, checkpoint in {self._folder}")

    def _checkpoint_due(self, step: int, count: int) -> bool:
        due = time.monotonic() - self._saved >= self._config.checkpoint_every_seconds
        if jax.process_count() > 1:
            logs = _due(step, count, self._config.log_every_steps)
            due = bool(logs) and _any_process(due)
        return due or bool(_due(step, count, self._config.keep_every_steps))

    def _save(self, step: int, state: State) -> None:
        self._write_pending()
        if self._leads:
            self._log.flush()  # what a checkpoint has seen must be in the log
        self._writer.save(step, state, self._meta)
        self._saved = time.monotonic()

    def _write_pending(self) -> None:
        for step, metrics in self._pending:
            values = {name: float(x) for name, x in jax.device_get(metrics).items()}
            self._shown = values
            if self._folder is not None and self._leads:
                seconds = time.monotonic() - self._started
                self._log.write(step, step * self._batch_size, seconds, values)
            self._check_finite(step, values)
        self._pending.clear()

    def _check_finite(self, step: int, values: Mapping[str, float]) -> None:
        """Raises UserError for a loss that is not; other metrics may mean something."""
        for player in self._game.players:
            loss = values.get(f"{player}/loss", 0.0)
            if not math.isfinite(loss):
                kept = f"; {self._writer.last_kept()}" if self._folder else ""
                raise UserError(
                    f"the loss of {player} is no longer finite at step {step}: {loss}"
                    + kept
                )

    def _start_picture(self, step: int, state: State) -> None:
        """Draws on the device now, and writes the PNG in the background."""
        if self._draw is None:
            return
        drawn = self._draw(state.players)
        if not self._leads:
            return
        if self._picture is not None:
            self._picture.result()  # an earlier picture's error surfaces here
        self._picture = self._pool.submit(self._write_picture, step, drawn)

    def _write_picture(self, step: int, drawn: jax.Array) -> None:
        picture = self._arrange(np.asarray(drawn))
        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        images.save_png(folder / f"{step}.png", picture)
        self._log.image(step, picture)

    def _say(self, line: str) -> None:
        if not self._leads:
            return
        if self._progress is not None:
            self._progress.say(line)
        else:
            print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder, until this process lets go of it or dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is training in {folder}") from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def picture_functions(game: Game, seed: int, held_out: Tree | None):
    """What shows the averaged weights: board -> arrays, and arrays -> picture.

    The same latents, or held-out inputs, at every call; None for nothing to show.
    """
    if "translate" in game.ops and held_out is not None:
        x, y = held_out["x"], held_out["y"]
        keys = sample_keys(seed, np.arange(len(x), dtype=np.int32))

        def translate(board):
            return game.ops["translate"](averaged(board), x, keys)

        return devices.jit(translate), lambda y_hat: images.side_by_side(x, y_hat, y)
    if "sample" not in game.ops:
        return None, None
    index = np.arange(_PICTURED, dtype=np.int32)
    options, columns = {}, None
    if game.num_classes:
        options, columns = {"y": index % game.num_classes}, game.num_classes
    keys = sample_keys(seed, index)
    return (
        devices.jit(lambda board: game.ops["sample"](averaged(board), keys, **options)),
        lambda x: images.picture(x, columns if columns and columns <= 16 else None),
    )


def _due(step: int, count: int, every: int) -> range:
    """The multiples of `every` among the `count` steps that end at `step`."""
    if not every:
        return range(0)
    return range((step - count) // every * every + every, step + 1, every)


def _any_process(flag: bool) -> bool:
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))
