"""The terms of losses against hand-computed arrays, SciPy and Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.special
import scipy.stats

from gen_jax.losses import terms

EXTREME = jnp.array([-1e4, -90.0, 0.0, 90.0, 1e4])
LEVELS = jnp.array([-1.0, 1 / 255, 1.0])  # the first, a middle and the last of 256


def test_gan_terms_by_hand():
    logits = jnp.log(jnp.array([3.0, 1.0, 1 / 3]))  # D = 3/4, 1/2, 1/4
    np.testing.assert_allclose(
        terms.log_d(logits), [-0.28768207, -0.69314718, -1.38629436], rtol=1e-6
    )
    np.testing.assert_allclose(
        terms.log_one_minus_d(logits),
        [-1.38629436, -0.69314718, -0.28768207],
        rtol=1e-6,
    )


def test_gan_value_is_minus_log_4_at_one_half():
    logits = jnp.zeros((5,))
    value = terms.log_d(logits).mean() + terms.log_one_minus_d(logits).mean()
    np.testing.assert_allclose(value, -np.log(4), rtol=1e-6)


def test_gan_optimal_discriminator_and_its_value():
    """D* = p / (p + q) is where V's gradient vanishes, and V(D*) = 2 JSD - log 4."""
    p = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    q = np.array([0.4, 0.1, 0.25, 0.25], np.float32)

    def value(logits):
        v = jnp.sum(p * terms.log_d(logits) + q * terms.log_one_minus_d(logits))
        return v

    best = jnp.log(p / q)
    np.testing.assert_allclose(jax.nn.sigmoid(best), p / (p + q), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(value)(best), np.zeros(4), atol=1e-6)
    divergence = scipy.spatial.distance.jensenshannon(p, q) ** 2
    np.testing.assert_allclose(value(best), 2 * divergence - np.log(4), rtol=1e-5)
    assert value(best) > value(best + 0.1)
    assert value(best) > value(best - 0.1)


def test_only_the_non_saturating_loss_moves_a_losing_generator():
    losing = jnp.float32(-20.0)
    minimax = jax.grad(terms.log_one_minus_d)(losing)
    non_saturating = jax.grad(lambda logits: -terms.log_d(logits))(losing)
    np.testing.assert_allclose(minimax, -np.exp(-20), rtol=1e-3)
    np.testing.assert_allclose(non_saturating, -1, rtol=1e-3)


@pytest.mark.parametrize(
    "term",
    [
        terms.log_d,
        terms.log_one_minus_d,
        lambda x: terms.bernoulli_log_likelihood(x, jnp.full_like(x, 0.3)),
        lambda x: terms.bernoulli_log_likelihood(x, jnp.ones_like(x)),
        lambda x: terms.gaussian_log_likelihood(jnp.zeros_like(x), x, 0.0),
        lambda x: terms.gaussian_kl(x, jnp.zeros_like(x)),
        lambda x: terms.squared_error(x, jnp.zeros_like(x)),
    ],
)
def test_finite_value_and_gradient_at_extreme_outputs(term):
    value, gradient = jax.vmap(jax.value_and_grad(term))(EXTREME)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()


def test_extreme_logits_have_the_right_value():
    np.testing.assert_allclose(terms.log_d(EXTREME)[:2], [-1e4, -90], rtol=1e-6)
    np.testing.assert_allclose(terms.log_one_minus_d(EXTREME)[3:], [-90, -1e4])


def test_bernoulli_log_likelihood_against_scipy():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 3)).astype(np.float32)
    p = scipy.special.expit(logits.astype(np.float64))
    coins = rng.integers(0, 2, (4, 3))
    np.testing.assert_allclose(
        terms.bernoulli_log_likelihood(jnp.asarray(logits), coins.astype(np.float32)),
        scipy.stats.bernoulli.logpmf(coins, p),
        rtol=1e-5,
    )
    grey = rng.uniform(size=(4, 3)).astype(np.float32)
    expected = scipy.special.xlogy(grey, p) + scipy.special.xlogy(1 - grey, 1 - p)
    np.testing.assert_allclose(
        terms.bernoulli_log_likelihood(jnp.asarray(logits), grey), expected, rtol=1e-5
    )


def test_gaussian_log_likelihood_against_scipy():
    rng = np.random.default_rng(1)
    x, mean, log_scale = rng.normal(size=(3, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(
        terms.gaussian_log_likelihood(x, mean, log_scale),
        scipy.stats.norm.logpdf(x, mean, np.exp(log_scale)),
        rtol=1e-5,
    )


def test_gaussian_kl_against_quadrature():
    for mean, log_var in [(0.0, 0.0), (1.5, -1.0), (-0.3, 0.8)]:
        q = scipy.stats.norm(mean, np.exp(log_var / 2))

        def integrand(z, q=q):
            return q.pdf(z) * (q.logpdf(z) - scipy.stats.norm.logpdf(z))

        expected, _ = scipy.integrate.quad(integrand, -12, 12)
        kl = terms.gaussian_kl(jnp.float32(mean), jnp.float32(log_var))
        np.testing.assert_allclose(kl, expected, rtol=1e-5, atol=1e-7)


def test_gaussian_kl_against_monte_carlo():
    mean, log_var = np.array([0.7, -1.2]), np.array([-0.5, 0.3])
    q = scipy.stats.multivariate_normal(mean, np.diag(np.exp(log_var)))
    prior = scipy.stats.multivariate_normal(np.zeros(2), np.eye(2))
    z = q.rvs(100_000, random_state=0)
    draws = q.logpdf(z) - prior.logpdf(z)
    kl = terms.gaussian_kl(jnp.float32(mean), jnp.float32(log_var)).sum()
    assert abs(kl - draws.mean()) < 4 * draws.std() / np.sqrt(len(draws))


def test_gaussian_kl_keeps_its_digits_near_the_prior():
    log_var = jnp.float32(1e-3)
    expected = np.float64(log_var) ** 2 / 4 + np.float64(log_var) ** 3 / 12
    np.testing.assert_allclose(
        terms.gaussian_kl(jnp.float32(0), log_var), expected, rtol=1e-3
    )


def test_bfloat16_is_computed_in_float32():
    logits = jnp.array([2.0, -3.0], jnp.bfloat16)
    assert terms.log_d(logits).dtype == jnp.float32
    assert terms.gaussian_kl(logits, logits).dtype == jnp.float32
    assert terms.squared_error(logits, jnp.zeros(2)).dtype == jnp.float32


def test_shapes_that_would_broadcast_raise():
    a, b = jnp.zeros((4, 1)), jnp.zeros((4, 4))
    for term in (
        terms.bernoulli_log_likelihood,
        terms.gaussian_kl,
        terms.squared_error,
        lambda a, b: terms.gaussian_log_likelihood(a, b, 0.0),
    ):
        with pytest.raises(ValueError, match="shapes differ"):
            term(a, b)


def test_sum_per_example():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    np.testing.assert_array_equal(terms.sum_per_example(jnp.asarray(x)), [66, 210])
    np.testing.assert_array_equal(terms.sum_per_example(jnp.ones((3,))), np.ones(3))


def test_absolute_error_refuses_to_broadcast():
    found = terms.absolute_error(jnp.array([1.0, -2.0]), jnp.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [2, 3])
    with pytest.raises(ValueError, match="shapes differ"):
        terms.absolute_error(jnp.zeros(2), jnp.zeros((2, 1)))


DISCRETISED = {
    terms.discretised_logistic_log_likelihood: scipy.stats.logistic,
    terms.discretised_gaussian_log_likelihood: scipy.stats.norm,
}


@pytest.mark.parametrize("loss", DISCRETISED)
@pytest.mark.parametrize(
    ("mean", "log_scale"), [(0.1, -2.0), (0.9, -4.5), (-0.7, 3.0), (1.3, -1.0)]
)
def test_discretised_likelihoods_are_probabilities_of_the_bins(loss, mean, log_scale):
    levels = np.arange(256) / 127.5 - 1
    shape = (256,)
    found = loss(jnp.float32(levels), jnp.full(shape, mean), jnp.full(shape, log_scale))
    p = DISCRETISED[loss](mean, np.exp(log_scale))
    upper, lower = levels + 1 / 255, levels - 1 / 255
    upper[-1], lower[0] = np.inf, -np.inf
    in_tail = lower > mean
    bins = np.where(in_tail, p.sf(lower) - p.sf(upper), p.cdf(upper) - p.cdf(lower))
    seen = bins > 1e-250
    np.testing.assert_allclose(found[seen], np.log(bins[seen]), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=1e-4)


@pytest.mark.parametrize("loss", DISCRETISED)
@pytest.mark.parametrize("log_scale", [-4.9, -7.0])
def test_slopes_are_right_for_a_bin_far_away(loss, log_scale):
    """Far from the mean m, log p of a bin falls as the density's logarithm at its edge.

    The slope in m is 1 / s for a logistic, and z / s, z = (edge - m) / s, for a
    Gaussian, but for 1 / z^2 of it.
    """
    scale = np.exp(log_scale)
    slope = jax.grad(lambda m: loss(x, m, jnp.full(1, log_scale)).sum())
    for m in (-0.9, -40.0, -1e4):
        x = jnp.full(1, 1 / 255)
        z = (0 - m) / scale  # at the edge that is nearer
        expected = (1 if DISCRETISED[loss] is scipy.stats.logistic else z) / scale
        np.testing.assert_allclose(slope(jnp.full(1, m))[0], expected, rtol=1e-3)


@pytest.mark.parametrize("loss", DISCRETISED)
def test_a_bin_in_a_wide_distribution_has_the_density_times_its_width(loss):
    for log_scale in (12.0, 1e4):
        value, slope = jax.value_and_grad(
            lambda s: loss(LEVELS[1:2], jnp.zeros(1), s).sum()
        )(jnp.full(1, log_scale))
        density = DISCRETISED[loss].logpdf(0)
        np.testing.assert_allclose(
            value, density + np.log(2 / 255) - log_scale, rtol=1e-5
        )
        np.testing.assert_allclose(slope, [-1], rtol=1e-5)


def _pairs(*shape):
    """Every pair of extremes, as two arrays [25, *shape]."""
    pairs = np.stack(np.meshgrid(EXTREME, EXTREME), -1).reshape(-1, 2)
    ones = np.ones(shape, np.float32)
    return (jnp.asarray(np.multiply.outer(column, ones)) for column in pairs.T)


@pytest.mark.parametrize(
    "term",
    [
        lambda a, b: terms.gaussian_kl(a, b),
        lambda a, b: terms.gaussian_kl_between(a, b, jnp.zeros(3), jnp.zeros(3)),
        lambda a, b: terms.gaussian_kl_between(jnp.zeros(3), jnp.zeros(3), a, b),
        lambda a, b: terms.gaussian_kl_between(jnp.zeros(3), a, jnp.ones(3), b),
        lambda a, b: terms.gaussian_log_likelihood(LEVELS, a, b),
        lambda a, b: terms.discretised_logistic_log_likelihood(LEVELS, a, b),
        lambda a, b: terms.discretised_gaussian_log_likelihood(LEVELS, a, b),
    ],
)
def test_means_and_log_scales_may_be_extreme_together(term):
    total = jax.value_and_grad(lambda a, b: term(a, b).sum(), (0, 1))
    value, slopes = jax.vmap(total)(*_pairs(3))
    assert np.isfinite(value).all()
    assert np.isfinite(np.stack(slopes)).all()


def test_an_exponential_that_became_its_tangent_leads_back():
    """Beyond e^20 terms keep rising; a clipped one would have no slope."""
    far = jnp.array([25.0, 90.0, 1e4])

    def slope(term):
        return np.asarray(jax.vmap(jax.grad(term))(far))

    zero = jnp.float32(0)
    assert (slope(lambda v: terms.gaussian_kl(zero, v)) > 1e8).all()
    kl = terms.gaussian_kl_between
    assert (slope(lambda v: kl(zero, v, zero, zero)) > 1e8).all()
    assert (slope(lambda v: kl(zero, zero, zero, -v)) > 1e8).all()
    log_p = terms.gaussian_log_likelihood
    assert (slope(lambda s: log_p(zero, zero + 1, -s)) < -1e8).all()


def test_a_scale_far_below_a_bin_is_still_exact():
    x, mean, log_scale = np.float32([1e-5, 0.3]), np.float32([0, 0.3]), np.log(1e-6)
    np.testing.assert_allclose(
        terms.gaussian_log_likelihood(x, mean, float(log_scale)),
        scipy.stats.norm.logpdf(x.astype(float), mean.astype(float), 1e-6),
        rtol=1e-5,
    )


def test_kl_between_gaussians_against_quadrature():
    q, p = scipy.stats.norm(0.3, 0.5), scipy.stats.norm(-0.4, 1.2)
    kl = q.expect(lambda x: q.logpdf(x) - p.logpdf(x))
    found = terms.gaussian_kl_between(
        *(jnp.float32(v) for v in (0.3, 2 * np.log(0.5), -0.4, 2 * np.log(1.2)))
    )
    np.testing.assert_allclose(found, kl, rtol=1e-5)
