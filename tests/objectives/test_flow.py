"""The loss by hand, exact velocities followed, and a ring learned."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.errors import UserError
from gen_jax.game import Weights, init_state
from gen_jax.models.mlp import TimeMlp
from gen_jax.objectives.flow import flow
from gen_jax.step import make_train_step

RNG = jax.random.key(0)
EMPTY = {"model": Weights({})}
SCALE = 0.5


class Zero(nn.Module):
    """u = 0."""

    def __call__(self, x, t, y, keys):
        return jnp.zeros_like(x)


class Gaussian(nn.Module):
    """The exact velocity of data from N(0, SCALE^2): E[eps - x_0 | x_t]."""

    def __call__(self, x, t, y, keys):
        t = t[:, None] / 1000
        variance = (1 - t) ** 2 * SCALE**2 + t**2
        return (t - (1 - t) * SCALE**2) / variance * x


class Context:
    keys = jax.random.split(RNG, 4000)


def _game(network):
    return flow(network, shape=(2,), optimizer=optax.sgd(0.1))


def test_the_loss_of_no_velocity_is_the_mean_square_of_the_line():
    """E |eps - x_0|^2 = 1 + x_0^2 a pixel."""
    x = jnp.full((4000, 2), 0.6)
    value, _ = _game(Zero()).players["model"].loss(EMPTY, {"x": x}, Context)
    np.testing.assert_allclose(value, 1.36, atol=0.08)


def test_the_exact_velocity_has_the_smallest_loss():
    """Its loss is the variance that x_t leaves in eps - x_0, by quadrature over t."""
    x = SCALE * jax.random.normal(jax.random.key(3), (4000, 2))
    value, _ = _game(Gaussian()).players["model"].loss(EMPTY, {"x": x}, Context)
    t = (np.arange(1000) + 0.5) / 1000
    variance = (1 - t) ** 2 * SCALE**2 + t**2
    least = (1 + SCALE**2 - (t - (1 - t) * SCALE**2) ** 2 / variance).mean()
    np.testing.assert_allclose(value, least, atol=0.03)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2)])
def test_solvers_have_their_order_on_the_exact_flow(sampler, order):
    """From N(0, 1) to N(0, SCALE^2) the flow is x -> SCALE x."""
    ops = _game(Gaussian()).ops
    keys = jax.random.split(RNG, 20)
    z = np.asarray(ops.prior(EMPTY, keys))

    def error(steps):
        options = {"sampler": sampler, "sampling_steps": steps}
        return np.abs(ops.sample(EMPTY, keys, **options) - SCALE * z).max()

    np.testing.assert_allclose(error(20) / error(40), 2**order, rtol=0.3)


def test_sampling_options_are_those_that_sample_uses():
    ops, keys = _game(Gaussian()).ops, jax.random.split(RNG, 5)
    said = ops.sampling_options()
    assert said == {"sampler": "heun", "sampling_steps": 50}
    x = ops.sample(EMPTY, keys, **said)
    np.testing.assert_array_equal(x, ops.sample(EMPTY, keys))
    fewer = {"sampler": "euler", "sampling_steps": 3}
    assert ops.sampling_options(**fewer) == fewer


def test_encode_and_decode_are_inverses():
    ops = _game(Gaussian()).ops
    x = jnp.float32(np.random.default_rng(0).normal(size=(10, 2)))
    z = ops.encode(EMPTY, x)
    np.testing.assert_allclose(z, x / SCALE, rtol=2e-3)
    np.testing.assert_allclose(ops.decode(EMPTY, z), x, rtol=2e-3)


def test_diffuse_predict_x0_and_denoise_between_follow_the_line():
    """Of x_0 from N(0, SCALE^2), E[x_0 | x_t] and the flow are linear in x_t."""
    ops = _game(Gaussian()).ops
    keys = jax.random.split(RNG, 5000)
    x = SCALE * jax.random.normal(jax.random.key(3), (5000, 2))
    x_t = ops.diffuse(EMPTY, x, keys, 0.6)
    variance = (0.4 * SCALE) ** 2 + 0.6**2
    np.testing.assert_allclose(x_t.std(), np.sqrt(variance), rtol=0.02)
    guess = ops.predict_x0(EMPTY, x_t, 0.6)
    np.testing.assert_allclose(guess, 0.4 * SCALE**2 / variance * x_t, rtol=1e-4)
    restored = ops.denoise_between(EMPTY, x_t, keys, 0.6, 0.0)
    np.testing.assert_allclose(restored, x_t * SCALE / np.sqrt(variance), rtol=2e-3)


def test_an_unknown_solver_is_named():
    with pytest.raises(UserError, match="heun, euler"):
        _game(Zero()).ops.sample(EMPTY, Context.keys[:2], sampler="ddim")


def test_it_learns_where_the_data_are():
    game = flow(TimeMlp(hidden=(64, 64)), shape=(2,), optimizer=optax.adam(3e-3))
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (1000, 128))
    x = jnp.float32(0.8 * np.stack([np.cos(angle), np.sin(angle)], -1))
    state = init_state(game, RNG, {"x": x[0]})
    state, _ = make_train_step(game, steps_per_call=1000)(state, {"x": x}, RNG)
    keys = jax.random.split(jax.random.key(1), 500)
    x = np.asarray(jax.jit(game.ops.sample)(state.players, keys))
    radius = np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(radius.mean(), 0.8, atol=0.1)
    assert radius.std() < 0.2


def test_predict_x0_takes_a_time_for_each_example_and_can_be_traced():
    """E[x_0 | x_t] = (1 - t) s^2 / ((1 - t)^2 s^2 + t^2) x_t for x_0 ~ N(0, s^2)."""
    game = flow(Gaussian(), shape=(2,), optimizer=optax.sgd(0.1))
    x_t = jnp.float32(np.random.default_rng(0).normal(size=(3, 2)))
    t = np.float32([[0.1], [0.5], [1.0]])
    weight = (1 - t) * SCALE**2 / ((1 - t) ** 2 * SCALE**2 + t**2)
    found = jax.jit(game.ops.predict_x0)(EMPTY, x_t, jnp.asarray(t[:, 0]))
    np.testing.assert_allclose(found, weight * np.asarray(x_t), rtol=1e-4, atol=1e-6)
