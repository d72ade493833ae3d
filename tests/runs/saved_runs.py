"""Runs of a small game with checkpoints, and how to damage them."""

import jax
import jax.numpy as jnp
import numpy as np
from games import mean_game

from gen_jax.game import Weights, init_state
from gen_jax.optimizers import adam
from gen_jax.runs.writer import Writer
from gen_jax.step import make_train_step

BATCH = {"x": jnp.linspace(-1.0, 2.0, 8, dtype=jnp.float32)}
META = {"batch": {"x": {"shape": [8], "dtype": "float32"}}}
RNG = jax.random.key(3)


def adam_game():
    game = mean_game(ema_halflife_images=(50.0, 100.0))
    player = game.players["model"]._replace(optimizer=adam(0.1, clip_norm=1.0))

    def init(rng, batch):
        w = jax.random.normal(rng, (2, 3))
        return Weights({"w": w, "b": jnp.zeros(3)}, {"n": {"mean": jnp.arange(3.0)}})

    def loss(players, batch, context):
        params = players["model"].params
        noise = jax.vmap(lambda key: jax.random.normal(key, (2, 3)))(context.keys)
        error = params["w"][None] + params["b"] - noise - batch["x"][:, None, None]
        mutable = {"n": {"mean": players["model"].mutable["n"]["mean"] + 1.0}}
        return jnp.mean(error**2), (mutable, {})

    game.players["model"] = player._replace(init=init, loss=loss)
    return game


def train(game, state, steps, **options):
    step = make_train_step(game, **options)
    for _ in range(steps):
        state, _ = step(state, BATCH, RNG)
    return state


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def save(folder, game, steps=(3,), keep_every_steps=0):
    """Checkpoints of a run at `steps`, and the states that they should hold."""
    state, states = init_state(game, jax.random.key(0), BATCH), {}
    writer = Writer(folder / "checkpoints", keep_every_steps)
    for step in steps:
        state = train(game, state, step - int(state.step))
        states[step] = jax.tree.map(np.array, state)
        writer.save(step, state, META)
        state = train(game, state, 0)
    state = train(game, state, 10)  # donates the buffers that were saved last
    writer.close()
    return states


def damage(directory):
    """Truncates every data file of a step directory."""
    files = [path for path in (directory / "state").rglob("d/*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:10])
