"""The bound's terms against SciPy, quadrature and the exact likelihood."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gen_jax.diffusion import schedules, variational
from gen_jax.diffusion.samplers import Denoised

SMALL = schedules.make_schedule(schedules.linear_betas(10, 0.01, 0.5))


def test_the_prior_term_is_the_kl_to_the_standard_normal():
    x_0 = jnp.array([[0.3, -0.8], [1.0, 0.0]])
    abar = np.prod(1 - np.linspace(0.01, 0.5, 10))
    var = 1 - abar
    kl = 0.5 * (abar * np.asarray(x_0) ** 2 + var - 1 - np.log(var))
    found = variational.prior_term(SMALL, x_0)
    np.testing.assert_allclose(found, kl.sum(1), rtol=1e-5)


@pytest.mark.parametrize("v", [0.0, 0.4, 1.0])
def test_a_step_is_a_kl_between_two_gaussians_by_quadrature(v):
    x_0, x_t, x_0_hat = jnp.array([[0.2]]), jnp.array([[0.5]]), jnp.array([[-0.3]])
    beta = np.linspace(0.01, 0.5, 10)
    abar = np.cumprod(1 - beta)
    t = 6
    b, a, before = beta[t - 1], abar[t - 1], abar[t - 2]
    small = b * (1 - before) / (1 - a)

    def mean(x):
        on_x_0 = np.sqrt(before) * b / (1 - a)
        return on_x_0 * x + np.sqrt(1 - b) * (1 - before) / (1 - a) * 0.5

    q = scipy.stats.norm(mean(0.2), np.sqrt(small))
    p = scipy.stats.norm(mean(-0.3), np.sqrt(small ** (1 - v) * b**v))
    kl = q.expect(lambda x: q.logpdf(x) - p.logpdf(x))
    found = variational.step_term(
        SMALL, Denoised(x_0_hat), x_0, x_t, jnp.array([t]), v=v, discrete=True
    )
    np.testing.assert_allclose(found, [kl], rtol=1e-4)


def test_the_last_step_is_the_probability_of_the_grey_level():
    level = 40 / 127.5 - 1
    x_0, x_1 = jnp.full((1, 3), level), jnp.full((1, 3), 0.1)
    x_0_hat = jnp.full((1, 3), -0.6)
    beta = np.linspace(0.01, 0.5, 10)
    abar = np.cumprod(1 - beta)
    scale = np.sqrt(beta[1] * (1 - abar[0]) / (1 - abar[1]))  # the posterior's at 2
    p = scipy.stats.norm(-0.6, scale)
    log_p = np.log(p.cdf(level + 1 / 255) - p.cdf(level - 1 / 255))
    for v in (0.0, 1.0):
        found = variational.step_term(
            SMALL, Denoised(x_0_hat), x_0, x_1, jnp.array([1]), v=v, discrete=True
        )
        np.testing.assert_allclose(found, [-3 * log_p], rtol=1e-4)


def test_with_the_exact_denoiser_the_bound_nears_the_entropy_of_gaussian_data():
    """As T grows, the only gap left is the cost of the last step's given variance.

    It is KL(N(m, true) || N(m, given)) = (r - 1 - log r) / 2, r = true / given.
    """
    scale, n = 0.5, 200_000
    key = jax.random.key(0)
    x_0 = scale * jax.random.normal(key, (n, 1))
    log_p = scipy.stats.norm(0, scale).logpdf(np.asarray(x_0)).mean()

    def gap(T):
        betas = schedules.linear_betas(T)
        schedule = schedules.make_schedule(betas)
        abar = schedule.alpha_bar
        total = variational.prior_term(schedule, x_0)
        for t in range(1, T + 1):
            eps = jax.random.normal(jax.random.fold_in(key, t), (n, 1))
            time = jnp.full(n, t)
            x_t = schedules.q_sample(schedule, x_0, time, eps)
            gain = np.sqrt(abar[t]) * scale**2 / (abar[t] * scale**2 + 1 - abar[t])
            total += variational.step_term(
                schedule,
                Denoised(float(gain) * x_t),
                x_0,
                x_t,
                time,
                v=1.0,
                discrete=False,
            )
        true = scale**2 * (1 - abar[1]) / (abar[1] * scale**2 + 1 - abar[1])
        r = true / (betas[1] * (1 - abar[1]) / (1 - abar[2]))
        return log_p + float(total.mean()) - (r - 1 - np.log(r)) / 2

    coarse, fine = gap(25), gap(100)
    assert coarse > 2 * abs(fine)
    assert abs(fine) < 0.03
