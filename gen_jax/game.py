"""The idea: every objective is a game of one or more players.

A player has parameters, a loss and an optimizer. An autoencoder, a VAE and a DDPM are
games of one player; a GAN is a game of two. A loss is a pure function of the states of
all players,

    loss(players, batch, context) -> (value, (own mutable state, metrics)),

differentiated in the moving player's own parameters with everybody else held still.
So Goodfellow et al. (2014) read one payoff V as V_D(G) and V_G(D).

Players in one turn move simultaneously. If their losses draw from `shared_keys`, they
share the forward pass under one jit: XLA computes the same generated images once. A GAN
in one turn then takes 18 % longer than handwritten code, in two turns 33 %.

A loss of one family can train a player of another game. Hand it that player under the
name that the loss knows, here a VAE's term in the loss of a player called "fake":

    value, (mutable, _) = vae.players["model"].loss(
        {"model": players["fake"]}, batch, context
    )
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gen_jax import contracts, devices
from gen_jax.errors import UserError
from gen_jax.ops import Ops

Tree = Any  # a pytree of arrays

NO_OPS = Ops()
_INIT_STREAM = 2**32 - 1  # no step has this number, so none shares a key with it


class Weights(NamedTuple):
    """A network's parameters, and the state that no gradient reaches."""

    params: Tree
    mutable: Tree = {}  # noqa: RUF012  BatchNorm statistics, spectral vectors, histories


class PlayerState(NamedTuple):
    """Everything that one player has learned."""

    params: Tree
    mutable: Tree
    opt: Tree
    ema: tuple[Weights, ...]  # one per half-life
    updates: jax.Array  # int32 []


Players = Mapping[str, PlayerState]


class State(NamedTuple):
    """Everything that a run has learned: enough to resume it, given seed and data."""

    step: jax.Array  # int32 []
    players: Players


class Context(NamedTuple):
    """A loss's third argument, after the players and its batch of B examples.

    Under pmap B counts this device's examples and `batch_size` those of all devices.
    """

    step: jax.Array  # int32 []
    keys: jax.Array  # keys [B], one an example, own to this turn and player
    shared_keys: jax.Array  # keys [B], the same in every turn of a step
    # int32 [B], each example's position in the global batch
    index: jax.Array  # type: ignore[assignment]  # a tuple has a method of this name
    batch_size: int
    axis_name: str | None  # the device axis, as `train_step` was given it

    def gather(self, x: jax.Array) -> jax.Array:
        """Return x [B, ...] of all devices, [batch_size, ...] in the global order.

        Mutable state made of it needs a shard_map of check_vma=False: JAX cannot infer
        that it is the same on all devices.
        """
        if self.axis_name is None:
            return x
        return jax.lax.all_gather(x, self.axis_name, tiled=True)


Loss = Callable[[Players, Any, Context], tuple[jax.Array, tuple[Tree, dict]]]


class Player(NamedTuple):
    """One learner: its first weights, its loss and its optimizer.

    init: (rng, batch) -> Weights.
    loss: (players, batch, context) -> (value [], (own mutable state, metrics)). The
        value is a mean over the batch's examples, the metrics are scalars by name.
        None for a frozen player, which never moves.
    optimizer: turns the loss's gradient into an update.
    ema_halflife_images: half-lives of its averaged weights, in training images.
    """

    init: Callable[[jax.Array, Any], Weights]
    loss: Loss | None
    optimizer: optax.GradientTransformation | None = None
    ema_halflife_images: tuple[float, ...] = ()


class Turn(NamedTuple):
    """The players that move together, and their part of the batch.

    If the largest part of a game's turns is n - 1, part p of a batch x is x[p::n]. On
    several devices each then keeps its own examples, so no data moves.
    """

    players: tuple[str, ...]
    part: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Game:
    """Players, the order in which they move, and the functions of a trained game.

    players: the players by name.
    turns: who moves when, each a Turn or a tuple of names. `(("discriminator",),
        ("generator",))` alternates: a later turn sees the earlier moves. Names in one
        turn move simultaneously.
    ops: functions of the trained players; see `ops.py`.
    num_classes: number of classes that the ops take as y; 0 if they take no y.

    Raises UserError if a turn names an unknown player or one that cannot move, if a
    player could move and has no turn, and for a part of another type.
    """

    players: Mapping[str, Player]
    turns: tuple[Any, ...]  # Turn, or a tuple of names, which becomes one
    ops: Ops = NO_OPS
    num_classes: int = 0

    def __post_init__(self) -> None:
        contracts.check_game(self.players, self.ops, self.num_classes)
        turns = tuple(Turn(*turn) for turn in contracts.checked_turns(self.turns))
        object.__setattr__(self, "turns", turns)
        for name in (name for turn in turns for name in turn.players):
            if name not in self.players:
                known = ", ".join(self.players)
                raise UserError(f"a turn names {name!r}; the players are {known}")
            player = self.players[name]
            if player.loss is None or player.optimizer is None:
                raise UserError(
                    f"{name!r} has a turn but no loss or no optimizer: give both"
                )
        moving = {name for turn in turns for name in turn.players}
        contracts.check_all_move(self.players, moving)

    @property
    def parts(self) -> int:
        """Return the number of parts into which the turns divide a batch."""
        return 1 + max(turn.part for turn in self.turns)


def single_player_game(
    player: Player, ops: Ops = NO_OPS, num_classes: int = 0, name: str = "model"
) -> Game:
    """Return the game whose one player moves at every step."""
    return Game({name: player}, (Turn((name,)),), ops, num_classes)


def parameter_counts(game: Game, batch: Tree) -> dict[str, int]:
    """Count each player's parameters, without allocating any.

    batch: an example batch, arrays [B, ...].
    """
    rng = jax.random.key(0)
    state = jax.eval_shape(lambda b: init_state(game, rng, b), batch)
    return {
        name: sum(leaf.size for leaf in jax.tree.leaves(player.params))
        for name, player in state.players.items()
    }


def init_state(
    game: Game, rng: jax.Array, batch: Tree, given: Mapping[str, Any] | None = None
) -> State:
    """Return the state before the first step.

    rng: the run's key. batch: an example batch, arrays [B, ...]; only its shapes and
        dtypes matter.
    given: the weights of frozen or warm-started players, by name. Weights are anything
        with `params` and `mutable` (Weights, a PlayerState), or a tree of parameters
        for a player without mutable state.

    Raises UserError if `given` names an unknown player or does not fit its network.
    """
    given = contracts.given_weights(given)
    if unknown := set(given) - set(game.players):
        names = ", ".join(map(repr, sorted(unknown)))
        raise UserError(
            f"given names {names}: the players are {', '.join(game.players)}"
        )
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), batch)
    keys = {
        name: jax.random.fold_in(jax.random.fold_in(rng, _INIT_STREAM), number)
        for number, name in enumerate(game.players)
    }
    for name, weights in given.items():
        init = partial(_first_weights, name, game.players[name])
        expected = jax.eval_shape(init, keys[name], zeros)
        given[name] = _fitting(name, weights, expected)

    def start(keys, given):
        players = {}
        for name, player in game.players.items():
            weights = given.get(name) or _first_weights(name, player, keys[name], zeros)
            players[name] = _first_state(player, weights)
        return State(step=jnp.zeros((), jnp.int32), players=players)

    return devices.run_once(start, keys, given)


def _first_weights(name: str, player: Player, key: jax.Array, batch: Tree) -> Weights:
    weights = player.init(key, batch)
    if not isinstance(weights, Weights):
        raise UserError(
            f"the init of {name!r} returned a {type(weights).__name__}: return "
            "Weights(params), or Weights(params, mutable)"
        )
    contracts.check_weights(name, weights)
    return weights


def _first_state(player: Player, weights: Weights) -> PlayerState:
    def copy():  # a donated state must share no buffer, not even with `given`
        return jax.tree.map(jnp.array, weights)

    mine = copy()
    return PlayerState(
        params=mine.params,
        mutable=mine.mutable,
        opt=player.optimizer.init(mine.params) if player.optimizer else (),
        ema=tuple(copy() for _ in player.ema_halflife_images),
        updates=jnp.zeros((), jnp.int32),
    )


def _fitting(name: str, given: Any, expected: Weights) -> Weights:
    """Return the given weights, checked against the shapes of the player's own."""
    if hasattr(given, "params") and hasattr(given, "mutable"):
        weights = Weights(given.params, given.mutable)
    elif jax.tree.leaves(expected.mutable):
        raise UserError(
            f"{name!r} has mutable state too: give Weights(params, mutable)"
        )
    else:
        weights = Weights(given, expected.mutable)
    for mine, theirs, part in zip(weights, expected, Weights._fields, strict=True):
        if line := contracts.first_difference(mine, theirs, f"{name}.{part}"):
            raise UserError(f"the weights given for {name!r} do not fit: {line}")
    return weights


def averaged(players: Players, ema: int = 0) -> Players:
    """Return the players with averaged weights in place of the raw ones, if any.

    ema: index of the half-life in `ema_halflife_images`.

    Raises UserError if a player has averages, but not that many.
    """
    contracts.check_averages(players, ema)
    return {
        name: player._replace(**player.ema[ema]._asdict()) if player.ema else player
        for name, player in players.items()
    }
