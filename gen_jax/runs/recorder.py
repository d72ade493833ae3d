"""Record metrics, pictures and checkpoints of a run, each at its own interval.

Several seeds that train at once (`seeds.py`) are several runs: each has a folder, and
all record at the same steps.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import console, files
from gen_jax.config import FitConfig
from gen_jax.data import summary
from gen_jax.errors import DivergedError
from gen_jax.game import Game, State, Tree
from gen_jax.runs import checkpoint, environment, finite, identity, metrics_log, writer
from gen_jax.runs import seeds as several
from gen_jax.runs.agreement import Agreement
from gen_jax.runs.folder import Folder
from gen_jax.runs.sample_grids import Pictures

_RUNAWAY = 1e6  # times the first loss that was logged


class Recorder:
    """Records one or more runs: call `after` when a call of the step returns.

    example: the shapes of one run's batch. workdir: the run's folder, or the parent of
    the folders of `seeds`; None keeps nothing. meta: as for `fit`.
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
        self._workdir = files.checked_folder(workdir) if workdir else None
        meta = {**meta, "batch": checkpoint.describe_batch(example)}
        self._runs = several.plan(self._workdir, meta, config.seed, seeds)
        for run in self._runs:
            run.meta["fit"] = {"seed": run.seed, "microbatches": config.microbatches}
            identity.check_json(run.meta)
        self._where = f"{workdir}/seed_*" if seeds else f"{workdir}"
        never_change = [n for n, player in game.players.items() if player.loss is None]
        self._folders = [
            Folder(run.folder, run.meta, config, f"the state{run.label}", never_change)
            for run in self._runs
            if run.folder is not None
        ]
        self._leads = jax.process_index() == 0
        self._first_shown: dict[str, float] = {}
        self._shown: dict[str, float] = {}
        self._progress: metrics_log.Progress | None = None
        self._pending: list[
            tuple[int, Mapping[str, jax.Array], finite.Leaves | None]
        ] = []
        self._data = summary.of_meta(meta)
        self._pictures = Pictures(game, held_out, self._data)

    def restore(self, like: State) -> State | None:
        """Return the newest undamaged state, with an axis [S] of `seeds`; None if none.

        like: ShapeDtypeStructs with shardings, of one run.

        Raises UserError for the checkpoint of another run, and for an op that would
        fail at the first picture.
        """
        if not self._folders:
            return None
        self._pictures.trace(like.players)
        places = [folder.checkpoints for folder in self._folders]
        if self._leads and self._data:
            summary.tell(self._data)
        metas = [run.meta for run in self._runs]
        states = several.restore(places, like, metas, repair=self._leads)
        if states is None:
            return None
        self.say(f"resuming from step {int(states[0].step)}")
        return several.stack(states) if self._stacked else states[0]

    def already_done(self, step: int, state: State) -> State:
        """Print that there is nothing to do, and return the state."""
        self.say(
            f"already at step {step} of {self._config.steps}: nothing to do; "
            "raise steps to train further"
        )
        return state

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
            self._first, self._agreement = step, Agreement(step)
            yield

    def agree(self, step: int, state: State, caught: Sequence[int]) -> int:
        """Return the signal that stopped any process; 0 if none did.

        Call it before each call of the step. If a checkpoint is due, it is saved.
        caught: this process's signals.
        """
        number = caught[0] if caught else 0
        due = time.monotonic() - self._saved >= self._config.checkpoint_every_seconds
        number, due = self._agreement.reached(step, number, due)
        if self._folders and due and not number and step > self._first:
            self._save(step, state)
        return number

    def after(
        self, step: int, state: State, metrics: Mapping[str, jax.Array], count: int
    ) -> None:
        """Record what is due after a call of `count` steps that ended at `step`.

        metrics: arrays [] or [S] of seeds, behind an axis [count] if that is not 1.
        """
        logged = self._logged(step, count)
        if logged:
            self._write_pending()
            finite_now = finite.leaves(state) if self._folders else None
        for due in logged:
            place = due - (step - count) - 1
            picked = (
                metrics if count == 1 else {k: v[place] for k, v in metrics.items()}
            )
            self._pending.append((due, picked, finite_now))
        if {1, self._config.steps} & set(logged):
            self._write_pending()  # the device has just begun, or is done
        if self._progress is not None:
            seen = step * self._batch_size * len(self._runs)
            self._progress.update(step, seen, self._shown)
        if not self._folders:
            return
        if _due(step, count, self._config.sample_every_steps):
            self._draw(step, state)
        if _due(step, count, self._config.keep_every_steps):
            self._save(step, state)

    def _logged(self, step: int, count: int) -> list[int]:
        """Return the steps to log of the `count` that end at `step`.

        They are the first and the last step of the run, and one in an interval.
        """
        every, ends = self._config.log_every_steps, (1, self._config.steps)
        taken = range(step - count + 1, step + 1)
        return [each for each in taken if each % every == 0 or each in ends]

    def rescue(self, step: int, state: State, error: BaseException) -> None:
        """Save the state of `step` after an error, as far as that can be done.

        With several processes nothing is saved: one alone would wait for the others
        for ever. Errors while saving are not raised, so that the original one is shown.
        """
        if jax.process_count() > 1 or isinstance(error, DivergedError):
            return
        try:
            self._write_pending()
        except DivergedError:
            return
        except Exception:  # the log cannot be written, but perhaps the state can
            pass
        with contextlib.suppress(Exception):
            self._save_states(step, state)

    def finish(self, step: int, state: State) -> None:
        """Record the end of the run, or the point at which it was interrupted."""
        self._write_pending()
        self._tell_runaways()
        if not self._folders:
            return
        self._save(step, state)
        if step < self._config.steps:
            return
        self._draw(step, state)
        drawn = self._pictures.wait()
        for folder in self._folders:
            folder.writer.wait()  # so that "done" means on disk
        if drawn:
            self.say(f"samples: {self._where}/samples/{step}.png")
        self.say(f"done: step {step}, checkpoint in {self._where}")

    def _tell_runaways(self) -> None:
        """Print a line for each loss that grew out of all proportion."""
        for name, last in self._shown.items():
            first = self._first_shown[name]
            if name.endswith("/loss") and abs(last) > _RUNAWAY * max(abs(first), 1.0):
                self.say(
                    f"{name} went from {first:.4g} to {last:.4g}: the training ran "
                    "away; lower the learning rate, or look at the samples"
                )

    def _draw(self, step: int, state: State) -> None:
        each = zip(self._runs, self._folders, several.states(state), strict=True)
        self._pictures.start(
            step, [(run.seed, folder, mine.players) for run, folder, mine in each]
        )

    def _save(self, step: int, state: State) -> None:
        self._write_pending()
        self._save_states(step, state)

    def _save_states(self, step: int, state: State) -> None:
        each = list(zip(self._folders, several.states(state), strict=True))
        for folder, mine in each:  # check all first: no run may get ahead of another
            folder.writer.check(step, mine)
        for folder, mine in each:
            folder.save(step, mine)
        self._saved = time.monotonic()

    def _write_pending(self) -> None:
        while self._pending:  # a record that cannot be written is not tried again
            step, metrics, finite_now = self._pending.pop(0)
            of_all = {k: np.atleast_1d(x) for k, x in jax.device_get(metrics).items()}
            self._shown = {name: float(x.mean()) for name, x in of_all.items()}
            self._first_shown = self._first_shown or self._shown
            each = [
                {name: float(x[place]) for name, x in of_all.items()}
                for place in range(len(self._runs))
            ]
            seconds = time.monotonic() - self._started
            for folder, values in zip(self._folders, each, strict=bool(self._folders)):
                folder.log(step, step * self._batch_size, seconds, values)
            for run, values in zip(self._runs, each, strict=True):
                if found := finite.first_of(values, self._game.players):
                    what, value = found
                    raise self._diverged(f"{what}{run.label}", step, f": {value}")
            if finite_now and (leaf := finite_now.first_broken()):
                raise self._diverged(f"the state ({leaf})", step)

    def _diverged(self, what: str, step: int, value: str = "") -> DivergedError:
        kept = [f"; {each.writer.last_kept()}" for each in self._folders[:1]]
        return DivergedError(
            f"{what} is no longer finite at step {step}{value}{''.join(kept)}"
        )

    def say(self, line: str) -> None:
        """Print a line on standard error, by the first process."""
        if not self._leads:
            return
        if self._progress is not None:
            self._progress.say(line)
        else:
            console.tell(line)


def _due(step: int, count: int, every: int) -> range:
    """Return the multiples of `every` among the `count` steps that end at `step`."""
    if not every:
        return range(0)
    return range((step - count) // every * every + every, step + 1, every)
