"""The simple loss by hand, its sampling op, and that a ring of points is learned."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.diffusion import samplers, schedules
from gen_jax.errors import UserError
from gen_jax.game import Weights, averaged, init_state
from gen_jax.objectives.ddpm import Recipe, ddpm
from gen_jax.step import make_train_step

RNG = jax.random.key(0)
SMALL = schedules.make_schedule(schedules.linear_betas(10, 0.01, 0.5))
EMPTY = {"model": Weights({})}


class Context:
    """All that the loss reads of a context."""

    def __init__(self, n):
        self.keys = jax.random.split(RNG, n)

    def gather(self, x):
        return x


class Zero(nn.Module):
    """eps_hat = 0."""

    def __call__(self, x, t, y, keys):
        return jnp.zeros_like(x)


class Point(nn.Module):
    """The exact denoiser of data that are all one value; keys exactly in training."""

    value: float
    train: bool

    def __call__(self, x, t, y, keys):
        assert (keys is not None) == self.train
        alpha_bar = jnp.asarray(SMALL.alpha_bar, jnp.float32)[t]
        alpha_bar = alpha_bar.reshape(-1, *[1] * (x.ndim - 1))
        return (x - jnp.sqrt(alpha_bar) * self.value) / jnp.sqrt(1 - alpha_bar)


class Denoiser(nn.Module):
    """A small MLP of points and time."""

    @nn.compact
    def __call__(self, x, t, y=None, keys=None):
        t = t.astype(jnp.float32)[:, None] / 10
        for _ in range(3):
            waves = [jnp.sin(t), jnp.cos(t), jnp.sin(t / 4), jnp.cos(t / 4)]
            x = nn.silu(nn.Dense(64)(jnp.concatenate([x, *waves], -1)))
        return nn.Dense(2)(x)


class WrongShape(nn.Module):
    """One channel too few."""

    def __call__(self, x, t, y, keys):
        return x[..., :1]


def _game(network, shape, **options):
    options = {"optimizer": optax.sgd(0.1), "schedule": SMALL, **options}
    return ddpm(network, shape=shape, **options)


def _loss(network, x):
    game = _game(network, x.shape[1:])
    value, _ = game.players["model"].loss(EMPTY, {"x": x}, Context(x.shape[0]))
    return value


def test_the_loss_of_no_prediction_is_the_mean_square_of_noise():
    """A mean over pixels, not a sum: 1 within five standard errors."""
    value = _loss(Zero(), jnp.zeros((200, 4, 4, 1)))
    np.testing.assert_allclose(value, 1, atol=5 * np.sqrt(2 / 3200))


def test_the_loss_of_the_exact_denoiser_is_zero():
    value = _loss(Point(0.3, train=True), jnp.full((50, 4, 4, 1), 0.3))
    np.testing.assert_allclose(value, 0, atol=1e-8)


def test_an_output_that_would_broadcast_raises():
    with pytest.raises(ValueError, match="shapes differ"):
        _loss(WrongShape(), jnp.zeros((3, 4, 4, 2)))


def test_data_of_another_shape_raise():
    with pytest.raises(ValueError, match="shape"):
        init_state(_game(Denoiser(), (3,)), RNG, {"x": jnp.zeros((4, 2))})


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"sampling_steps": 4}, [1000, 750, 500, 250]),
        ({}, list(range(1000, 0, -20))),
        ({"sampler": "ancestral"}, list(range(1000, 0, -1))),
    ],
)
def test_the_papers_schedule_in_few_steps_is_the_default(options, times):
    """x_1000 is what the network sees first."""
    seen = []

    class Spy(nn.Module):
        def __call__(self, x, t, y, keys):
            jax.debug.callback(lambda t: seen.append(int(t[0])), t, ordered=True)
            return jnp.zeros_like(x)

    game = ddpm(Spy(), shape=(2,), optimizer=optax.sgd(0.1))
    keys = jax.random.split(RNG, 2)
    jax.block_until_ready(game.ops.sample(EMPTY, keys, **options))
    jax.effects_barrier()
    assert seen == times
    eta = {} if "sampler" in options else {"eta": 0.0}
    said = {"sampler": "ddim", **options, "sampling_steps": len(times), **eta}
    assert game.ops.sampling_options(**options) == said


@pytest.mark.parametrize(
    "options",
    [{}, {"sampling_steps": 3, "eta": 1.0}, {"sampler": "ancestral"}],
)
def test_every_sample_of_one_point_is_that_point(options):
    game = _game(Point(-0.5, train=False), (4, 4, 1))
    keys = jax.random.split(RNG, 3)
    x = jax.jit(lambda keys: game.ops.sample(EMPTY, keys, **options))(keys)
    np.testing.assert_allclose(x, np.full((3, 4, 4, 1), -0.5), atol=1e-5)


def test_sampling_depends_on_each_key_alone():
    game = _game(Zero(), (2,), recipe=Recipe(clip=False))
    keys = jax.random.split(RNG, 3)
    x_T = jnp.stack([jax.random.normal(jax.random.fold_in(k, 0), (2,)) for k in keys])
    alpha_bar = jnp.asarray(SMALL.alpha_bar, jnp.float32)

    def denoise(x, t, before):
        return samplers.Denoised(x / jnp.sqrt(alpha_bar[t])[:, None])

    inputs = (denoise, SMALL, x_T, keys)
    expected = {
        "ddim": samplers.ddim(*inputs, steps=10, clip=False),
        "ancestral": samplers.ancestral(*inputs, clip=False),
    }
    for sampler, x_expected in expected.items():
        sample = functools.partial(game.ops.sample, EMPTY, sampler=sampler)
        x = sample(keys)
        np.testing.assert_allclose(x, x_expected, rtol=1e-6)
        np.testing.assert_allclose(sample(keys[1:2]), x[1:2], rtol=1e-6)


def test_diffuse_is_equation_4():
    game, keys = _game(Zero(), (4, 4, 1)), jax.random.split(RNG, 2000)
    x = jnp.full((2000, 4, 4, 1), 0.5)
    for time, t in ((0.0, 0), (0.3, 3), (1.0, 10)):
        x_t = game.ops.diffuse(EMPTY, x, keys, time)
        signal, noise = SMALL.signal[t], SMALL.noise[t]
        np.testing.assert_allclose(x_t.mean(), 0.5 * signal, atol=0.03)
        np.testing.assert_allclose(x_t.std(), noise, atol=0.02)
    nats = game.ops.prior_term(EMPTY, x[:1])
    signal, variance = 0.5 * SMALL.signal[-1], SMALL.noise[-1] ** 2
    expected = 16 * (variance + signal**2 - 1 - np.log(variance)) / 2
    np.testing.assert_allclose(nats, [expected], rtol=1e-4)


def test_an_exact_denoiser_recovers_the_image_from_any_time():
    ops = _game(Point(-0.5, train=False), (4, 4, 1)).ops
    keys, x = jax.random.split(RNG, 3), jnp.full((3, 4, 4, 1), -0.5)
    for time in (0.2, 0.6, 1.0):
        x_t = ops.diffuse(EMPTY, x, keys, time)
        np.testing.assert_allclose(ops.predict_x0(EMPTY, x_t, time), x, atol=1e-4)
        np.testing.assert_allclose(
            ops.denoise_between(EMPTY, x_t, keys, time, 0.0), x, atol=1e-5
        )


def test_denoising_half_way_gives_the_diffused_distribution():
    """With the exact denoiser of one point, both are q(x_t | x_0)."""
    ops = _game(Point(-0.5, train=False), (4, 4, 1)).ops
    keys, x = jax.random.split(RNG, 2000), jnp.full((2000, 4, 4, 1), -0.5)
    half = ops.denoise_between(EMPTY, ops.prior(EMPTY, keys), keys, 1.0, 0.5)
    expected = ops.diffuse(EMPTY, x, keys, 0.5)
    np.testing.assert_allclose(half.mean(), expected.mean(), atol=0.02)
    np.testing.assert_allclose(half.std(), expected.std(), atol=0.02)


def test_it_learns_a_ring():
    schedule = schedules.make_schedule(schedules.linear_betas(50, 2e-3, 0.2))
    game = _game(
        Denoiser(),
        (2,),
        schedule=schedule,
        optimizer=optax.adam(1e-2),
        ema_halflife_images=(2000.0,),
    )
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, (1000, 128))
    x = jnp.float32(0.8 * np.stack([np.cos(angle), np.sin(angle)], -1))
    state = init_state(game, RNG, {"x": x[0]})
    step = make_train_step(game, steps_per_call=1000)
    state, metrics = step(state, {"x": x}, RNG)
    assert metrics["model/loss"][-50:].mean() < 0.6 * metrics["model/loss"][:10].mean()
    keys = jax.random.split(jax.random.key(1), 500)
    x = np.asarray(jax.jit(game.ops.sample)(averaged(state.players), keys))
    radius = np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(radius.mean(), 0.8, atol=0.08)
    assert radius.std() < 0.15
    np.testing.assert_allclose(x.mean(0), [0, 0], atol=0.15)


def test_mistakes_are_named():
    game, keys = _game(Zero(), (2,)), jax.random.split(RNG, 2)
    with pytest.raises(UserError, match="ancestral, ddim"):
        game.ops.sample(EMPTY, keys, sampler="euler")
    with pytest.raises(UserError, match=r"eta=0\.5 needs sampler=ddim"):
        game.ops.sample(EMPTY, keys, sampler="ancestral", eta=0.5)
    with pytest.raises(UserError, match="1 to 10"):
        game.ops.sample(EMPTY, keys, sampling_steps=11)
    with pytest.raises(UserError, match="needs classes"):
        game.ops.sample(EMPTY, keys, guidance=1.0)
    for recipe, message in (
        (Recipe(variance="learned"), "fixed_small, fixed_large"),
        (Recipe(loss="mse"), "simple, variational"),
        (Recipe(loss="hybrid"), "loss=hybrid needs variance=learned_range"),
        (Recipe(variance="learned_range"), "use loss=hybrid or loss=variational"),
        (Recipe(prediction="score"), "eps, x_0"),
    ):
        with pytest.raises(UserError, match=message):
            _game(Zero(), (2,), recipe=recipe)


def test_predict_x0_takes_a_time_for_each_example_and_can_be_traced():
    ops = _game(Point(0.3, train=False), (2,), recipe=Recipe(clip=False)).ops
    x_t = jnp.float32(np.random.default_rng(0).normal(size=(3, 2)))
    times = jnp.float32([0.1, 0.5, 1.0])
    together = jax.jit(ops.predict_x0)(EMPTY, x_t, times)
    for i, time in enumerate((0.1, 0.5, 1.0)):
        alone = ops.predict_x0(EMPTY, x_t[i : i + 1], time)
        np.testing.assert_allclose(together[i : i + 1], alone, rtol=1e-5)
    x_t = ops.diffuse(EMPTY, jnp.full((3, 2), 0.3), jax.random.split(RNG, 3), times)
    np.testing.assert_allclose(ops.predict_x0(EMPTY, x_t, times), 0.3, atol=1e-5)
    gradient = jax.grad(lambda x: ops.predict_x0(EMPTY, x, times).sum())(x_t)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)  # always the one point
