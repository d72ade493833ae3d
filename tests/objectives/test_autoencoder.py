"""The bound against exact likelihoods of linear-Gaussian models, and learning."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from gen_jax.errors import UserError
from gen_jax.game import Weights, init_state
from gen_jax.objectives.autoencoder import vae
from gen_jax.step import make_train_step

RNG = jax.random.key(0)

# p(x|z) = N(W z + b, SCALE^2 I): orthogonal columns make the posterior diagonal.
W = np.array([[1.0, 0.5], [1.0, -0.5], [0.5, 0.0]])
BIAS = np.array([0.3, -0.2, 0.1])
SCALE = 0.6
VARIANCE = 1 / (1 + np.sum(W**2, 0) / SCALE**2)


class LinearEncoder(nn.Module):
    """mean = A x + b, and a log variance that is the same for every x."""

    z_dim: int = 2

    @nn.compact
    def __call__(self, x):
        mean = nn.Dense(self.z_dim)(x)
        log_var = self.param("log_var", nn.initializers.zeros, (self.z_dim,))
        return mean, jnp.broadcast_to(log_var, mean.shape)


class Encoder(nn.Module):
    """A small MLP of images."""

    @nn.compact
    def __call__(self, x):
        h = nn.tanh(nn.Dense(16)(x.reshape(x.shape[0], -1)))
        return nn.Dense(2)(h), nn.Dense(2)(h)


class Decoder(nn.Module):
    """The same, backwards."""

    @nn.compact
    def __call__(self, z):
        return nn.Dense(16)(nn.tanh(nn.Dense(16)(z))).reshape(-1, 4, 4, 1)


class WithStatistics(nn.Module):
    """A module with mutable state."""

    @nn.compact
    def __call__(self, x):
        return LinearEncoder()(nn.BatchNorm(use_running_average=False)(x))


def _linear_board(shift=0.0):
    """The true decoder, and the exact posterior as the encoder, moved by `shift`."""
    to_mean = VARIANCE[:, None] * W.T / SCALE**2
    encoder = {
        "Dense_0": {
            "kernel": jnp.float32(to_mean.T),
            "bias": jnp.float32(-to_mean @ BIAS + shift),
        },
        "log_var": jnp.float32(np.log(VARIANCE)),
    }
    decoder = {"kernel": jnp.float32(W.T), "bias": jnp.float32(BIAS)}
    return {"model": Weights({"encoder": encoder, "decoder": decoder})}


def _linear_vae():
    return vae(
        LinearEncoder(),
        nn.Dense(3),
        z_dim=2,
        likelihood="gaussian",
        scale=SCALE,
        optimizer=optax.sgd(0.1),
    )


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_the_bound_of_a_linear_gaussian_model(shift):
    """ELBO = log p(x) - KL(q || exact posterior), averaged over draws of z."""
    x, n = np.array([0.9, -1.1, 0.4]), 20_000
    log_p = scipy.stats.multivariate_normal(
        BIAS, W @ W.T + SCALE**2 * np.eye(3)
    ).logpdf(x)
    gap = np.sum(shift**2 / (2 * VARIANCE))
    bounds = _linear_vae().ops["bound"](
        _linear_board(shift),
        jnp.broadcast_to(jnp.float32(x), (n, 3)),
        jax.random.split(RNG, n),
    )
    assert bounds.shape == (n,)
    error = bounds.std() / np.sqrt(n)
    assert abs(bounds.mean() - (log_p - gap)) < 4 * error
    assert error < 0.02


def test_the_loss_is_minus_the_bound():
    game, board = _linear_vae(), _linear_board()
    x = jnp.float32(np.random.default_rng(0).normal(size=(5, 3)))
    keys = jax.random.split(RNG, 5)

    class Context:
        pass

    Context.keys = keys
    value, (_, metrics) = game.players["model"].loss(board, {"x": x}, Context)
    np.testing.assert_allclose(
        value, -game.ops["bound"](board, x, keys).mean(), rtol=1e-6
    )
    np.testing.assert_allclose(
        value, metrics["kl"] - metrics["reconstruction"], rtol=1e-6
    )


def test_codes_and_reconstructions_of_a_linear_gaussian_model():
    game, board = _linear_vae(), _linear_board()
    x = np.array([[0.9, -1.1, 0.4]])
    precision = np.eye(2) + W.T @ W / SCALE**2
    mean = np.linalg.solve(precision, W.T @ (x[0] - BIAS) / SCALE**2)
    z = game.ops["encode"](board, jnp.float32(x))
    np.testing.assert_allclose(z[0], mean, rtol=1e-5)
    np.testing.assert_allclose(
        game.ops["reconstruct"](board, jnp.float32(x))[0], W @ mean + BIAS, rtol=1e-5
    )
    keys = jax.random.split(RNG, 4000)
    z = game.ops["encode"](board, jnp.broadcast_to(jnp.float32(x), (4000, 3)), keys)
    np.testing.assert_allclose(np.cov(z.T), np.linalg.inv(precision), atol=0.02)
    samples = game.ops["sample"](board, keys)  # means of p(x|z), without its noise
    np.testing.assert_allclose(np.cov(samples.T), W @ W.T, atol=0.1)
    np.testing.assert_allclose(samples.mean(0), BIAS, atol=0.1)


class Nothing(nn.Module):
    """q(z|x) = p(z)."""

    @nn.compact
    def __call__(self, x):
        zeros = jnp.zeros((x.shape[0], 2))
        return zeros, zeros


class Constant(nn.Module):
    """The same logit for every pixel, whatever z."""

    logit: float

    @nn.compact
    def __call__(self, z):
        return jnp.full((z.shape[0], 4, 4, 1), self.logit)


def test_bernoulli_bound_in_nats_per_image():
    """With q = p(z) and p(x|z) free of z the bound is the exact likelihood."""
    game = vae(Nothing(), Constant(np.log(3)), z_dim=2, optimizer=optax.sgd(0.1))
    board = {"model": Weights({"encoder": {}, "decoder": {}})}
    x = jnp.stack([jnp.full((4, 4, 1), value) for value in (1.0, -1.0, 0.0)])
    bounds = game.ops["bound"](board, x, jax.random.split(RNG, 3))
    p, q = np.log(3 / 4), np.log(1 / 4)
    expected = 16 * np.array([p, q, (p + q) / 2])
    np.testing.assert_allclose(bounds, expected, rtol=1e-5)
    samples = game.ops["sample"](board, jax.random.split(RNG, 2))
    np.testing.assert_allclose(samples, np.full((2, 4, 4, 1), 0.5), rtol=1e-6)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_it_learns_two_images(likelihood):
    game = vae(
        Encoder(),
        Decoder(),
        z_dim=2,
        likelihood=likelihood,
        scale=0.3,
        optimizer=optax.adam(1e-2),
    )
    images = np.random.default_rng(0).choice([-1.0, 1.0], (2, 4, 4, 1))
    x = jnp.float32(np.tile(images, (8, 1, 1, 1)))
    batches = {"x": jnp.broadcast_to(x, (200, *x.shape))}
    state = init_state(game, RNG, {"x": x})
    state, metrics = make_train_step(game, steps_per_call=200)(state, batches, RNG)
    assert metrics["model/loss"][-1] < metrics["model/loss"][0] - 5
    x_hat = game.ops["reconstruct"](state.players, x[:2])
    np.testing.assert_allclose(x_hat, images, atol=0.4)
    assert metrics["model/kl"][-1] > 0.5  # about log 2 nats tell two images apart


def test_mistakes_are_named():
    def build(encoder=None, **options):
        encoder = encoder or LinearEncoder()
        return vae(encoder, nn.Dense(3), z_dim=2, optimizer=optax.sgd(1.0), **options)

    with pytest.raises(UserError, match="bernoulli, gaussian"):
        build(likelihood="poisson")
    with pytest.raises(UserError, match="above 0"):
        build(likelihood="gaussian", scale=0.0)
    with pytest.raises(ValueError, match="batch_stats"):
        init_state(build(WithStatistics()), RNG, {"x": jnp.zeros((2, 3))})
