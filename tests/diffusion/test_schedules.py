"""The forward process against single steps, Bayes' rule and published constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gen_jax import schedules

PAPER = schedules.make_schedule(schedules.linear_betas())
COARSE = schedules.make_schedule(np.array([0.1, 0.4, 0.05, 0.6, 0.3]))


def test_the_papers_schedule():
    assert PAPER.T == 1000
    assert PAPER.alpha_bar.dtype == np.float64
    assert PAPER.alpha_bar[0] == 1
    np.testing.assert_allclose(PAPER.alpha_bar[1], 0.9999, rtol=1e-12)
    np.testing.assert_allclose(PAPER.alpha_bar[1000], 4.0358e-5, rtol=1e-4)
    np.testing.assert_allclose(PAPER.beta[[1, 1000]], [1e-4, 0.02])


def test_q_of_x_t_given_x_0_is_t_single_steps_exactly():
    """Against the recursion of mean and variance through equation 2, in float64."""
    mean, variance = 1.0, 0.0
    means, variances = [mean], [variance]
    for beta in np.linspace(1e-4, 0.02, 1000):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        means.append(mean)
        variances.append(variance)
    t = jnp.arange(1001)
    one, zero = jnp.ones((1001, 1)), jnp.zeros((1001, 1))
    signal = schedules.q_sample(PAPER, one, t, zero)[:, 0]
    noise = schedules.q_sample(PAPER, zero, t, one)[:, 0]
    np.testing.assert_allclose(signal, means, rtol=1e-6)
    np.testing.assert_allclose(noise, np.sqrt(variances), rtol=1e-6)


def test_q_of_x_t_given_x_0_is_t_single_steps_by_simulation():
    rng, n, x_0 = np.random.default_rng(0), 20_000, 1.5
    x = np.full(n, x_0)
    for beta in [0.1, 0.4, 0.05, 0.6]:
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.normal(size=n)
    eps = jnp.asarray(rng.normal(size=(n, 1)), jnp.float32)
    t = jnp.full((n,), 4)
    x_t = schedules.q_sample(COARSE, jnp.full((n, 1), x_0), t, eps)[:, 0]
    assert scipy.stats.ks_2samp(x, np.asarray(x_t)).pvalue > 0.01


def test_every_example_has_its_own_time():
    x_0 = jnp.ones((3, 2, 2, 1))
    t = jnp.array([0, 2, 5])
    x_t = schedules.q_sample(COARSE, x_0, t, jnp.zeros_like(x_0))
    expected = np.sqrt([1, 0.9 * 0.6, 0.9 * 0.6 * 0.95 * 0.4 * 0.7])
    np.testing.assert_allclose(x_t[:, 1, 1, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("t", [2, 3, 5])
def test_posterior_is_bayes_rule(t):
    """q(x_{t-1} | x_t, x_0) from prior times likelihood, on a grid."""
    x_0, x_t = 0.8, -0.4
    beta = COARSE.beta[t]
    previous = np.prod(1 - COARSE.beta[1:t])
    grid = np.linspace(-8, 8, 20_001)
    prior = scipy.stats.norm.pdf(grid, np.sqrt(previous) * x_0, np.sqrt(1 - previous))
    likelihood = scipy.stats.norm.pdf(x_t, np.sqrt(1 - beta) * grid, np.sqrt(beta))
    density = prior * likelihood
    density /= density.sum()
    expected_mean = np.sum(density * grid)
    expected_variance = np.sum(density * (grid - expected_mean) ** 2)
    mean, variance = schedules.posterior(
        COARSE, jnp.full((1, 1), x_0), jnp.full((1, 1), x_t), jnp.array([t])
    )
    np.testing.assert_allclose(mean[0, 0], expected_mean, rtol=1e-5)
    np.testing.assert_allclose(variance[0], expected_variance, rtol=1e-5)


def test_posterior_of_the_first_step_is_x_0():
    x_0, x_1 = jnp.full((1, 2), 0.3), jnp.full((1, 2), -7.0)
    mean, variance = schedules.posterior(PAPER, x_0, x_1, jnp.array([1]))
    np.testing.assert_allclose(mean, x_0, rtol=1e-6)
    np.testing.assert_array_equal(variance, [0.0])


def test_predict_x_0_inverts_q_sample():
    keys = jax.random.split(jax.random.key(0))
    x_0, eps = (jax.random.normal(key, (4, 3)) for key in keys)
    t = jnp.array([1, 10, 300, 1000])
    x_t = schedules.q_sample(PAPER, x_0, t, eps)
    # alpha_bar_T = 4e-5 magnifies float32's rounding 160-fold
    np.testing.assert_allclose(
        schedules.predict_x_0(PAPER, x_t, t, eps), x_0, atol=1e-4
    )


@pytest.mark.parametrize("betas", [[0.1, 1.0], [0.0, 0.1], [[0.1, 0.2]], [0.1, np.nan]])
def test_impossible_betas_raise(betas):
    with pytest.raises(ValueError, match="betas"):
        schedules.make_schedule(np.array(betas))
