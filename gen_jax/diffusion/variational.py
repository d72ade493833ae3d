"""The variational bound of diffusion, term by term (Ho et al. 2020, equation 5).

    -log p(x_0) <= L_T + sum_{t > 1} L_{t-1} + L_0

    L_T      = KL(q(x_T | x_0) || N(0, I))                            the prior
    L_{t-1}  = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))
    L_0      = -log p(x_0 | x_1)                                      reconstruction

The unit is nats per image. p(x_{t-1} | x_t) is the posterior at x_0_hat. Its variance
lies between the posterior's own and beta_t.
"""

import math

import jax
import jax.numpy as jnp

from gen_jax.diffusion.samplers import Denoised
from gen_jax.diffusion.schedules import Schedule, at, log_variances, posterior
from gen_jax.losses import terms


def prior_term(schedule: Schedule, x_0: jax.Array) -> jax.Array:
    """Return L_T, float32 [B] in nats, of x_0 [B, ...]."""
    mean = float(schedule.signal[-1]) * x_0
    log_var = jnp.full_like(mean, math.log(1 - schedule.alpha_bar[-1]))
    return terms.sum_per_example(terms.gaussian_kl(mean, log_var))


def step_term(
    schedule: Schedule,
    denoised: Denoised,
    x_0: jax.Array,
    x_t: jax.Array,
    t: jax.Array,
    *,
    v: float | None,
    discrete: bool,
) -> jax.Array:
    """Return L_{t-1} for t in 1..T, which includes L_0: float32 [B] in nats.

    denoised: the denoiser's answer at x_t [B, ...] and t int32 [B].
    v: as `Denoised.v`, for a variance that is not learned; None for a learned one. A
        learned one may leave its range: the term stays finite and its slope leads back.
    discrete: whether x_0 has 256 levels in [-1, 1]. If so L_0 is a probability
        (equation 13), else a density.
    """
    mean, _ = posterior(schedule, x_0, x_t, t)
    mean_hat, _ = posterior(schedule, denoised.x_0, x_t, t)
    small, large = (at(table, t, x_t) for table in log_variances(schedule))
    between = denoised.v if v is None else v
    if between is None:
        raise ValueError("a learned variance needs the denoiser's v; it gave None")
    log_var_hat = jnp.broadcast_to(small + between * (large - small), x_t.shape)
    kl = terms.gaussian_kl_between(mean, small, mean_hat, log_var_hat)
    if discrete:
        log_p = terms.discretised_gaussian_log_likelihood(
            x_0, mean_hat, 0.5 * log_var_hat
        )
    else:
        log_p = terms.gaussian_log_likelihood(x_0, mean_hat, 0.5 * log_var_hat)
    is_first = (t == 1).reshape(-1, *[1] * (x_0.ndim - 1))
    return terms.sum_per_example(jnp.where(is_first, -log_p, kl))
