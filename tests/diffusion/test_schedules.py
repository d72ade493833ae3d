"""The forward process against single steps, Bayes' rule and published constants."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gen_jax.diffusion import schedules
from gen_jax.errors import UserError

PAPER = schedules.make_schedule(schedules.linear_betas())
COARSE = schedules.make_schedule(np.array([0.1, 0.4, 0.05, 0.6, 0.3]))


def test_the_papers_schedule():
    assert PAPER.T == 1000
    assert PAPER.alpha_bar.dtype == np.float64
    assert PAPER.alpha_bar[0] == 1
    np.testing.assert_allclose(PAPER.alpha_bar[1], 0.9999, rtol=1e-12)
    np.testing.assert_allclose(PAPER.alpha_bar[1000], 4.0358e-5, rtol=1e-4)
    np.testing.assert_allclose(PAPER.beta[[1, 1000]], [1e-4, 0.02])


def test_the_papers_betas_are_scaled_to_the_number_of_steps():
    """So that x_T is noise: the sum of all betas, 10.05, is that of a thousand."""
    np.testing.assert_array_equal(
        schedules.linear_betas(), np.linspace(1e-4, 0.02, 1000)
    )
    for T in (25, 100, 4000):
        betas = schedules.linear_betas(T)
        np.testing.assert_allclose(betas[[0, -1]], [0.1 / T, 20 / T])
        np.testing.assert_allclose(betas.sum(), 10.05)
        assert schedules.make_schedule(betas).alpha_bar[-1] < 5e-5
    stated = schedules.linear_betas(100, 1e-4, 0.02)  # as they are
    np.testing.assert_allclose(stated, np.linspace(1e-4, 0.02, 100))
    assert schedules.linear_betas(21)[-1] < 1
    for args in ((20,), (1,), (100, 0.0, 0.02), (100, 1e-4, 1.0)):
        with pytest.raises(UserError, match="more than 20 steps"):
            schedules.linear_betas(*args)


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


def test_cosine_betas_are_equation_17():
    betas = schedules.cosine_betas(1000)
    t = np.arange(1, 1001)
    f = np.cos((t / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    f_0 = np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    alpha_bar = schedules.make_schedule(betas).alpha_bar[1:]
    np.testing.assert_allclose(alpha_bar[:-1], (f / f_0)[:-1], rtol=1e-9)
    assert betas[-1] == 0.999
    assert betas.max() == 0.999


def test_sampling_begins_at_a_time_with_signal():
    """The paper's schedule, lambda_T = -5.06, at T; the cosine short of its end."""
    assert schedules.last_sampling_step(PAPER) == 1000
    cosine = schedules.make_schedule(schedules.cosine_betas())
    end = schedules.last_sampling_step(cosine)
    ratio = np.sqrt(cosine.alpha_bar[1:] / (1 - cosine.alpha_bar[1:]))
    assert ratio[end - 1] > np.exp(-5.1) > ratio[end]
    assert ratio[-1] < 1e-4
    tau = schedules.sampling_timesteps(cosine, 50)
    assert (tau[0], tau[-1], len(tau)) == (0, end, 51)
    nothing = schedules.make_schedule(np.array([1 - 1e-9]))
    assert schedules.last_sampling_step(nothing) == 1  # one step there is in any case


@pytest.mark.parametrize("steps", [1, 3, 10, 1000])
def test_a_respaced_schedule_keeps_alpha_bar_at_its_times(steps):
    tau = schedules.sampling_timesteps(PAPER, steps)
    spaced = schedules.respaced(PAPER, tau)
    assert (tau[0], tau[-1], spaced.T) == (0, 1000, steps)
    assert (np.diff(tau) > 0).all()
    np.testing.assert_allclose(
        np.cumprod(1 - spaced.beta), PAPER.alpha_bar[tau], rtol=1e-9
    )


def test_log_variances_bound_the_learned_variance():
    small, large = schedules.log_variances(PAPER)
    betas = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(np.exp(large[2:]), betas[1:])
    assert small[1] == large[1] == small[2]  # as in the authors' code
    assert (small[2:] < large[2:]).all()


@pytest.mark.parametrize("betas", [[0.1, 1.0], [0.0, 0.1], [[0.1, 0.2]], [0.1, np.nan]])
def test_impossible_betas_raise(betas):
    with pytest.raises(ValueError, match="betas"):
        schedules.make_schedule(np.array(betas))


def test_a_schedule_is_built_from_a_configuration():
    named = schedules.from_name("cosine", 50)
    np.testing.assert_array_equal(
        named.beta[1:], schedules.cosine_betas(50), strict=True
    )
    named = schedules.from_name("linear", 4, (0.1, 0.4))
    np.testing.assert_allclose(named.beta, [0, 0.1, 0.2, 0.3, 0.4])
    assert schedules.from_name().T == 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("square", 10), "schedule 'square' is unknown: choose one of linear, cosine"),
        (
            ("cosine", 10, (0.1, 0.2)),
            r"=\(0.1, 0.2\), schedule=cosine: give two betas",
        ),
        (("linear", 10, (0.2, 0.1)), "the first and the last, in ascending order"),
        (("linear", 10, (0.1,)), "give two betas"),
    ],
)
def test_an_invalid_schedule_is_an_error(arguments, message):
    with pytest.raises(UserError, match=message):
        schedules.from_name(*arguments)
