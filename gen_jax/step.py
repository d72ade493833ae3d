"""The train step that serves every family, and the one place that compiles it.

A step plays a game's turns once. No random state is carried: example i of step s has
its own key, derived from (seed, step, turn, player, i). So the same seed gives the same
run on one device or many, under jit or pmap, and after a restart.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from gen_jax import arguments, contracts, devices
from gen_jax.errors import UserError
from gen_jax.game import Context, Game, Player, PlayerState, State, Tree
from gen_jax.optimizers import averaged_weights

Metrics = dict[str, jax.Array]

# Streams of keys within a step. Turn n has _FIRST_TURN + n, so that no turn ever shares
# a stream with the other two.
_SHARED, _PREPARE, _FIRST_TURN = 0, 1, 2
_SAMPLES = 2**32 - 2  # no step has this number: steps are int32


def train_step(
    state: State,
    batch: Tree,
    rng: jax.Array,
    *,
    game: Game,
    microbatches: int = 1,
    axis_name: str | None = None,
) -> tuple[State, Metrics]:
    """Play every turn of the game once.

    batch: arrays [B, ...]. rng: the run's key, the same at every step.
    microbatches: number of pieces in which each gradient is accumulated.
    axis_name: the axis of your own pmap or shard_map along which the batch is divided;
        None if `batch` is the whole one. Gradients, metrics, keys and the statistics of
        `layers.batch_norm` are then those of the global batch. A network's own
        nn.BatchNorm cannot know of the axis: use `layers.batch_norm`.

    Returns the next state and scalars named `player/metric`, averaged over a player's
    turns: its loss, its gradient's norm, and the metrics that its loss returns. Raises
    UserError, while tracing, for a loss that returns another form (`contracts`), for
    images as uint8, and for a batch that cannot be divided.
    """
    contracts.check_batch(batch, game.parts * microbatches)
    # Derived from seed and step alone: a resumed run draws the same numbers.
    rng = jax.random.fold_in(rng, state.step)
    players, reports = state.players, []
    with devices.batch_divided_along(axis_name):
        for number, turn in enumerate(game.turns):
            examples = _strided((batch, _global_index(batch)), turn.part, game.parts)
            moved = {}
            for name in turn.players:
                streams = _streams(rng, number, game, name)
                loss = partial(
                    _loss_of_params, game, players, name, state.step, streams
                )
                moved[name], report = _update_player(
                    game.players[name], players[name], loss, examples, microbatches
                )
                reports.append({f"{name}/{key}": report[key] for key in report})
            # After the loop: players in one turn move simultaneously, from old states.
            players = {**players, **moved}
    return State(state.step + 1, players), _mean_by_name(reports)


def _streams(
    rng: jax.Array, number: int, game: Game, name: str
) -> tuple[jax.Array, jax.Array]:
    """Return two keys: of a player's own randomness in a turn, and of the step's."""
    own = jax.random.fold_in(rng, _FIRST_TURN + number)
    # Keyed by position, so that renaming a player changes no random numbers.
    own = jax.random.fold_in(own, list(game.players).index(name))
    # The same in every turn, so that XLA computes shared fakes only once.
    return own, jax.random.fold_in(rng, _SHARED)


def _loss_of_params(game, players, name, step, streams, params, examples):
    """Compute one player's loss as a function of its own parameters: V_name."""
    # Only these parameters get a gradient, so a loss needs no stop_gradient.
    players = {**players, name: players[name]._replace(params=params)}
    (batch, index), (own, shared) = examples, streams
    context = Context(
        step=step,
        keys=example_keys(own, index),
        shared_keys=example_keys(shared, index),
        index=index,
        batch_size=_global_size(index),
        axis_name=devices.batch_axis(),
    )
    result = game.players[name].loss(players, batch, context)
    # Checked while tracing, so a compiled step spends no time on it.
    contracts.check_loss(name, players[name].mutable, result)
    return result


def _update_player(
    player: Player,
    mine: PlayerState,
    loss_of_params: Callable,
    examples: tuple[Tree, jax.Array],
    microbatches: int,
) -> tuple[PlayerState, Metrics]:
    """Move one player along its loss's gradient; return its metrics too."""
    gradient = jax.value_and_grad(loss_of_params, has_aux=True)
    params = mine.params
    if axis := devices.batch_axis():
        # Else shard_map sums the gradients of parameters that all devices share.
        params = jax.lax.pcast(params, axis, to="varying")
    if microbatches > 1:
        if jax.tree.leaves(mine.mutable):
            raise UserError(
                "microbatches need players without mutable state: BatchNorm would make "
                "each part of a batch another model; use microbatches=1"
            )
        gradient = _accumulated(gradient, microbatches)
    (loss, (mutable, metrics)), grads = gradient(params, examples)
    metrics = {"loss": loss, **metrics}
    if axis:
        # Devices hold equally many examples: the mean of their means is the batch's.
        grads, metrics = jax.lax.pmean((grads, metrics), axis)
    assert player.optimizer is not None  # `Game` gives it a turn only then
    # Some of optax's optimizers read the loss: reduce_on_plateau, line searches.
    optimizer = optax.with_extra_args_support(player.optimizer)
    with jax.numpy_dtype_promotion("standard"):  # Adam mixes int32 counts and floats
        updates, opt = optimizer.update(
            grads, mine.opt, mine.params, value=metrics["loss"], grad=grads
        )
    params = optax.apply_updates(mine.params, updates)
    ema = averaged_weights(
        mine, params, mutable, player.ema_halflife_images, _global_size(examples[1])
    )
    # The norm before clipping, which is a part of the optimizer.
    metrics["grad_norm"] = optax.tree.norm(grads)
    return PlayerState(params, mutable, opt, ema, mine.updates + 1), metrics


def _accumulated(gradient: Callable, microbatches: int) -> Callable:
    """Return a function that averages the gradients of a batch's strided pieces."""

    def mean_gradient(params, examples):
        # A strided piece has examples of every device, so no data moves between them.
        pieces = jax.tree.map(
            lambda x: jnp.swapaxes(x.reshape(-1, microbatches, *x.shape[1:]), 0, 1),
            examples,
        )
        first = jax.tree.map(lambda x: x[0], pieces)
        zeros = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype),
            jax.eval_shape(gradient, params, first),
        )

        def add(total, piece):
            return jax.tree.map(jnp.add, total, gradient(params, piece)), None

        # A scan holds the activations of one piece at a time, and compiles it once.
        total, _ = jax.lax.scan(add, zeros, pieces)
        return jax.tree.map(lambda x: x / microbatches, total)

    return mean_gradient


def example_keys(rng: jax.Array, index: ArrayLike) -> jax.Array:
    """Return keys [B], one for each position int32 [B] in the global batch."""
    return jax.vmap(jax.random.fold_in, (None, 0))(rng, index)


def sample_keys(seed: int, index: ArrayLike) -> jax.Array:
    """Return keys [B] of the samples at `index`, distinct from those of all steps."""
    return example_keys(jax.random.fold_in(jax.random.key(seed), _SAMPLES), index)


def _strided(tree: Tree, part: int, parts: int) -> Tree:
    """Return x[part::parts] of every leaf."""
    if parts == 1:
        return tree
    return jax.tree.map(
        lambda x: x.reshape(x.shape[0] // parts, parts, *x.shape[1:])[:, part], tree
    )


def _global_index(batch: Tree) -> jax.Array:
    """Return int32 [B]: the examples' positions in the batch of all devices."""
    local_size = jax.tree.leaves(batch)[0].shape[0]
    index = jnp.arange(local_size, dtype=jnp.int32)
    if axis := devices.batch_axis():  # a device sees only its own part of the batch
        index += jax.lax.axis_index(axis) * local_size
    return index


def _global_size(index: jax.Array) -> int:
    axis = devices.batch_axis()
    return index.shape[0] * (jax.lax.axis_size(axis) if axis else 1)


def _mean_by_name(reports: list[Metrics]) -> Metrics:
    names = {name: None for report in reports for name in report}
    values = {
        name: [report[name] for report in reports if name in report] for name in names
    }
    return {name: sum(x[1:], x[0]) / len(x) for name, x in values.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A compiled step: (state, batch, rng) -> (state, metrics)."""

    _compiled: Any  # by `jax.jit`
    _check_size: Callable[[int], None]
    _leading: tuple[str, ...]  # names of the axes before [B], of "k" and "S"
    _per_call: int
    _of_state: Any  # the state's shardings

    def __call__(
        self, state: State, batch: Tree, rng: jax.Array
    ) -> tuple[State, Metrics]:
        """Check that the devices can divide the batch [B, ...]; then take the step.

        The state is moved to its devices first: jit would compile once for a new state
        and once for the result of a step.
        """
        if self._leading:
            sizes = {"k": self._per_call, "S": rng.shape[0] if rng.ndim else None}
            arguments.check_leading(
                batch, {name: sizes[name] for name in self._leading}
            )
        self._check_size(jax.tree.leaves(batch)[0].shape[len(self._leading)])
        if getattr(state.step, "sharding", None) != jax.tree.leaves(self._of_state)[0]:
            state = jax.device_put(state, self._of_state)
        return self._compiled(state, batch, rng)

    def lower(self, *args: Any) -> Any:
        """Lower the step for arguments or their shapes, as a function of `jax.jit`."""
        return self._compiled.lower(*args)


def make_train_step(
    game: Game,
    backend: str = "jit",
    mesh: Mesh | None = None,
    *,
    spec: Any = None,
    steps_per_call: int = 1,
    microbatches: int = 1,
    over_seeds: bool = False,
    prepare: Callable[[Tree, jax.Array], Tree] | None = None,
    donate: bool = True,
    compiler_options: dict[str, str] | None = None,
) -> Step:
    """Compile `train_step`: (state, batch, rng) -> (state, metrics).

    backend: "jit", or "pmap", the classic data-parallel form. Both take and return the
        same global arrays, so a run may change backend between two steps.
    mesh: the devices, on one axis named `devices.BATCH_AXIS`; None for the first one.
    spec: PartitionSpecs of the state (a prefix of its tree); None replicates it. jit.
    steps_per_call: k steps in one call on a batch [k, B, ...]; metrics become [k].
    over_seeds: take the step of S runs at once. The state's leaves, batch, keys and
        metrics have one more axis [S], before [B] and after [k]. jit.
    prepare: (batch, keys [B]) -> batch, on the device: normalisation, augmentation.
        Without it, images as uint8 [B, H, W, C] are refused.
    donate: whether to reuse the state's buffers; the old state is then deleted.
    compiler_options: XLA's options; None for this platform's.

    Raises UserError for an unknown backend or mesh, and for options that pmap lacks. A
    call raises it for a batch that is not divisible or lacks the axes [k] or [S].
    """
    arguments.check_backend(backend, spec, over_seeds)
    mesh = arguments.checked_mesh(mesh or devices.data_mesh(jax.devices()[:1]))
    # Under jit the batch is one global array: XLA adds the communication itself.
    axis = devices.BATCH_AXIS if backend == "pmap" else None

    def step(state, batch, rng):
        batch = _prepared(prepare, batch, rng, state.step, axis)
        return train_step(
            state, batch, rng, game=game, microbatches=microbatches, axis_name=axis
        )

    one_step = jax.vmap(step) if over_seeds else step  # within the scan: [k, S, B]

    def steps(state, batches, rng):
        if steps_per_call == 1:
            return one_step(state, batches, rng)
        return jax.lax.scan(lambda s, b: one_step(s, b, rng), state, batches)

    options: dict[str, Any] = {"donate_argnums": 0} if donate else {}
    if compiler_options is not None:
        options["compiler_options"] = compiler_options
    leading = ("k",) * (steps_per_call > 1) + ("S",) * over_seeds
    places = _shardings(mesh, spec, len(leading))
    if backend == "pmap":  # within jit, because pmap takes no compiler options
        compiled = devices.jit(_pmapped(steps, mesh, len(leading)), **options)
    else:
        compiled = devices.jit(steps, **options, **places)

    check = partial(arguments.check_divides, game, mesh, microbatches)
    return Step(compiled, check, leading, steps_per_call, places["out_shardings"][0])


def _prepared(prepare, batch, rng, step, axis_name):
    """Return the batch that the game sees, prepared under its examples' own keys."""
    if prepare is None:
        return batch
    # A stream of its own: all turns of a step see the same prepared batch.
    key = jax.random.fold_in(jax.random.fold_in(rng, step), _PREPARE)
    with devices.batch_divided_along(axis_name):
        return prepare(batch, example_keys(key, _global_index(batch)))


def _pmapped(steps: Callable, mesh: Mesh, batch_axis: int) -> Callable:
    """Return `steps` through pmap, with the same global arrays as under jit."""
    # None: the state has no device axis, so its checkpoints are those of jit.
    pmapped = jax.pmap(
        steps,
        axis_name=devices.BATCH_AXIS,
        in_axes=(None, batch_axis, None),
        out_axes=(None, None),
        devices=list(mesh.devices.flat),
    )

    def on_global_batch(state, batch, rng):
        def split(x):
            return x.reshape(
                *x.shape[:batch_axis], mesh.size, -1, *x.shape[batch_axis + 1 :]
            )

        return pmapped(state, jax.tree.map(split, batch), rng)

    return on_global_batch


def batch_sharding(mesh: Mesh, batch_axis: int = 0) -> NamedSharding:
    """Return the sharding that divides a batch's examples among the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * batch_axis, devices.BATCH_AXIS))


def _shardings(mesh: Mesh, spec: Any, batch_axis: int) -> dict[str, Any]:
    replicated = devices.everywhere(mesh)
    state = replicated
    if spec is not None:
        state = jax.tree.map(
            lambda p: NamedSharding(mesh, p),
            spec,
            is_leaf=lambda p: isinstance(p, PartitionSpec),
        )
    batch = batch_sharding(mesh, batch_axis)
    # The state has one sharding in and out, so that the next call moves nothing.
    return {
        "in_shardings": (state, batch, replicated),
        "out_shardings": (state, replicated),
    }
