"""GAN losses, penalties and clipping against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.losses import adversarial

X = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


def _linear(x):
    """<w, x>: its gradient is w everywhere."""
    return jnp.einsum("bij,ij->b", x, W)


def _quadratic(x):
    """|x|^2 / 2: its gradient is x."""
    return 0.5 * jnp.sum(jnp.square(x), axis=(1, 2))


def _map(x):
    """A map of patches whose mean is <w, x>."""
    return 12 * x * W[None]


def test_gradients_of_known_functions():
    length = np.sum(X**2, axis=(1, 2))
    found = adversarial.squared_gradient_norm(_quadratic, X)
    np.testing.assert_allclose(found, length, rtol=1e-5)
    np.testing.assert_allclose(adversarial.r1(_quadratic, X), length / 2, rtol=1e-5)
    for score in (_linear, _map):
        found = adversarial.squared_gradient_norm(score, X)
        np.testing.assert_allclose(found, np.full(5, np.sum(W**2)), rtol=1e-5)


def test_gradient_penalty_is_taken_between_real_and_fake():
    fake, u = X[::-1], np.linspace(0, 1, 5, dtype=np.float32)
    between = u[:, None, None] * X + (1 - u[:, None, None]) * fake
    expected = (np.sqrt(np.sum(between**2, axis=(1, 2))) - 1) ** 2
    found = adversarial.gradient_penalty(_quadratic, X, fake, u)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_penalty_of_a_constant_critic_has_a_gradient():
    """At a gradient of zero the root's derivative is infinite: NaN must not spread."""

    def penalty(a):
        score = lambda x: a * jnp.sum(x, axis=(1, 2))  # noqa: E731
        return adversarial.gradient_penalty(score, X, X, jnp.ones(5)).mean()

    value, slope = jax.value_and_grad(penalty)(jnp.float32(0))
    np.testing.assert_allclose(value, 1, rtol=1e-5)
    assert np.isfinite(slope)


def _softplus(x):
    return np.log1p(np.exp(x))


# The papers' formulas in NumPy, of float64 logits: (real, fake) -> (of D, of G).
FORMULAS = {
    "minimax": lambda r, f: (
        _softplus(-r).mean() + _softplus(f).mean(),
        -_softplus(f).mean(),
    ),
    "non_saturating": lambda r, f: (
        _softplus(-r).mean() + _softplus(f).mean(),
        _softplus(-f).mean(),
    ),
    "least_squares": lambda r, f: (
        ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": lambda r, f: (f.mean() - r.mean(), -f.mean()),
    "hinge": lambda r, f: (
        np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        -f.mean(),
    ),
    "relativistic": lambda r, f: (_softplus(f - r).mean(), _softplus(r - f).mean()),
}


@pytest.mark.parametrize("gan_loss", adversarial.GAN_LOSSES)
def test_gan_losses_are_the_papers_formulas(gan_loss):
    real, fake = np.array([-3, -0.5, 0, 1.5, 4]), np.array([2, 0.25, -1, -2.5, 0])
    assert gan_loss in FORMULAS, "add the formula of the new loss above"
    loss = adversarial.GAN_LOSSES[gan_loss]
    logits = jnp.float32(real), jnp.float32(fake)
    found = loss.discriminator(*logits), loss.generator(*logits)
    np.testing.assert_allclose(found, FORMULAS[gan_loss](real, fake), rtol=1e-5)


@pytest.mark.parametrize("gan_loss", adversarial.GAN_LOSSES)
def test_gan_losses_and_gradients_are_finite_at_extreme_logits(gan_loss):
    extreme = jnp.array([-1e4, 0.0, 1e4])
    real, fake = jnp.repeat(extreme, 3), jnp.tile(extreme, 3)  # all nine pairs
    loss = adversarial.GAN_LOSSES[gan_loss]
    for each in (loss.discriminator, loss.generator):
        value, slopes = jax.vmap(jax.value_and_grad(each, (0, 1)))(real, fake)
        assert np.isfinite(value).all()
        assert np.isfinite(slopes).all()
    assert np.isfinite(loss.output(extreme)).all()


@pytest.mark.parametrize(
    "name", [n for n, loss in adversarial.GAN_LOSSES.items() if loss.optimum]
)
def test_the_best_d_of_equal_densities_is_the_optimum(name):
    """Goodfellow et al.: D = 1/2; Mao et al.: the mean of both labels."""
    gan_loss = adversarial.GAN_LOSSES[name]
    logits = jnp.linspace(-3, 3, 6001)
    value = jax.vmap(gan_loss.discriminator)(logits, logits)
    best = gan_loss.output(logits[jnp.argmin(value)])
    np.testing.assert_allclose(best, gan_loss.optimum, atol=1e-3)


def test_d_has_no_gain_beyond_the_hinge():
    gan_loss = adversarial.GAN_LOSSES["hinge"]
    slope = jax.grad(lambda d: gan_loss.discriminator(d, -d))
    np.testing.assert_allclose([slope(2.0), slope(0.5)], [0, -2])


def test_a_map_counts_as_its_mean():
    gan_loss = adversarial.GAN_LOSSES["non_saturating"]
    real, fake = (jnp.asarray(x, jnp.float32) for x in (X, -X))
    value, metrics = adversarial.discriminator_loss(gan_loss, real, fake)
    expected = np.log1p(np.exp(-X)).mean() * 2
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["d_real"], (1 / (1 + np.exp(-X))).mean(), 1e-5)


def test_the_relativistic_losses_compare_a_real_image_with_a_generated_one():
    """Jolicoeur-Martineau (2018): -E log sigmoid(C(x_r) - C(x_f)) for D, in NumPy."""
    gan_loss = adversarial.GAN_LOSSES["relativistic"]
    real, fake = np.float64([0.5, -2.0, 3.0]), np.float64([1.5, -2.5, 0.0])
    of_d = -np.log(1 / (1 + np.exp(-(real - fake)))).mean()
    of_g = -np.log(1 / (1 + np.exp(-(fake - real)))).mean()
    real, fake = jnp.float32(real), jnp.float32(fake)
    np.testing.assert_allclose(gan_loss.discriminator(real, fake), of_d, rtol=1e-5)
    np.testing.assert_allclose(gan_loss.generator(real, fake), of_g, rtol=1e-5)
    # Equal logits: a pair says nothing, log 2; their own size says nothing either.
    np.testing.assert_allclose(gan_loss.generator(real, real), np.log(2), rtol=1e-5)
    np.testing.assert_allclose(
        gan_loss.discriminator(real + 7, fake + 7), of_d, rtol=1e-5
    )
    # G learns from real images too: both gradients are of one size.
    of_real, of_fake = jax.grad(gan_loss.generator, (0, 1))(real, fake)
    np.testing.assert_allclose(of_real, -of_fake, rtol=1e-5)


def test_clipping_holds_every_parameter():
    optimizer = adversarial.clipped(optax.sgd(1.0), 0.01)
    params = {"w": jnp.array([0.005, -0.005, 0.0])}
    grads = {"w": jnp.array([-1.0, 1.0, -0.003])}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    moved = optax.apply_updates(params, updates)["w"]
    np.testing.assert_allclose(moved, [0.01, -0.01, 0.003], rtol=1e-5)
