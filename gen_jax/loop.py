"""fit: batches -> step -> records, and on again where an interrupted run stopped.

Nothing here knows a family. The host stays at most a few steps ahead of the device,
reads a logged step's metrics only when later steps are under way, and writes
checkpoints and pictures in the background, so that the device never waits for it.
"""

import collections
import concurrent.futures
import contextlib
import contextvars
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from gen_jax import devices, memory
from gen_jax.config import FitConfig
from gen_jax.errors import UserError
from gen_jax.game import Game, State, Tree, init_state
from gen_jax.step import batch_sharding, check_divides, example_keys, make_train_step

_STEPS_AHEAD = 4


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
    held_out: Tree | None = None,
    seeds: Sequence[int] = (),
) -> State:
    """Trains to `config.steps`, going on from the newest checkpoint in `workdir`.

    batches: `batches(s)` yields the batches of steps s, s + 1, ...: trees of arrays
        [B, ...], on several processes each one's own slice of the global batch. The
        same step must always get the same batch, or a resumed run is another run.
    workdir: where checkpoints, metrics and pictures go; None keeps nothing.
    backend, mesh, prepare: see `make_train_step`; mesh: by default all devices.
    meta: what to say in the checkpoints beside what they need (`make_meta`).
    start: the state to begin with in a new folder; by default `init_state`'s.
    held_out: a prepared batch that a game which translates is shown on.
    seeds: S seeds to train at once in the place of `config.seed`, by jit in one
        process; `batches` are then `seeds.batches`, [S, B, ...], the state that comes
        back has an axis [S] more, and `workdir/seed_K` is a run's folder.

    Ctrl-C and SIGTERM save first, then raise KeyboardInterrupt and SystemExit(143), if
    steps are left. Raises UserError for a state or a logged loss that is no longer
    finite, OSError for a full disk; the last checkpoint stays. Raises UserError, before
    anything is written, for what memory cannot hold.
    """
    from gen_jax.runs import seeds as several  # here: a step alone needs no checkpoints
    from gen_jax.runs.recorder import Recorder

    config = config or FitConfig()
    mesh = mesh or devices.data_mesh()
    rng = several.keys(seeds) if seeds else jax.random.key(config.seed)
    first = next(iter(batches(0)))
    example = _prepared_shapes(first, prepare, rng.ndim)
    check_divides(jax.tree.leaves(example)[0].shape[0], game, mesh, config.microbatches)
    replicated = devices.everywhere(mesh)
    like = _state_that_fits(game, example, replicated, len(seeds) or 1)
    recorder = Recorder(game, config, example, workdir, meta or {}, held_out, seeds)
    state = recorder.restore(like)
    if state is None and start is not None:
        start = several.stack([start] * len(seeds)) if seeds else start
        state = jax.device_put(jax.tree.map(jnp.array, start), replicated)
    step = 0 if state is None else int(state.step.max())
    if step >= config.steps:
        recorder.already_done(step)
        return state
    per_call = _steps_per_call(config, config.steps - step, first)
    take = _Stepper(game, per_call, config.microbatches, backend, mesh, prepare, rng)
    if state is None:
        with take.compiling(like, first):
            state = jax.device_put(_first_state(game, rng, example), replicated)
    return _train(take, recorder, state, step, batches, config.steps)


def _train(take: "_Stepper", recorder, state, step, batches, steps) -> State:
    """Takes the steps from `step` to `steps`, or to a signal, and records them."""
    stream = iter(batches(step))
    with recorder.recording(step, state), _caught_signals() as caught:
        while step < steps and not recorder.agree(step, bool(caught)):
            state, metrics, count = take(state, stream, steps - step)
            step += count
            recorder.after(step, state, metrics, count)
        recorder.finish(step, state)
    if caught and step < steps:
        _raise_for(caught[0], step)
    return state


def _first_state(game: Game, rng: jax.Array, example: Tree) -> State:
    """The state before the first step, of each seed where `rng` has keys [S]."""
    if not rng.ndim:
        return init_state(game, rng, example)
    return devices.run_once(jax.vmap(lambda key: init_state(game, key, example)), rng)


def _prepared_shapes(batch: Tree, prepare, leading: int) -> Tree:
    """The shapes of one run's global batch as the game will see it.

    leading: axes of `batch` before [B, ...].
    """
    processes = jax.process_count()
    if leading and processes > 1:
        raise UserError("several seeds at once are trained by one process")

    def shape(x):
        size, *rest = x.shape[leading:]
        return jax.ShapeDtypeStruct((size * processes, *rest), x.dtype)

    shapes = jax.tree.map(shape, batch)
    if prepare is None:
        return shapes
    size = jax.tree.leaves(shapes)[0].shape[0]
    keys = jax.eval_shape(example_keys, jax.random.key(0), np.arange(size))
    return jax.eval_shape(prepare, shapes, keys)


def _state_that_fits(
    game: Game, example: Tree, sharding: NamedSharding, seeds: int
) -> State:
    """`state_like` of one seed, before anything is made of sizes that are the user's.

    Raises UserError where a device cannot hold all the seeds' states and its share of
    their batches.
    """
    from gen_jax.runs.checkpoint import state_like

    like, mesh = state_like(game, example, sharding), sharding.mesh
    fraction = memory.size(example) // mesh.size
    needed = {"the state takes": memory.size(like) * seeds, "a batch": fraction * seeds}
    memory.check(needed, mesh.local_devices[0])
    return like


def _steps_per_call(config: FitConfig, left: int, batch: Tree) -> int:
    """How many steps a call takes, no more than are left.

    Raises UserError where the machine cannot hold their batches.
    """
    count = min(config.steps_per_call, left)
    memory.check({f"{count} batches a call take": memory.size(batch) * count})
    return count


class _Stepper:
    """Takes one call's steps: moves their batches to the devices and runs them."""

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
            for count in {1, per_call}
        }
        self._ahead = collections.deque()
        # Forced host devices meet in a collective only if steps do not queue.
        platform = mesh.devices.flat[0].platform
        self._most_ahead = 0 if platform == "cpu" and mesh.size > 1 else _STEPS_AHEAD

    @contextlib.contextmanager
    def compiling(self, state: State, batch: Tree) -> Iterator[None]:
        """Compiles the step in another thread while the body runs; XLA lets go the GIL.

        state: ShapeDtypeStructs, of one seed. The first call finds what was compiled.
        Raises the UserError of a game that the step cannot play, or of a step for which
        there is no memory, before anything is written.
        """
        if jax.process_count() > 1:
            yield
            return
        stacked = self._to_devices([batch] * self._per_call)
        state = jax.tree.map(
            lambda x: x.update(shape=(*self._rng.shape, *x.shape)), state
        )
        lower = functools.partial(self._steps[self._per_call].lower, state, stacked)
        context = contextvars.copy_context()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            compiled = pool.submit(context.run, lambda: lower(self._rng).compile())
            yield
        if isinstance(compiled.exception(), UserError):
            raise compiled.exception()
        if not compiled.exception():  # any other comes again from the first call
            self._check_memory(compiled.result().memory_analysis())

    def _check_memory(self, planned) -> None:
        """Compares what XLA plans to use on each device with what there is."""
        if planned is not None:
            arguments = planned.argument_size_in_bytes - planned.alias_size_in_bytes
            needed = {
                "a step's results take": planned.output_size_in_bytes,
                "its arguments": max(arguments, 0),
                "what it keeps for gradients": planned.temp_size_in_bytes,
            }
            memory.check(needed, self._mesh.local_devices[0])

    def __call__(
        self, state: State, stream: Iterator[Tree], left: int
    ) -> tuple[State, Mapping[str, jax.Array], int]:
        """The state, metrics [count] and count after one call of at most `left`."""
        count = self._per_call if self._per_call <= left else 1
        batch = self._to_devices([next(stream) for _ in range(count)])
        state, metrics = self._steps[count](state, batch, self._rng)
        self._ahead.append(metrics)
        if len(self._ahead) > self._most_ahead:
            jax.block_until_ready(self._ahead.popleft())
        return state, metrics, count

    def _to_devices(self, batches: list[Tree]) -> Tree:
        """One process leaves the move to the step's call, which is quickest."""
        batch, batch_axis = batches[0], 0
        if len(batches) > 1:
            batch, batch_axis = jax.tree.map(lambda *x: np.stack(x), *batches), 1
        if jax.process_count() == 1:
            return batch
        sharding = batch_sharding(self._mesh, batch_axis)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, x), batch
        )


@contextlib.contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """A list that SIGINT and SIGTERM append to; a second one of them acts at once."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {}

    def catch(number, frame):
        caught.append(number)
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, catch)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_for(number: int, step: int) -> None:
    print(f"interrupted and saved at step {step}", file=sys.stderr)
    if number == signal.SIGTERM:
        raise SystemExit(128 + signal.SIGTERM)
    raise KeyboardInterrupt
