"""The options of diffusion: each by hand, or by the results that it must not change."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from gen_jax.diffusion import schedules
from gen_jax.diffusion.predictions import make_prediction
from gen_jax.game import Weights, init_state
from gen_jax.objectives.ddpm import Recipe, ddpm
from gen_jax.step import make_train_step

RNG = jax.random.key(0)
SMALL = schedules.make_schedule(schedules.linear_betas(10, 0.01, 0.5))
EMPTY = {"model": Weights({})}
SCALE = 0.5  # of Gaussian data, whose best denoiser is linear


@dataclasses.dataclass
class Context:
    keys: jax.Array

    def gather(self, x):
        return x


class Gaussian(nn.Module):
    """The best prediction for data from N(0, SCALE^2), and v = 1 if it is learned."""

    prediction: str
    learned: bool = False

    def __call__(self, x, t, y, keys):
        abar = jnp.asarray(SMALL.alpha_bar, jnp.float32)[t][:, None]
        x_0 = jnp.sqrt(abar) * SCALE**2 / (abar * SCALE**2 + 1 - abar) * x
        table = make_prediction(self.prediction, SMALL)
        out = (x_0 - schedules.at(table.x0_from_xt, t, x) * x) / schedules.at(
            table.x0_from_out, t, x
        )
        return jnp.concatenate([out, jnp.ones_like(out)], -1) if self.learned else out


class Classes(nn.Module):
    """x_0_hat by the label: 0.1 without one, 0.3 for class 0, 0.5 for class 1."""

    def __call__(self, x, t, y, keys):
        by_label = jnp.float32([0.3, 0.5, 0.1])[y]
        return jnp.broadcast_to(by_label[:, None], x.shape)


def _game(network, **options):
    recipe = Recipe(clip=False, **options.pop("recipe", {}))
    options = {"optimizer": optax.sgd(0.1), "schedule": SMALL, **options}
    return ddpm(network, shape=(2,), recipe=recipe, **options)


def _loss(game, n=5000, players=EMPTY, y=None):
    x = SCALE * jax.random.normal(jax.random.key(7), (n, 2))
    batch = {"x": x} if y is None else {"x": x, "y": y}
    context = Context(jax.random.split(RNG, n))
    value, (mutable, metrics) = game.players["model"].loss(players, batch, context)
    return value, mutable, metrics


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v", "mean"])
def test_samples_of_the_best_denoiser_do_not_depend_on_the_prediction(prediction):
    keys = jax.random.split(RNG, 6)
    for options in ({"sampling_steps": 5}, {"sampler": "ancestral"}):
        found, expected = (
            _game(Gaussian(name), recipe={"prediction": name}).ops.sample(
                EMPTY, keys, **options
            )
            for name in (prediction, "eps")
        )
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "v", "mean"])
def test_min_snr_gives_every_prediction_the_same_loss(prediction):
    """min(SNR, gamma) |x_0 - x_0_hat|^2, its mean over t in closed form."""
    recipe = {"prediction": prediction, "min_snr": 2.0}
    value, _, _ = _loss(_game(Gaussian(prediction), recipe=recipe))
    abar = np.cumprod(1 - np.linspace(0.01, 0.5, 10))
    left = SCALE**2 * (1 - abar) / (abar * SCALE**2 + 1 - abar)  # var of x_0 | x_t
    expected = (np.minimum(abar / (1 - abar), 2) * left).mean()
    np.testing.assert_allclose(value, expected, rtol=0.06)


def test_the_variational_loss_is_the_bound_in_bits_per_dimension():
    game = _game(Gaussian("eps"), recipe={"loss": "variational"})
    value, _, _ = _loss(game, 40_000)
    x = SCALE * jax.random.normal(jax.random.key(7), (4000, 2))
    keys = jax.random.split(RNG, 4000)
    bound = game.ops.bound(EMPTY, x, keys)
    abar = np.prod(1 - np.linspace(0.01, 0.5, 10))
    second = SCALE**2 * abar
    prior = 0.5 * (second - abar - np.log(1 - abar))  # nats a dimension, in the mean
    terms = game.ops.bound_terms(EMPTY, x, keys)
    np.testing.assert_allclose(sum(terms.values()), -bound, rtol=1e-5)
    np.testing.assert_allclose(terms["prior"].mean() / 2, prior, rtol=0.1, atol=1e-3)
    np.testing.assert_allclose(
        value * np.log(2) + prior, -bound.mean() / 2, rtol=0.05, atol=0.03
    )
    entropy = scipy.stats.norm(0, SCALE).entropy()
    assert -bound.mean() / 2 > entropy  # a bound, and not far off in ten steps
    assert -bound.mean() / 2 < entropy + 0.8


def test_the_hybrid_loss_teaches_the_variance_by_the_bound_alone():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, t, y, keys):
            out = self.param("mean", nn.initializers.ones, ()) * 0.5 * x
            v = self.param("v", nn.initializers.zeros, ()) * jnp.ones_like(x)
            return jnp.concatenate([out, v], -1)

    recipes = {
        "hybrid": {"loss": "hybrid", "variance": "learned_range"},
        "simple": {},
    }
    x = {"x": jnp.zeros((64, 2))}
    game = _game(Net(), recipe=recipes["hybrid"])
    state = init_state(game, RNG, x)

    def gradient(loss_of):
        def value(params):
            players = {"model": state.players["model"]._replace(params=params)}
            return loss_of(players)

        return jax.grad(value)(state.players["model"].params)

    hybrid = gradient(lambda players: _loss(game, 200, players)[0])
    _, _, metrics = _loss(game, 200, state.players)
    value, _, _ = _loss(game, 200, state.players)
    np.testing.assert_allclose(value, metrics["simple"] + metrics["vlb"], rtol=1e-5)
    simple = gradient(lambda players: _loss(game, 200, players)[2]["simple"])
    np.testing.assert_allclose(hybrid["mean"], simple["mean"], rtol=1e-4)
    assert simple["v"] == 0
    assert abs(hybrid["v"]) > 1e-6


def test_a_learned_variance_of_one_is_the_fixed_large_one():
    learned = _game(
        Gaussian("eps", learned=True),
        recipe={"variance": "learned_range", "loss": "variational"},
    )
    fixed = _game(Gaussian("eps"), recipe={"loss": "variational"})
    np.testing.assert_allclose(_loss(learned)[0], _loss(fixed)[0], rtol=1e-5)
    keys = jax.random.split(RNG, 4)
    x = [g.ops.sample(EMPTY, keys, sampler="ancestral") for g in (learned, fixed)]
    np.testing.assert_allclose(*x, rtol=1e-4, atol=1e-5)


class Extreme(nn.Module):
    """One number, learned, as mean and v alike."""

    @nn.compact
    def __call__(self, x, t, y, keys):
        out = self.param("out", nn.initializers.zeros, ())
        return jnp.broadcast_to(out, (len(x), 4))


@pytest.mark.parametrize(("loss", "clip"), [("variational", True), ("hybrid", False)])
def test_a_variance_far_outside_its_range_stays_finite(loss, clip):
    """At t = 2 the range is widest, and v scales it without a limit."""
    recipe = Recipe(loss=loss, variance="learned_range", clip=clip)
    options = {"optimizer": optax.sgd(0.1), "schedule": SMALL, "recipe": recipe}
    game = ddpm(Extreme(), shape=(2,), **options)
    ops, keys = game.ops, jax.random.split(RNG, 3)

    def results(out):
        players = {"model": Weights({"out": out})}
        x = ops.sample(players, keys, sampler="ancestral")
        bound = ops.bound(players, jnp.zeros((3, 2)), keys)
        return _loss(game, 100, players)[0], (x, bound)

    run = jax.vmap(jax.value_and_grad(results, has_aux=True))
    for result in jax.tree.leaves(jax.jit(run)(jnp.array([-1e4, 1e4]))):
        assert np.isfinite(result).all()


def test_labels_are_dropped_at_their_rate_and_guide():
    recipe = {"prediction": "x_0", "label_dropout": 0.25}
    game = _game(Classes(), num_classes=2, guidance=1.0, recipe=recipe)
    y = jnp.zeros(20_000, jnp.int32)
    x = SCALE * jax.random.normal(jax.random.key(7), (20_000, 2))
    value, _, _ = _loss(game, 20_000, y=y)
    rest = [((np.asarray(x) - said) ** 2).mean() for said in (0.3, 0.1)]
    np.testing.assert_allclose(value, 0.75 * rest[0] + 0.25 * rest[1], rtol=0.005)
    keys, sample = jax.random.split(RNG, 3), game.ops.sample
    y = jnp.array([0, 1, -1])
    for options, expected in (
        ({"guidance": 0.0}, [0.3, 0.5, 0.1]),
        ({}, [0.5, 0.9, 0.1]),  # w = 1: y + (y - none)
        ({"guidance": 2.0}, [0.7, 1.3, 0.1]),
    ):
        x = sample(EMPTY, keys, y, **options)
        np.testing.assert_allclose(x[:, 0], expected, rtol=1e-5)
    drawn = sample(EMPTY, jax.random.split(RNG, 200), guidance=0.0)[:, 0]
    np.testing.assert_allclose((drawn > 0.4).mean(), 0.5, atol=0.12)


def test_an_estimate_of_x_0_is_given_to_half_of_the_examples():
    seen = []

    class Spy(nn.Module):
        def __call__(self, x, t, y, keys):
            jax.debug.callback(lambda given: seen.append(given), x[:, 2:])
            return jnp.ones_like(x[:, :2])

    game = _game(Spy(), recipe={"prediction": "x_0", "self_conditioning": True})
    _loss(game, 1000)
    jax.effects_barrier()
    first, second = (np.asarray(x) for x in seen)
    assert (first == 0).all()
    assert set(np.unique(second)) == {0, 1}
    assert 0.4 < second.mean() < 0.6


def test_importance_remembers_every_loss_and_stays_unbiased():
    game = _game(Gaussian("eps"), recipe={"importance": True})
    x = SCALE * jax.random.normal(jax.random.key(3), (400, 256, 2))
    state = init_state(game, RNG, {"x": x[0]})
    step = make_train_step(game, steps_per_call=400, donate=False)
    state, metrics = step(state, {"x": x}, RNG)
    history = state.players["model"].mutable["history"]
    assert history["count"][1:].sum() == 400 * 256
    plain = _loss(_game(Gaussian("eps")), 50_000)[0]
    np.testing.assert_allclose(metrics["model/loss"][100:].mean(), plain, rtol=0.03)
    fraction = history["count"][1:] / history["count"][1:].sum()
    root = np.sqrt(history["squared_loss"][1:])
    assert np.corrcoef(fraction, root)[0, 1] > 0.7


def test_encode_and_decode_are_inverses_for_the_best_denoiser():
    schedule = schedules.make_schedule(schedules.linear_betas(50, 2e-3, 0.2))

    class Best(nn.Module):
        def __call__(self, x, t, y, keys):
            abar = jnp.asarray(schedule.alpha_bar, jnp.float32)[t][:, None]
            return jnp.sqrt(abar) * SCALE**2 / (abar * SCALE**2 + 1 - abar) * x

    game = _game(Best(), schedule=schedule, recipe={"prediction": "x_0"})
    x = jnp.float32(np.random.default_rng(0).normal(0, SCALE, (8, 2)))
    z = game.ops.encode(EMPTY, x)
    np.testing.assert_allclose(game.ops.decode(EMPTY, z), x, atol=0.12)
    np.testing.assert_allclose(z, x / SCALE, atol=0.12)
