"""The reverse process of diffusion: noise becomes an image, by a denoiser.

A denoiser is any function eps_hat = denoise(x_t, t): x_t [B, ...] and t int32 [B] give
[B, ...], an estimate of the noise within x_t; a network, or an exact score s through
eps_hat = -sqrt(1 - alpha_bar_t) s(x_t). Both samplers, Ho et al.'s (2020) ancestral
one and DDIM (Song et al. 2021), draw x_0 by steps of one form,

    x_s = a x_0_hat + b x_t + c noise,   x_0_hat = predict_x_0(x_t, t, eps_hat)

and differ in the times t > s they visit and in a, b, c. The noise of example i at time
t comes from its key folded with t. A loop over the times is compiled once, so neither
compile time nor code grows with T.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import randomness
from gen_jax.errors import UserError, choose
from gen_jax.schedules import Schedule, posterior_tables, predict_x_0

Denoiser = Callable[[jax.Array, jax.Array], jax.Array]

# sigma_t^2 of the ancestral sampler, [T + 1] from a schedule.
VARIANCES = {
    "fixed_large": lambda schedule: schedule.beta,
    "fixed_small": lambda schedule: posterior_tables(schedule)[2],
}


class _Steps(NamedTuple):
    """A reverse chain, [S]: times in the order of their visit, and a, b, c."""

    t: np.ndarray
    on_x_0: np.ndarray
    on_x_t: np.ndarray
    noise: np.ndarray


def ancestral(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: jax.Array,
    keys: jax.Array,
    *,
    variance: str = "fixed_large",
    clip: bool = True,
) -> jax.Array:
    """Ho et al. (2020), algorithm 2: x_{t-1} ~ N(posterior mean, sigma_t^2 I).

    x_T: [B, ...] from N(0, I). keys: [B]. The last step adds no noise.
    variance: sigma_t^2 is beta_t ("fixed_large", best where x_0 is from N(0, I) and
        the paper's choice for CIFAR-10) or the posterior's ("fixed_small", best where
        x_0 is one point).
    clip: whether x_0_hat is clipped to [-1, 1], as in the paper's code.

    Returns x_0 [B, ...]. Raises UserError for an unknown variance.
    """
    on_x_0, on_x_t, _ = posterior_tables(schedule)
    noise = np.sqrt(choose("variance", variance, VARIANCES)(schedule))
    t = np.arange(schedule.T, 0, -1)
    steps = _Steps(t, on_x_0[t], on_x_t[t], np.where(t > 1, noise[t], 0.0))
    return _chain(denoise, schedule, x_T, keys, steps, clip)


def ddim(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: jax.Array,
    keys: jax.Array,
    *,
    steps: int,
    eta: float = 0.0,
    clip: bool = True,
) -> jax.Array:
    """Song et al. (2021), equations 12 and 16, on a sub-sequence of the times.

    x_s = sqrt(abar_s) x_0_hat + sqrt(1 - abar_s - sigma^2) eps_hat + sigma noise
    sigma = eta sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)

    x_T: [B, ...] from N(0, I). keys: [B].
    steps: S in 1..T. The times are tau_i = floor(i T / S) for i = S..1, the paper's
        linear rule, then 0: the first is T, whose x_T is noise. (The authors' code
        strides from the other end and starts short of T.)
    eta: 0 is deterministic given x_T; 1 with S = T is `ancestral` with "fixed_small".
    clip: whether x_0_hat is clipped to [-1, 1]; eps_hat is then recomputed from it.

    Returns x_0 [B, ...]. Raises UserError for steps outside 1..T, eta outside [0, 1].
    """
    if not 1 <= steps <= schedule.T:
        raise UserError(f"{steps} sampling steps, but 1 to {schedule.T} are allowed")
    if not 0 <= eta <= 1:
        raise UserError(f"eta is {eta}, but it lies between 0 and 1")
    tau = np.arange(steps + 1) * schedule.T // steps
    t = tau[:0:-1]
    abar_t, abar_s = schedule.alpha_bar[t], schedule.alpha_bar[tau[-2::-1]]
    sigma = eta * np.sqrt((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s))
    # eps_hat = (x_t - sqrt(abar_t) x_0_hat) / sqrt(1 - abar_t), put into equation 12
    on_x_t = np.sqrt((1 - abar_s - sigma**2) / (1 - abar_t))
    on_x_0 = np.sqrt(abar_s) - np.sqrt(abar_t) * on_x_t
    chain = _Steps(t, on_x_0, on_x_t, sigma)
    return _chain(denoise, schedule, x_T, keys, chain, clip)


def _chain(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: jax.Array,
    keys: jax.Array,
    steps: _Steps,
    clip: bool,
) -> jax.Array:
    def step(x_t, now):
        t = jnp.full(x_t.shape[:1], now.t)
        x_0_hat = predict_x_0(schedule, x_t, t, denoise(x_t, t))
        if clip:
            x_0_hat = jnp.clip(x_0_hat, -1.0, 1.0)
        noise = randomness.normal(randomness.fold_in(keys, now.t), x_t.shape[1:])
        x_s = now.on_x_0 * x_0_hat + now.on_x_t * x_t + now.noise * noise
        return x_s, None

    tables = [jnp.asarray(table, jnp.float32) for table in steps[1:]]
    steps = _Steps(jnp.asarray(steps.t, jnp.int32), *tables)
    x_0, _ = jax.lax.scan(step, x_T, steps)
    return x_0
