"""fit: batches -> step -> records, resuming an interrupted run.

Nothing here knows a family. The host stays at most a few steps ahead of the device. It
reads a logged step's metrics only when later steps are under way, and it writes
checkpoints and images in the background. So the device never waits for the host.
"""

import collections
import concurrent.futures
import contextlib
import contextvars
import functools
import itertools
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from gen_jax import arguments, contracts, devices, memory
from gen_jax.config import FitConfig
from gen_jax.errors import UserError
from gen_jax.game import Game, State, Tree, init_state
from gen_jax.step import batch_sharding, example_keys, make_train_step

_STEPS_AHEAD = 4  # each queued step holds its batch in memory


def fit(
    game: Game,
    batches: Callable[[int], Iterable[Tree]],
    config: FitConfig | None = None,
    *,
    workdir: str | Path | None = None,
    backend: str = "jit",
    mesh: Mesh | None = None,
    prepare: Callable[[Tree, jax.Array], Tree] | None = None,
    meta: Mapping[str, Any] | None = None,
    start: State | None = None,
    given: Mapping[str, Any] | None = None,
    held_out: Tree | None = None,
    seeds: Sequence[int] = (),
) -> State:
    """Train to `config.steps`, resuming from the newest checkpoint in `workdir`.

    batches: `batches(s)` yields the batches of steps s, s + 1, ..., trees of arrays
        [B, ...]; a step has the same batch in every call. With several processes,
        each yields its own slice of the global batch.
    workdir: folder of checkpoints, metrics and images; None saves nothing.
    backend, mesh, prepare: see `make_train_step`; mesh: by default all devices.
    meta: further entries of the checkpoints' description (`make_meta`).
    start: the state with which a new run begins; by default `init_state`'s.
    given: weights with which a new run begins, by player's name; see `init_state`.
    held_out: a prepared batch whose translations are drawn, for a game with that op.
    seeds: S seeds to train at once instead of `config.seed`, by jit in one process.
        `batches` and the state have one more axis [S] in front, see `runs/seeds.py`.

    Returns the last state. Ctrl-C, SIGTERM, SIGHUP and any error between two steps save
    first, then raise. Raises UserError for values that are not finite, for invalid
    arguments, and for a run that does not fit in memory; OSError for a full disk.
    """
    from gen_jax.runs import seeds as several  # here: a step alone needs no checkpoints
    from gen_jax.runs.recorder import Recorder

    config = arguments.fit_config(game, config, workdir, start, given)
    seeds = arguments.checked_seeds(seeds)
    mesh = arguments.checked_mesh(mesh or devices.data_mesh())
    rng = several.keys(seeds) if seeds else jax.random.key(config.seed)
    first, batches = arguments.checked_batches(batches, rng.ndim)
    example, size = _prepared_shapes(first, prepare, rng.ndim)
    arguments.check_divides(game, mesh, config.microbatches, size)
    replicated = devices.everywhere(mesh)
    like = _state_that_fits(game, example, replicated, len(seeds) or 1, start)
    recorder = Recorder(game, config, example, workdir, meta or {}, held_out, seeds)
    state = recorder.restore(like)
    if state is None and start is not None:  # copied, since a step deletes its state
        state = several.stack([start] * len(seeds)) if seeds else start
        state = jax.device_put(jax.tree.map(jnp.array, state), replicated)
    step = 0 if state is None else int(state.step.max())
    if state is not None and step >= config.steps:
        return recorder.already_done(step, state)
    per_call = min(config.steps_per_call, config.steps - step)
    memory.check({f"{per_call} batches a call take": memory.size(first) * per_call})
    take = _Stepper(game, per_call, config.microbatches, backend, mesh, prepare, rng)
    if state is None:
        with take.compiling(like, first):
            state = _first_state(game, rng, example, given, replicated)
    return _train(take, recorder, state, step, batches, config.steps)


def _train(take, recorder, state, step, batches, steps):
    """Take the steps from `step` to `steps`, or until a signal, and record them."""
    stream, signalled = iter(batches(step)), 0
    with recorder.recording(step, state), _caught_signals() as caught:
        try:
            while step < steps and not (
                signalled := recorder.agree(step, state, caught)
            ):
                state, metrics, count = take(state, stream, step, steps)
                step += count
                recorder.after(step, state, metrics, count)
        except BaseException as error:  # a KeyboardInterrupt must save too
            recorder.rescue(step, state, error)
            raise
        recorder.finish(step, state)
    # With several processes, one may get the signal; all stop at the same step.
    if signalled:
        recorder.say(f"interrupted and saved at step {step}")
        if signalled == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signalled)  # as a shell reports a signal
    return state


def _first_state(game, rng, example, given, sharding):
    """Return the state before the first step, of each seed if `rng` has keys [S]."""
    start = functools.partial(init_state, game, batch=example, given=given)
    state = devices.run_once(jax.vmap(start), rng) if rng.ndim else start(rng)
    return jax.device_put(state, sharding)


def _prepared_shapes(batch, prepare, leading):
    """Return the shapes of one run's global batch as the game will see it, and its B.

    leading: number of axes of `batch` before [B, ...].
    """
    processes = jax.process_count()
    if leading and processes > 1:
        raise UserError("several seeds at once need a single process: start only one")

    def shape(x):
        size, *rest = x.shape[leading:]
        return jax.ShapeDtypeStruct((size * processes, *rest), x.dtype)

    shapes = jax.tree.map(shape, batch)
    size = jax.tree.leaves(shapes)[0].shape[0]
    if prepare is not None:
        keys = jax.eval_shape(example_keys, jax.random.key(0), np.arange(size))
        shapes = arguments.prepared(prepare, shapes, keys)
    contracts.check_no_raw_images(shapes)
    return shapes, size


def _state_that_fits(
    game: Game, example: Tree, sharding: NamedSharding, seeds: int, start: State | None
) -> State:
    """Return one seed's `state_like`, after checking that all of them fit in memory.

    Nothing is allocated or written yet.

    Raises UserError if a device cannot hold its part, or `start` is another game's.
    """
    from gen_jax.runs.checkpoint import state_like

    like, mesh = state_like(game, example, sharding), sharding.mesh
    arguments.check_start(start, like)
    fraction = memory.size(example) // mesh.size
    needed = {"the state takes": memory.size(like) * seeds, "a batch": fraction * seeds}
    memory.check(needed, mesh.local_devices[0])
    return like


class _Stepper:
    """Takes the steps of one call: moves their batches to the devices and runs them."""

    def __init__(self, game, per_call, microbatches, backend, mesh, prepare, rng):
        self._per_call, self._mesh, self._rng = per_call, mesh, rng
        self._steps = {
            count: make_train_step(
                game,
                backend,
                mesh,
                steps_per_call=count,
                microbatches=microbatches,
                over_seeds=bool(rng.ndim),
                prepare=prepare,
            )
            for count in {1, per_call}  # 1 for the steps after the last full call
        }
        self._ahead: collections.deque[Tree] = collections.deque()
        # Forced host devices meet in a collective only if steps do not queue.
        platform = mesh.devices.flat[0].platform
        self._max_ahead = 0 if platform == "cpu" and mesh.size > 1 else _STEPS_AHEAD

    @contextlib.contextmanager
    def compiling(self, state: State, batch: Tree) -> Iterator[None]:
        """Compile the step in another thread while the body runs; XLA releases the GIL.

        state: ShapeDtypeStructs, of one seed. The first call finds the compiled step.
        Raises the UserError of a game that the step cannot play, or of a step that does
        not fit in memory, before anything is written.
        """
        if jax.process_count() > 1:
            yield
            return
        stacked = self._to_devices([batch] * self._per_call)
        state = jax.tree.map(
            lambda x: x.update(shape=(*self._rng.shape, *x.shape)), state
        )
        lower = functools.partial(self._steps[self._per_call].lower, state, stacked)
        # A new thread has an empty context: it would not see `devices.implementation`.
        context = contextvars.copy_context()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            compiled = pool.submit(context.run, lambda: lower(self._rng).compile())
            yield
        error = compiled.exception()
        if isinstance(error, UserError):
            raise error
        if error is None:  # the first call raises any other error again
            planned = compiled.result().memory_analysis()
            memory.check_planned(planned, self._mesh.local_devices[0])

    def __call__(
        self, state: State, stream: Iterator[Tree], step: int, steps: int
    ) -> tuple[State, Mapping[str, jax.Array], int]:
        """Take one call's steps from `step`; return state, metrics [count] and count.

        Raises UserError if the stream ends before `steps`.
        """
        count = self._per_call if self._per_call <= steps - step else 1
        batches = list(itertools.islice(stream, count))
        if len(batches) < count:
            end = step + len(batches)
            raise UserError(
                f"batches ended at step {end} of {steps}: yield them without end, or "
                f"train for steps={end}; step {step} is saved if there is a workdir"
            )
        batch = self._to_devices(batches)
        state, metrics = self._steps[count](state, batch, self._rng)
        # Not the state: the next step deletes it, and nothing can wait for it then.
        self._ahead.append(metrics)
        if len(self._ahead) > self._max_ahead:
            jax.block_until_ready(self._ahead.popleft())
        return state, metrics, count

    def _to_devices(self, batches: list[Tree]) -> Tree:
        """Stack the batches; a single process leaves the move to the step's call."""
        batch, batch_axis = batches[0], 0
        if len(batches) > 1:
            # Stacked on the host: one transfer instead of one per step.
            batch, batch_axis = jax.tree.map(lambda *x: np.stack(x), *batches), 1
        if jax.process_count() == 1:
            return batch
        sharding = batch_sharding(self._mesh, batch_axis)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, x), batch
        )


@contextlib.contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Yield a list to which a signal that ends a run appends; a second acts at once.

    SIGINT, SIGTERM and SIGHUP, which a lost terminal sends; not under `nohup`.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # Python lets only the main thread set handlers
        return
    before: dict[signal.Signals, Any] = {}

    def catch(number, frame):
        caught.append(number)
        signal.signal(number, before[signal.Signals(number)])

    ends = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        ends.append(signal.SIGHUP)
    for number in ends:
        before[number] = signal.signal(number, catch)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
