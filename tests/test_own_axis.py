"""The step inside a pmap, vmap or shard_map of one's own; only a given axis counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import mean_game, noisy_game
from jax.sharding import PartitionSpec

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.game import init_state
from gen_jax.step import train_step

RNG = jax.random.key(7)
BATCH = {"x": jnp.linspace(-1.0, 2.0, 24, dtype=jnp.float32)}
AXIS = devices.BATCH_AXIS
close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def three_steps(step, game, batch=BATCH):
    """The state after three steps, and the last one's metrics."""
    state = init_state(game, jax.random.key(0), BATCH)
    for _ in range(3):
        state, metrics = step(state, batch, RNG)
    return jax.device_get((state, metrics))


def alone(game):
    return three_steps(jax.jit(functools.partial(train_step, game=game)), game)


def test_the_axis_of_an_own_pmap_is_that_of_the_step():
    game = noisy_game()
    step = jax.pmap(
        functools.partial(train_step, game=game, axis_name="devices"),
        axis_name="devices",
        in_axes=(None, 0, None),
        out_axes=None,
    )
    divided = {"x": BATCH["x"].reshape(4, 6)}
    jax.tree.map(close, three_steps(step, game, divided), alone(game))


@pytest.mark.parametrize(
    ("game", "check_vma"),
    # JAX cannot infer that what `gather` returns is the same on all devices.
    [(mean_game(), True), (mean_game(), False), (noisy_game(), False)],
)
def test_the_axis_of_an_own_shard_map_is_that_of_the_step(game, check_vma):
    step = jax.shard_map(
        functools.partial(train_step, game=game, axis_name=AXIS),
        mesh=devices.data_mesh(),
        in_specs=(PartitionSpec(), PartitionSpec(AXIS), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=check_vma,
    )
    jax.tree.map(close, three_steps(jax.jit(step), game), alone(game))


def test_an_axis_called_batch_does_not_mix_seeds():
    game, seeds = noisy_game(), jnp.arange(3)

    def train(seed):
        rng = jax.random.key(seed)
        state, metrics = init_state(game, rng, BATCH), {}
        for _ in range(2):
            state, metrics = train_step(state, BATCH, rng, game=game)
        return state.players["model"].params["w"], metrics

    together = jax.vmap(train, axis_name="batch")(seeds)
    one_by_one = jax.tree.map(lambda *x: jnp.stack(x), *map(train, seeds))
    jax.tree.map(close, together, one_by_one)


def test_an_axis_that_is_not_bound_is_named():
    game = mean_game()
    with pytest.raises(UserError, match="axis_name='devices' is not bound: call this"):
        three_steps(functools.partial(train_step, game=game, axis_name="devices"), game)
