"""The idea: every objective is a game of one or more players.

A player has parameters, a loss and an optimizer. An autoencoder, a VAE and a DDPM
are games of one player; a GAN is a game of two. All that is learned lies on the
*board*: the players' states by name. A loss is a pure payoff on the whole board,

    loss(board, batch, context) -> (value, (own mutable state, metrics)),

differentiated in the mover's own parameters with everybody else held still, as in
Goodfellow et al. (2014), where one V is read as V_D(G) and V_G(D).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gen_jax import devices
from gen_jax.ops import Ops

Tree = Any  # a pytree of arrays

NO_OPS = Ops()
_INIT_STREAM = 2**32 - 1  # no step counts that far, so no step shares a key with it


class Weights(NamedTuple):
    """What a network is made of: parameters, and state that no gradient reaches."""

    params: Tree
    mutable: Tree = {}  # noqa: RUF012  BatchNorm statistics, spectral vectors, histories


class PlayerState(NamedTuple):
    """All that one player has learned."""

    params: Tree
    mutable: Tree
    opt: Tree
    ema: tuple[Weights, ...]  # one per half-life
    updates: jax.Array  # int32 []


Players = Mapping[str, PlayerState]


class State(NamedTuple):
    """All that a run has learned: enough to continue it, given seed and data."""

    step: jax.Array  # int32 []
    players: Players


class Context(NamedTuple):
    """What a loss may know beside the board and its batch of B examples.

    Under pmap B counts this device's examples, `batch_size` those of all devices.
    """

    step: jax.Array  # int32 []
    keys: jax.Array  # keys [B], one an example, own to this turn and player
    shared_keys: jax.Array  # keys [B], the same in every turn of a step
    index: jax.Array  # int32 [B], each example's place in the global batch
    batch_size: int
    axis_name: str | None  # the device axis, where one is bound

    def gather(self, x: jax.Array) -> jax.Array:
        """x [B, ...] -> [batch_size, ...], of all devices in the global order."""
        if self.axis_name is None:
            return x
        return jax.lax.all_gather(x, self.axis_name, tiled=True)


class Player(NamedTuple):
    """One learner: how it starts, what it minimises, how it moves.

    init: (rng, batch) -> Weights.
    loss: (board, batch, context) -> (value [], (own mutable state, metrics)), a mean
        over the batch's examples; None for a frozen player, which never moves.
    optimizer: what turns the loss's gradient into a move.
    ema_halflife_images: half-lives of its averaged weights, in training images.
    """

    init: Callable[[jax.Array, Any], Weights]
    loss: Callable[[Players, Any, Context], tuple[jax.Array, tuple[Tree, dict]]] | None
    optimizer: optax.GradientTransformation | None = None
    ema_halflife_images: tuple[float, ...] = ()


class Turn(NamedTuple):
    """Who moves together, on which of the game's parts of the batch.

    Where the largest part of a game's turns is n - 1, part p of a batch x is x[p::n]:
    on several devices each keeps what it has, so no data moves.
    """

    players: tuple[str, ...]
    part: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Game:
    """Players, the order in which they move, and what can be done with them.

    players: the players by name.
    turns: who moves when. `(("discriminator",), ("generator",))` alternates: a later
        turn sees the earlier moves; names in one turn move simultaneously.
    ops: what can be done with the trained game; see `ops.py`.
    num_classes: how many classes the ops tell apart by y; 0: they are never given y.

    Raises ValueError where a turn names an unknown player, or one that cannot move.
    """

    players: Mapping[str, Player]
    turns: tuple[Turn | tuple[str, ...], ...]
    ops: Ops = NO_OPS
    num_classes: int = 0

    def __post_init__(self):
        turns = tuple(t if isinstance(t, Turn) else Turn(tuple(t)) for t in self.turns)
        object.__setattr__(self, "turns", turns)
        for name in (name for turn in turns for name in turn.players):
            if name not in self.players:
                known = ", ".join(self.players)
                raise ValueError(f"a turn names {name!r}; the players are {known}")
            player = self.players[name]
            if player.loss is None or player.optimizer is None:
                raise ValueError(f"{name!r} has a turn but no loss or no optimizer")

    @property
    def parts(self) -> int:
        """Into how many parts the turns divide a batch."""
        return 1 + max(turn.part for turn in self.turns)


def single_player_game(player: Player, ops: Ops = NO_OPS, num_classes: int = 0) -> Game:
    """The game whose one player, "model", moves at every step."""
    return Game({"model": player}, (Turn(("model",)),), ops, num_classes)


def parameter_counts(game: Game, batch: Tree) -> dict[str, int]:
    """How many parameters each player has, without making any.

    batch: as for `init_state`.
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
    """The state before the first step.

    rng: the run's key. batch: an example batch; only its shapes and dtypes matter.
    given: parameters (or Weights) by player's name, for a frozen or warm-started one.

    Raises ValueError where `given` names no player or does not fit one.
    """
    given = dict(given or {})
    if unknown := set(given) - set(game.players):
        raise ValueError(
            f"{sorted(unknown)} given; the players are {list(game.players)}"
        )
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), batch)
    keys = {
        name: jax.random.fold_in(jax.random.fold_in(rng, _INIT_STREAM), number)
        for number, name in enumerate(game.players)
    }
    for name in given:
        given[name] = _fit_given(
            name, game.players[name], keys[name], zeros, given[name]
        )

    def start(keys, given):
        players = {}
        for name, player in game.players.items():
            weights = given.get(name) or Weights(*player.init(keys[name], zeros))
            players[name] = _first_state(player, weights)
        return State(step=jnp.zeros((), jnp.int32), players=players)

    return devices.run_once(start, keys, given)


def _first_state(player: Player, weights: Weights) -> PlayerState:
    def copy():  # a donated state must not share a buffer, neither with what was given
        return jax.tree.map(jnp.array, weights)

    mine = copy()
    return PlayerState(
        params=mine.params,
        mutable=mine.mutable,
        opt=player.optimizer.init(mine.params) if player.optimizer else (),
        ema=tuple(copy() for _ in player.ema_halflife_images),
        updates=jnp.zeros((), jnp.int32),
    )


def _fit_given(name, player, key, batch, given) -> Weights:
    """The given weights, checked against what the player would start with."""
    expected = Weights(*jax.eval_shape(player.init, key, batch))
    weights = given if isinstance(given, Weights) else Weights(given, expected.mutable)
    if not isinstance(given, Weights) and jax.tree.leaves(expected.mutable):
        raise ValueError(f"{name!r} has mutable state too: give Weights, not params")

    def shapes(tree):
        return jax.tree.map(lambda leaf: (leaf.shape, jnp.dtype(leaf.dtype)), tree)

    if shapes(weights) != shapes(expected):
        raise ValueError(f"the weights given for {name!r} do not fit its network")
    return weights


def averaged(players: Players, ema: int = 0) -> Players:
    """The board with every player that has averaged weights playing those.

    ema: index of the half-life in `ema_halflife_images`.
    """
    return {
        name: player._replace(**player.ema[ema]._asdict()) if player.ema else player
        for name, player in players.items()
    }
