"""Small games: of a course known in closed form, and one of all that a state holds."""

import jax
import jax.numpy as jnp
import optax

from gen_jax.game import Game, Player, Turn, Weights
from gen_jax.ops import Ops
from gen_jax.optimizers import adam


def scalar_player(loss, learning_rate=0.1, start=1.0, **options) -> Player:
    """A player of one number w, moved by SGD."""
    return Player(
        init=lambda rng, batch: Weights({"w": jnp.float32(start)}),
        loss=loss,
        optimizer=optax.sgd(learning_rate),
        **options,
    )


def bilinear_game(turns) -> Game:
    """min over a, max over b of a * b: the saddle that alternating play circles."""

    def value(players):
        return players["a"].params["w"] * players["b"].params["w"]

    return Game(
        players={
            "a": scalar_player(lambda players, *_: (value(players), ({}, {}))),
            "b": scalar_player(lambda players, *_: (-value(players), ({}, {}))),
        },
        turns=turns,
    )


def untrained_game(ops: Ops, num_classes: int = 0) -> Game:
    """A game with these ops, whose one player has no parameters."""
    player = Player(lambda rng, batch: Weights({}), lambda *_: None, optax.identity())
    return Game({"model": player}, (("model",),), ops, num_classes)


def mean_game(turns=(("model",),), **options) -> Game:
    """Build a game whose parameter w moves to the batch's mean."""

    def loss(players, batch, context):
        w = players["model"].params["w"]
        value = jnp.mean((w - batch["x"]) ** 2) / 2
        index = jnp.sum(context.gather(context.index)).astype(jnp.float32)
        return value, ({}, {"index_sum": index})

    return Game({"model": scalar_player(loss, **options)}, turns)


def critic_game(critic_turns: int) -> Game:
    """A critic that moves n times on fresh parts, then a generator on the last."""

    def critic_loss(players, batch, context):
        w = players["critic"].params["w"]
        return jnp.mean((w - batch["x"]) ** 2) / 2, ({}, {"seen": jnp.sum(batch["x"])})

    def generator_loss(players, batch, context):
        gap = players["generator"].params["w"] - players["critic"].params["w"]
        return gap**2 / 2, ({}, {"seen": jnp.sum(batch["x"])})

    critic = tuple(Turn(("critic",), part) for part in range(critic_turns))
    return Game(
        {
            "critic": scalar_player(critic_loss),
            "generator": scalar_player(generator_loss),
        },
        (*critic, Turn(("generator",), critic_turns)),
    )


def noisy_game():
    """Adam, averages, mutable state, noise, and samples to draw."""

    def init(rng, batch):
        weights = {"w": jax.random.normal(rng, (4, 4, 1))}
        return Weights(weights, {"last": jnp.float32(0)})

    def loss(players, batch, context):
        noise = jax.vmap(lambda key: jax.random.normal(key, (4, 4, 1)))(context.keys)
        error = (
            players["model"].params["w"][None] - noise - batch["x"][:, None, None, None]
        )
        mean = jnp.mean(context.gather(batch["x"]))
        return jnp.mean(error**2), ({"last": mean}, {})

    def sample(players, keys):
        noise = jax.vmap(lambda key: jax.random.normal(key, (4, 4, 1)))(keys)
        return jnp.tanh(players["model"].params["w"][None] + noise)

    player = Player(init, loss, adam(0.05), (100.0,))
    return Game({"model": player}, (("model",),), Ops(sample=sample))
