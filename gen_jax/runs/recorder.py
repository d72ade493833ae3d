"""Record metrics, pictures and checkpoints of a run, each at its own interval.

Several seeds that train at once (`seeds.py`) are several runs: each has a folder, and
all record at the same steps.
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax.config import FitConfig
from gen_jax.data import summary
from gen_jax.errors import DivergedError
from gen_jax.game import Game, State, Tree
from gen_jax.runs import checkpoint, environment, metrics_log, writer
from gen_jax.runs import seeds as several
from gen_jax.runs.folder import Folder
from gen_jax.runs.sample_grids import Pictures


class Recorder:
    """Records one or more runs: call `after` when a call of the step returns.

    example: the shapes of one run's batch. workdir: the run's folder, or the folder of
    the folders of `seeds`; None keeps nothing. meta: as `fit` takes it.
    """

    def __init__(
        self,
        game: Game,
        config: FitConfig,
        example: Tree,
        workdir: str | Path | None,
        meta: Mapping[str, Any],
        held_out: Tree | None = None,
        seeds: Sequence[int] = (),
    ):
        self._game, self._config = game, config
        self._stacked = bool(seeds)
        self._batch_size = jax.tree.leaves(example)[0].shape[0]
        self._workdir = Path(workdir).absolute() if workdir else None
        meta = {**meta, "batch": checkpoint.describe_batch(example)}
        self._runs = several.plan(self._workdir, meta, config.seed, seeds)
        self._where = f"{workdir}/seed_*" if seeds else f"{workdir}"
        never_change = [n for n, player in game.players.items() if player.loss is None]
        keep = config.keep_every_steps
        self._folders = [
            Folder(run.folder, run.meta, keep, f"the state{run.label}", never_change)
            for run in self._runs
            if run.folder is not None
        ]
        self._leads = jax.process_index() == 0
        self._shown: dict[str, float] = {}
        self._progress: metrics_log.Progress | None = None
        self._pending: list[tuple[int, Mapping[str, jax.Array]]] = []
        self._data = summary.of_meta(meta)
        self._pictures = Pictures(game, held_out, self._data)

    def restore(self, like: State) -> State | None:
        """Return the newest undamaged state, with an axis [S] of `seeds`; None if none.

        like: ShapeDtypeStructs with shardings, of one run.
        """
        if not self._folders:
            return None
        places = [folder.checkpoints for folder in self._folders]
        states = several.restore(places, like, repair=self._leads)
        if self._leads and self._data:
            summary.tell(self._data)
        if states is None:
            return None
        self._say(f"resuming from step {int(states[0].step)}")
        return several.stack(states) if self._stacked else states[0]

    def already_done(self, step: int) -> None:
        """Print that there is nothing to do."""
        self._say(
            f"already at step {step} of {self._config.steps}: nothing to do; "
            "raise --steps to train further"
        )

    @contextlib.contextmanager
    def recording(self, step: int, state: State) -> Iterator[None]:
        """Open the folders' files at the state's step, and close them."""
        if self._workdir is not None:
            writer.check_room(self._workdir, state)
        with contextlib.ExitStack() as stack:
            if self._leads:
                progress = metrics_log.Progress(self._config.steps, step)
                self._progress = stack.enter_context(progress)
            for folder in self._folders:
                stack.enter_context(folder.held())
            trained_on = environment.describe(state.step.sharding.device_set)
            for folder in self._folders:
                stack.enter_context(folder.opened(step, trained_on))
            stack.callback(self._pictures.close)
            self._started = self._saved = time.monotonic()
            yield

    def agree(self, step: int, stop: bool) -> bool:
        """Return whether any process was told to stop; all ask at the same steps."""
        if jax.process_count() == 1:
            return stop
        if step % self._config.log_every_steps:
            return False
        return _any_process(stop)

    def after(
        self, step: int, state: State, metrics: Mapping[str, jax.Array], count: int
    ) -> None:
        """Record what is due after a call of `count` steps that ended at `step`.

        metrics: arrays [] or [S] of seeds, behind an axis [count] if that is not 1.
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
        if self._progress is not None:
            seen = step * self._batch_size * len(self._runs)
            self._progress.update(step, seen, self._shown)
        if not self._folders:
            return
        if _due(step, count, self._config.sample_every_steps):
            self._draw(step, state)
        if self._checkpoint_due(step, count):
            self._save(step, state)

    def finish(self, step: int, state: State) -> None:
        """Record the end of the run, or of this part of it."""
        self._write_pending()
        if not self._folders:
            return
        self._save(step, state)
        if step < self._config.steps:
            return
        self._draw(step, state)
        if self._pictures.wait():
            self._say(f"samples: {self._where}/samples/{step}.png")
        self._say(f"done: step {step}, checkpoint in {self._where}")

    def _draw(self, step: int, state: State) -> None:
        each = zip(self._runs, self._folders, several.states(state), strict=True)
        self._pictures.start(
            step, [(run.seed, folder, mine.players) for run, folder, mine in each]
        )

    def _checkpoint_due(self, step: int, count: int) -> bool:
        due = time.monotonic() - self._saved >= self._config.checkpoint_every_seconds
        if jax.process_count() > 1:
            logs = _due(step, count, self._config.log_every_steps)
            due = bool(logs) and _any_process(due)
        return due or bool(_due(step, count, self._config.keep_every_steps))

    def _save(self, step: int, state: State) -> None:
        self._write_pending()
        each = list(zip(self._folders, several.states(state), strict=True))
        for folder, mine in each:  # check all first: no run may get ahead of another
            folder.writer.check(step, mine)
        for folder, mine in each:
            folder.save(step, mine)
        self._saved = time.monotonic()

    def _write_pending(self) -> None:
        for step, metrics in self._pending:
            of_all = {k: np.atleast_1d(x) for k, x in jax.device_get(metrics).items()}
            self._shown = {name: float(x.mean()) for name, x in of_all.items()}
            each = [
                {name: float(x[place]) for name, x in of_all.items()}
                for place in range(len(self._runs))
            ]
            seconds = time.monotonic() - self._started
            for folder, values in zip(self._folders, each, strict=bool(self._folders)):
                folder.log(step, step * self._batch_size, seconds, values)
            for run, values in zip(self._runs, each, strict=True):
                self._check_finite(step, run.label, values)
        self._pending.clear()

    def _check_finite(self, step: int, label: str, values: Mapping[str, float]) -> None:
        """Raise DivergedError for a loss that is not finite; other metrics may be."""
        for player in self._game.players:
            loss = values.get(f"{player}/loss", 0.0)
            if not math.isfinite(loss):
                kept = [f"; {each.writer.last_kept()}" for each in self._folders[:1]]
                raise DivergedError(
                    f"the loss of {player}{label} is no longer finite at step {step}: "
                    f"{loss}{''.join(kept)}"
                )

    def _say(self, line: str) -> None:
        if not self._leads:
            return
        if self._progress is not None:
            self._progress.say(line)
        else:
            print(line, file=sys.stderr, flush=True)


def _due(step: int, count: int, every: int) -> range:
    """Return the multiples of `every` among the `count` steps that end at `step`."""
    if not every:
        return range(0)
    return range((step - count) // every * every + every, step + 1, every)


def _any_process(flag: bool) -> bool:
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))
