"""When a run records what: metrics, pictures and checkpoints, each in its time.

Of several seeds at once (`gen_jax.runs.seeds`) each has a folder of its own, and all of them
record at the same steps.
"""

import concurrent.futures
import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax.runs import checkpoint, environment, metrics_log
from gen_jax import devices, images
from gen_jax.runs import seeds as several
from gen_jax.config import FitConfig
from gen_jax.errors import DivergedError, UserError
from gen_jax.runs.folder import Folder
from gen_jax.game import Game, State, Tree, averaged
from gen_jax.step import sample_keys

_PICTURED = 64  # samples in a picture


class Recorder:
    """Follows one run, or those of several seeds at once.

    `after` each call of the step it records what is due.
    """

    def __init__(
        self,
        game: Game,
        config: FitConfig,
        example: Tree,
        workdir: str | Path | None,
        meta: dict[str, Any],
        held_out: Tree | None = None,
        seeds: Sequence[int] = (),
    ):
        self._game, self._config = game, config
        self._seeds = tuple(seeds) or (config.seed,)
        self._names = [f" of seed {seed}" for seed in seeds] or [""]
        self._stacked = bool(seeds)
        self._batch_size = jax.tree.leaves(example)[0].shape[0]
        self._workdir = Path(workdir).absolute() if workdir else None
        batch = checkpoint.describe_batch(example)
        self._folders = self._make_folders(
            {"format": checkpoint.FORMAT, **meta, "batch": batch}
        )
        self._leads = jax.process_index() == 0
        self._shown: dict[str, float] = {}
        self._progress: metrics_log.Progress | None = None
        self._pending: list[tuple[int, Mapping[str, jax.Array]]] = []
        self._pictures: list[concurrent.futures.Future] = []
        self._draw, self._arrange = picture_functions(game, held_out)

    def _make_folders(self, meta: dict[str, Any]) -> list[Folder]:
        """One for each seed; none without a workdir."""
        if self._workdir is None:
            return []
        keep = self._config.keep_every_steps
        if not self._stacked:
            return [Folder(self._workdir, meta, keep, "the state")]
        return [
            Folder(
                several.folder(self._workdir, seed),
                several.meta(meta, seed, self._seeds),
                keep,
                "the state" + name,
            )
            for seed, name in zip(self._seeds, self._names, strict=True)
        ]

    def _each(self, tree: Tree) -> list[Tree]:
        """What every seed has of the run's state."""
        return several.split(tree, len(self._seeds)) if self._stacked else [tree]

    def restore(self, like: State) -> State | None:
        """The newest readable state in the folder, None where it has none.

        like: ShapeDtypeStructs with shardings, of one seed.
        """
        if not self._folders:
            return None
        places = [folder.checkpoints for folder in self._folders]
        states = several.restore(places, like, repair=self._leads)
        if states is None:
            return None
        self._say(f"going on from step {int(states[0].step)}")
        return several.stack(states) if self._stacked else states[0]

    def already_done(self, step: int) -> None:
        """Says that there is nothing to do."""
        self._say(
            f"already at step {step} of {self._config.steps}: nothing to do; "
            "raise --steps to go on"
        )

    @contextlib.contextmanager
    def recording(self, step: int, state: State) -> Iterator[None]:
        """Opens the folders' files at the state's step, and closes them."""
        if self._workdir is not None:
            checkpoint.check_room(self._workdir, state)
        with contextlib.ExitStack() as stack:
            if self._leads:
                progress = metrics_log.Progress(self._config.steps, step)
                self._progress = stack.enter_context(progress)
            for folder in self._folders:
                stack.enter_context(folder.held())
            place = environment.describe(state.step.sharding.device_set)
            for folder in self._folders:
                stack.enter_context(folder.opened(step, place))
            self._pool = concurrent.futures.ThreadPoolExecutor(1)
            stack.callback(self._pool.shutdown)
            self._started = self._saved = time.monotonic()
            yield

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
            seen = step * self._batch_size * len(self._seeds)
            self._progress.update(step, seen, self._shown)
        if not self._folders:
            return
        if _due(step, count, self._config.sample_every_steps):
            self._start_pictures(step, state)
        if self._checkpoint_due(step, count):
            self._save(step, state)

    def finish(self, step: int, state: State) -> None:
        """Records the end of the run, or of this part of it."""
        self._write_pending()
        if not self._folders:
            return
        self._save(step, state)
        if step < self._config.steps:
            return
        self._start_pictures(step, state)
        where = self._workdir / "seed_*" if self._stacked else self._workdir
        if self._pictures:
            self._finish_pictures()
            self._say(f"samples: {where / 'samples' / f'{step}.png'}")
        self._say(f"done: step {step}, checkpoint in {where}")

    def _checkpoint_due(self, step: int, count: int) -> bool:
        due = time.monotonic() - self._saved >= self._config.checkpoint_every_seconds
        if jax.process_count() > 1:
            logs = _due(step, count, self._config.log_every_steps)
            due = bool(logs) and _any_process(due)
        return due or bool(_due(step, count, self._config.keep_every_steps))

    def _save(self, step: int, state: State) -> None:
        self._write_pending()
        each = list(zip(self._folders, self._each(state), strict=True))
        for folder, mine in each:  # what stops one seed is to leave no other ahead
            folder.check(step, mine)
        for folder, mine in each:
            folder.save(step, mine)
        self._saved = time.monotonic()

    def _write_pending(self) -> None:
        for step, metrics in self._pending:
            of_seeds = {k: np.atleast_1d(x) for k, x in jax.device_get(metrics).items()}
            self._shown = {name: float(x.mean()) for name, x in of_seeds.items()}
            each = [
                {name: float(x[place]) for name, x in of_seeds.items()}
                for place in range(len(self._seeds))
            ]
            seconds = time.monotonic() - self._started
            for folder, values in zip(self._folders, each, strict=bool(self._folders)):
                folder.log(step, step * self._batch_size, seconds, values)
            for name, values in zip(self._names, each, strict=True):
                self._check_finite(step, name, values)
        self._pending.clear()

    def _check_finite(self, step: int, name: str, values: Mapping[str, float]) -> None:
        """Raises UserError for a loss that is not; other metrics may mean something."""
        for player in self._game.players:
            loss = values.get(f"{player}/loss", 0.0)
            if not math.isfinite(loss):
                kept = f"; {self._folders[0].last_kept()}" if self._folders else ""
                raise DivergedError(
                    f"the loss of {player}{name} is no longer finite at step {step}: "
                    f"{loss}{kept}"
                )

    def _start_pictures(self, step: int, state: State) -> None:
        """Draws on the device now, and writes the PNGs in the background."""
        if self._draw is None:
            return
        self._finish_pictures()
        each = zip(self._seeds, self._folders, self._each(state), strict=True)
        for seed, folder, mine in each:
            drawn = self._draw(mine.players, seed)
            if self._leads:
                written = self._pool.submit(self._write_picture, folder, step, drawn)
                self._pictures.append(written)

    def _finish_pictures(self) -> None:
        """Waits for all that were begun; an error of theirs surfaces here."""
        for picture in self._pictures:
            picture.result()
        self._pictures.clear()

    def _write_picture(self, folder: Folder, step: int, drawn: jax.Array) -> None:
        folder.picture(step, self._arrange(np.asarray(drawn)))

    def _say(self, line: str) -> None:
        if not self._leads:
            return
        if self._progress is not None:
            self._progress.say(line)
        else:
            print(line, file=sys.stderr, flush=True)


def picture_functions(game: Game, held_out: Tree | None):
    """What shows the averaged weights: (board, seed) -> arrays, and arrays -> picture.

    The same latents, or held-out inputs, at every call; None for nothing to show.
    """
    if game.ops.translate is not None and held_out is not None:
        x, y = held_out["x"], held_out["y"]
        index = np.arange(len(x), dtype=np.int32)

        def draw(players, keys):
            return game.ops.translate(averaged(players), x, keys)

        return _seeded(draw, index), lambda y_hat: images.side_by_side(x, y_hat, y)
    if game.ops.sample is None:
        return None, None
    index = np.arange(_PICTURED, dtype=np.int32)
    options, columns = {}, None
    if game.num_classes:
        options, columns = {"y": index % game.num_classes}, game.num_classes

    def draw(players, keys):
        return game.ops.sample(averaged(players), keys, **options)

    return (
        _seeded(draw, index),
        lambda x: images.picture(x, columns if columns and columns <= 16 else None),
    )


def _seeded(draw, index: np.ndarray):
    """(board, seed) -> what (board, keys) draws, compiled once for all seeds."""
    compiled = devices.jit(draw)
    return lambda players, seed: compiled(players, sample_keys(seed, index))


def _due(step: int, count: int, every: int) -> range:
    """The multiples of `every` among the `count` steps that end at `step`."""
    if not every:
        return range(0)
    return range((step - count) // every * every + every, step + 1, every)


def _any_process(flag: bool) -> bool:
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))
