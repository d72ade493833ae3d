"""Small games whose course is known in closed form."""

import jax.numpy as jnp
import optax

from gen_jax.game import Game, Player, Turn, Weights


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

    def value(board):
        return board["a"].params["w"] * board["b"].params["w"]

    return Game(
        players={
            "a": scalar_player(lambda board, *_: (value(board), ({}, {}))),
            "b": scalar_player(lambda board, *_: (-value(board), ({}, {}))),
        },
        turns=turns,
    )


def mean_game(turns=(("model",),), **options) -> Game:
    """w runs after the batch's mean; reports what it saw of the context."""

    def loss(board, batch, context):
        w = board["model"].params["w"]
        value = jnp.mean((w - batch["x"]) ** 2) / 2
        index = jnp.sum(context.gather(context.index)).astype(jnp.float32)
        return value, ({}, {"index_sum": index})

    return Game({"model": scalar_player(loss, **options)}, turns)


def critic_game(critic_turns: int) -> Game:
    """A critic that moves n times on fresh parts, then a generator on the last."""

    def critic_loss(board, batch, context):
        w = board["critic"].params["w"]
        return jnp.mean((w - batch["x"]) ** 2) / 2, ({}, {"seen": jnp.sum(batch["x"])})

    def generator_loss(board, batch, context):
        gap = board["generator"].params["w"] - board["critic"].params["w"]
        return gap**2 / 2, ({}, {"seen": jnp.sum(batch["x"])})

    critic = tuple(Turn(("critic",), part) for part in range(critic_turns))
    return Game(
        {
            "critic": scalar_player(critic_loss),
            "generator": scalar_player(generator_loss),
        },
        (*critic, Turn(("generator",), critic_turns)),
    )
