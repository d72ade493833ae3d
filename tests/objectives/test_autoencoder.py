"""The bound against exact likelihoods of linear-Gaussian models, and learning."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from gen_jax.errors import UserError
from gen_jax.game import Weights, init_state
from gen_jax.losses import likelihoods
from gen_jax.models.mlp import MlpDecoder, MlpEncoder
from gen_jax.objectives.autoencoder import (
    autoencoder,
    decode,
    encode,
    reparameterise,
    vae,
)
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
    def __call__(self, x, y):
        mean = nn.Dense(self.z_dim)(x)
        log_var = self.param("log_var", nn.initializers.zeros, (self.z_dim,))
        return mean, jnp.broadcast_to(log_var, mean.shape)


class Encoder(nn.Module):
    """A small MLP of images."""

    @nn.compact
    def __call__(self, x, y):
        h = nn.tanh(nn.Dense(16)(x.reshape(x.shape[0], -1)))
        return nn.Dense(2)(h), nn.Dense(2)(h)


class Decoder(nn.Module):
    """The same, backwards."""

    @nn.compact
    def __call__(self, z, y):
        return nn.Dense(16)(nn.tanh(nn.Dense(16)(z))).reshape(-1, 4, 4, 1)


class Code(nn.Module):
    """z = f(x), linear."""

    @nn.compact
    def __call__(self, x, y):
        return (nn.Dense(2, name="code")(x),)


class LinearDecoder(nn.Module):
    """p(x|z)'s mean, W z + b."""

    @nn.compact
    def __call__(self, z, y):
        return nn.Dense(3, name="linear")(z)


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
    decoder = {"linear": {"kernel": jnp.float32(W.T), "bias": jnp.float32(BIAS)}}
    return {"model": Weights({"encoder": encoder, "decoder": decoder})}


def _codes(mean=(0.0, 0.0), cov=((1.0, 0.0), (0.0, 1.0))):
    return {"codes": {"mean": jnp.float32(mean), "cov": jnp.float32(cov)}}


def _linear_vae(**options):
    return vae(
        LinearEncoder(),
        LinearDecoder(),
        z_dim=2,
        likelihood=likelihoods.gaussian(SCALE),
        optimizer=optax.sgd(0.1),
        **options,
    )


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_the_bound_of_a_linear_gaussian_model(shift):
    """ELBO = log p(x) - KL(q || exact posterior), averaged over draws of z."""
    x, n = np.array([0.9, -1.1, 0.4]), 20_000
    log_p = scipy.stats.multivariate_normal(
        BIAS, W @ W.T + SCALE**2 * np.eye(3)
    ).logpdf(x)
    gap = np.sum(shift**2 / (2 * VARIANCE))
    bounds = _linear_vae().ops.bound(
        _linear_board(shift),
        jnp.broadcast_to(jnp.float32(x), (n, 3)),
        jax.random.split(RNG, n),
    )
    assert bounds.shape == (n,)
    error = bounds.std() / np.sqrt(n)
    assert abs(bounds.mean() - (log_p - gap)) < 4 * error
    assert error < 0.02


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_importance_weights_average_to_the_exact_likelihood(shift):
    """E_q p(x, z) / q(z|x) = p(x); with q the posterior every weight is p(x)."""
    x, n = np.array([0.9, -1.1, 0.4]), 20_000
    p = scipy.stats.multivariate_normal(BIAS, W @ W.T + SCALE**2 * np.eye(3)).pdf(x)
    log_weights = _linear_vae().ops.importance_weights(
        _linear_board(shift),
        jnp.broadcast_to(jnp.float32(x), (n, 3)),
        jax.random.split(RNG, n),
    )
    weights = np.exp(np.float64(log_weights)) / p
    if not shift:
        np.testing.assert_allclose(weights, 1, rtol=1e-5)
    assert weights.mean() == pytest.approx(1, abs=4 * weights.std() / np.sqrt(n) + 1e-5)


def test_the_bound_is_the_sum_of_its_terms():
    """KL in closed form: 1/2 sum(mean^2 + var - 1 - log var)."""
    game, players = _linear_vae(), _linear_board(0.4)
    x = jnp.float32(np.random.default_rng(0).normal(size=(5, 3)))
    keys = jax.random.split(RNG, 5)
    terms = game.ops.bound_terms(players, x, keys)
    mean = np.asarray(game.ops.encode(players, x))
    kl = 0.5 * np.sum(mean**2 + VARIANCE - 1 - np.log(VARIANCE), axis=1)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(
        game.ops.bound(players, x, keys), -terms["kl"] - terms["reconstruction"]
    )


def test_the_loss_is_minus_the_bound():
    game, players = _linear_vae(), _linear_board()
    x = jnp.float32(np.random.default_rng(0).normal(size=(5, 3)))
    keys = jax.random.split(RNG, 5)

    class Context:
        step = jnp.int32(0)

    Context.keys = keys
    value, (_, metrics) = game.players["model"].loss(players, {"x": x}, Context)
    np.testing.assert_allclose(
        value, -game.ops.bound(players, x, keys).mean(), rtol=1e-6
    )
    np.testing.assert_allclose(
        value, metrics["kl"] - metrics["reconstruction"], rtol=1e-6
    )


def test_codes_and_reconstructions_of_a_linear_gaussian_model():
    game, players = _linear_vae(), _linear_board()
    x = np.array([[0.9, -1.1, 0.4]])
    precision = np.eye(2) + W.T @ W / SCALE**2
    mean = np.linalg.solve(precision, W.T @ (x[0] - BIAS) / SCALE**2)
    z = game.ops.encode(players, jnp.float32(x))
    np.testing.assert_allclose(z[0], mean, rtol=1e-5)
    np.testing.assert_allclose(
        game.ops.reconstruct(players, jnp.float32(x))[0], W @ mean + BIAS, rtol=1e-5
    )
    keys = jax.random.split(RNG, 4000)
    z = game.ops.encode(players, jnp.broadcast_to(jnp.float32(x), (4000, 3)), keys)
    np.testing.assert_allclose(np.cov(z.T), np.linalg.inv(precision), atol=0.02)
    samples = game.ops.sample(players, keys)  # means of p(x|z), without its noise
    np.testing.assert_allclose(np.cov(samples.T), W @ W.T, atol=0.1)
    np.testing.assert_allclose(samples.mean(0), BIAS, atol=0.1)


class Nothing(nn.Module):
    """q(z|x) = p(z)."""

    @nn.compact
    def __call__(self, x, y):
        zeros = jnp.zeros((x.shape[0], 2))
        return zeros, zeros


class Constant(nn.Module):
    """The same logit for every pixel and every z."""

    logit: float

    @nn.compact
    def __call__(self, z, y):
        return jnp.full((z.shape[0], 4, 4, 1), self.logit)


def test_bernoulli_bound_in_nats_per_image():
    """With q = p(z) and p(x|z) free of z the bound is the exact likelihood."""
    game = vae(Nothing(), Constant(np.log(3)), z_dim=2, optimizer=optax.sgd(0.1))
    players = {"model": Weights({"encoder": {}, "decoder": {}})}
    x = jnp.stack([jnp.full((4, 4, 1), value) for value in (1.0, -1.0, 0.0)])
    bounds = game.ops.bound(players, x, jax.random.split(RNG, 3))
    p, q = np.log(3 / 4), np.log(1 / 4)
    expected = 16 * np.array([p, q, (p + q) / 2])
    np.testing.assert_allclose(bounds, expected, rtol=1e-5)
    samples = game.ops.sample(players, jax.random.split(RNG, 2))
    np.testing.assert_allclose(samples, np.full((2, 4, 4, 1), 0.5), rtol=1e-6)


@pytest.mark.parametrize("likelihood", [None, likelihoods.gaussian(0.3)])
def test_it_learns_two_images(likelihood):
    game = vae(
        Encoder(),
        Decoder(),
        z_dim=2,
        likelihood=likelihood,
        optimizer=optax.adam(1e-2),
    )
    images = np.random.default_rng(0).choice([-1.0, 1.0], (2, 4, 4, 1))
    x = jnp.float32(np.tile(images, (8, 1, 1, 1)))
    batches = {"x": jnp.broadcast_to(x, (200, *x.shape))}
    state = init_state(game, RNG, {"x": x})
    state, metrics = make_train_step(game, steps_per_call=200)(state, batches, RNG)
    assert metrics["model/loss"][-1] < metrics["model/loss"][0] - 5
    x_hat = game.ops.reconstruct(state.players, x[:2])
    np.testing.assert_allclose(x_hat, images, atol=0.4)
    assert metrics["model/kl"][-1] > 0.5  # about log 2 nats tell two images apart


def test_mistakes_are_named():
    with pytest.raises(UserError, match="above 0"):
        likelihoods.gaussian(0.0)


def test_the_pieces_are_functions_of_a_player():
    """The mean is A x + b with the exact posterior's A and b; z has its moments."""
    player = _linear_board(0.4)["model"]
    x = np.random.default_rng(0).normal(size=(5, 3))
    to_mean = VARIANCE[:, None] * W.T / SCALE**2
    (mean, log_var), mutable = encode(LinearEncoder(), player, jnp.float32(x))
    expected = (x - BIAS) @ to_mean.T + 0.4
    np.testing.assert_allclose(mean, expected, rtol=1e-4)
    np.testing.assert_allclose(np.exp(log_var), np.tile(VARIANCE, (5, 1)), rtol=1e-5)
    assert mutable == {}
    x_hat, _ = decode(LinearDecoder(), player, mean)
    np.testing.assert_allclose(x_hat, expected @ W.T + BIAS, rtol=1e-4)
    many = jnp.tile(mean[:1], (20_000, 1)), jnp.tile(log_var[:1], (20_000, 1))
    z = np.asarray(reparameterise(*many, jax.random.split(RNG, 20_000)))
    np.testing.assert_allclose(z.mean(0), expected[0], atol=0.02)
    np.testing.assert_allclose(z.var(0), VARIANCE, rtol=0.05)
    np.testing.assert_array_equal(reparameterise(mean, log_var, None), mean)


@dataclasses.dataclass
class Context:
    """All that the losses read of a context."""

    keys: jax.Array
    step: jax.Array = dataclasses.field(default_factory=lambda: jnp.int32(0))

    def gather(self, x):
        return x


def _loss(game, players, x, step=0):
    context = Context(jax.random.split(RNG, len(x)), jnp.int32(step))
    return game.players["model"].loss(players, {"x": jnp.float32(x)}, context)


def test_beta_weighs_the_kl_and_is_reached_linearly():
    x = np.random.default_rng(0).normal(size=(5, 3))

    def loss(step, **options):
        game = _linear_vae(**options)
        value, (_, metrics) = _loss(game, _linear_board(0.4), x, step)
        return value, metrics["kl"], metrics["reconstruction"]

    value, kl, log_p = loss(0, beta=3.0)
    np.testing.assert_allclose(value, 3 * kl - log_p, rtol=1e-5)
    for step, fraction in ((0, 0.1), (4, 0.5), (9, 1.0), (500, 1.0)):
        value, kl, log_p = loss(step, beta=2.0, kl_warmup_steps=10)
        np.testing.assert_allclose(value, fraction * 2 * kl - log_p, rtol=1e-5)


def test_more_draws_make_a_steadier_estimate_of_the_same_bound():
    x = jnp.broadcast_to(jnp.float32([0.9, -1.1, 0.4]), (4000, 3))
    keys = jax.random.split(RNG, 4000)
    one, ten = (
        np.asarray(_linear_vae(draws=draws).ops.bound(_linear_board(0.4), x, keys))
        for draws in (1, 10)
    )
    assert abs(one.mean() - ten.mean()) < 4 * one.std() / np.sqrt(4000)
    np.testing.assert_allclose(ten.std(), one.std() / np.sqrt(10), rtol=0.1)


def test_an_autoencoder_is_a_vae_without_noise_and_without_a_prior():
    game = autoencoder(
        Code(),
        LinearDecoder(),
        z_dim=2,
        likelihood=likelihoods.gaussian(SCALE),
        optimizer=optax.sgd(0.1),
    )
    linear = _linear_board()["model"].params
    encoder = {"code": linear["encoder"]["Dense_0"]}
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    state = init_state(
        game,
        RNG,
        {"x": x},
        {"model": Weights({**linear, "encoder": encoder}, _codes())},
    )
    value, (mutable, _) = _loss(game, state.players, x)
    code = x @ np.asarray(encoder["code"]["kernel"]) + np.asarray(
        encoder["code"]["bias"]
    )
    x_hat = code @ W.T + BIAS
    log_p = scipy.stats.norm(x_hat, SCALE).logpdf(x).sum(1)
    np.testing.assert_allclose(value, -log_p.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        game.ops.reconstruct(state.players, jnp.asarray(x)), x_hat, rtol=1e-4
    )
    # After its first batch the fitted Gaussian is that of the batch's codes.
    np.testing.assert_allclose(mutable["codes"]["mean"], code.mean(0), rtol=1e-4)
    np.testing.assert_allclose(
        mutable["codes"]["cov"], np.cov(code.T, bias=True), rtol=1e-3
    )


def test_an_autoencoder_samples_the_gaussian_of_its_codes():
    game = autoencoder(Code(), LinearDecoder(), z_dim=2, optimizer=optax.sgd(0.1))
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 0.9], [0.9, 0.5]])
    players = {"model": Weights({}, _codes(mean, cov))}
    z = np.asarray(game.ops.prior(players, jax.random.split(RNG, 50_000)))
    np.testing.assert_allclose(z.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), cov, atol=0.04)
    alone = game.ops.prior(players, jax.random.split(RNG, 50_000)[3:4])
    np.testing.assert_allclose(alone, z[3:4], rtol=1e-5)
    # A direction that the codes do not use is not used, nor is it NaN.
    flat = {"model": Weights({}, _codes(mean, np.diag([1.0, 0.0])))}
    z = np.asarray(game.ops.prior(flat, jax.random.split(RNG, 100)))
    np.testing.assert_allclose(z[:, 1], -2.0, atol=1e-6)


@pytest.mark.parametrize("log_var", [-1e4, 1e4])
@pytest.mark.parametrize("mean", [-1e4, 0.0, 1e4])
def test_the_loss_is_finite_for_extreme_encoder_outputs(mean, log_var):
    """And its slope leads the log variance back, up by KL and down by both terms."""
    players = _linear_board(mean)

    def loss(log_var):
        params = players["model"].params
        encoder = {**params["encoder"], "log_var": log_var}
        changed = {"model": Weights({**params, "encoder": encoder})}
        return _loss(_linear_vae(), changed, np.zeros((4, 3)))[0]

    value, slope = jax.value_and_grad(loss)(jnp.full(2, log_var))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    assert (np.sign(slope) == np.sign(log_var)).all()


def test_labels_reach_encoder_and_decoder():
    game = vae(
        MlpEncoder(2, (8,), num_classes=3),
        MlpDecoder((3,), (8,), num_classes=3),
        z_dim=2,
        likelihood=likelihoods.gaussian(0.5),
        num_classes=3,
        optimizer=optax.sgd(0.1),
    )
    x = jnp.float32(np.random.default_rng(0).normal(size=(3, 3)))
    players = init_state(game, RNG, {"x": x, "y": jnp.arange(3)}).players
    ops, y = game.ops, jnp.arange(3)
    same = jnp.tile(x[:1], (3, 1))
    assert np.ptp(ops.encode(players, same, None, y), axis=0).min() > 1e-4
    z = jnp.zeros((3, 2))
    assert np.ptp(ops.decode(players, z, y), axis=0).min() > 1e-4
    keys = jax.random.split(RNG, 3)
    told = ops.sample(players, keys, y)
    expected = ops.decode(players, ops.prior(players, keys), y)
    np.testing.assert_allclose(told, expected, rtol=1e-6)
    assert not np.allclose(ops.bound(players, x, keys, y), ops.bound(players, x, keys))
