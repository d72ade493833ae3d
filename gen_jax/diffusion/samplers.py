"""The reverse process of diffusion: noise becomes an image, by a denoiser.

A denoiser is any function denoise(x_t, t, x0_prev) -> Denoised: an estimate of x_0
from x_t [B, ...] and t int32 [B]; from a network's output by `predictions.py`, or from
an exact score s by x_0_hat = (x_t + (1 - alpha_bar_t) s(x_t)) / sqrt(alpha_bar_t). It
may use the estimate of the step before (Chen et al. 2023, self-conditioning), which is
0 at first. With eps_hat, the noise that x_0_hat leaves in x_t, most samplers take steps
of one form,

    x_s = a x_0_hat + a' x0_prev + b x_t + c noise,

and differ in the times t > s they visit and in a, a', b, c. The noise of example i at
time t comes from its key folded with t. A loop over the times is compiled once, so
neither compile time nor code grows with T.

Chains of few steps begin at E = `schedules.last_sampling_step`, which is T unless the
last of the T steps hold no signal, and take x_T from N(0, I) as x_E. The way up ends
there too.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import randomness
from gen_jax.diffusion.schedules import (
    Schedule,
    at,
    last_sampling_step,
    log_variances,
    posterior_tables,
    respaced,
    sampling_timesteps,
)
from gen_jax.errors import UserError


class Denoised(NamedTuple):
    """What a denoiser says of x_t.

    x_0: the estimate [B, ...]. v: where the log variance of p(x_{t-1} | x_t) lies, from
    0 for the posterior's to 1 for log beta_t, [B, ...]; None where it is not learned.
    """

    x_0: jax.Array
    v: jax.Array | None = None


Denoiser = Callable[[jax.Array, jax.Array, jax.Array], Denoised]

VARIANCES = {"fixed_small": 0.0, "fixed_large": 1.0, "learned_range": None}


class _Steps(NamedTuple):
    """A reverse chain, each [S], in the order of the visit."""

    t: np.ndarray
    on_x_0: np.ndarray
    on_x_t: np.ndarray
    on_before: np.ndarray | float = 0.0
    noise: np.ndarray | float = 0.0
    # Of a learned variance, log posterior's and log beta's; `noise` then multiplies it.
    log_range: tuple[np.ndarray, np.ndarray] | None = None


def ancestral(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: jax.Array,
    keys: jax.Array,
    *,
    steps: int | None = None,
    variance: str = "fixed_large",
    clip: bool = True,
) -> jax.Array:
    """Ho et al. (2020), algorithm 2: x_{t-1} ~ N(posterior mean, sigma_t^2 I).

    x_T: [B, ...] from N(0, I). keys: [B]. The last step adds no noise.
    steps: None for all T, as in the paper; 1..E visit `schedules.times` only, by the
        same rule on the respaced schedule (Nichol & Dhariwal 2021, section 4).
    variance: sigma_t^2 is beta_t ("fixed_large", best where x_0 is from N(0, I) and
        the paper's choice for CIFAR-10), the posterior's ("fixed_small", best where
        x_0 is one point), or what the denoiser says ("learned_range").
    clip: whether x_0_hat is clipped to [-1, 1], as in the paper's code.

    Returns x_0 [B, ...]. Raises UserError for steps outside 1..E.
    """
    if steps is None:
        tau = np.arange(schedule.T + 1)
    else:
        tau = _checked_times(schedule, steps)
    i = np.arange(len(tau) - 1, 0, -1)
    spaced = respaced(schedule, tau)
    on_x_0, on_x_t, small = posterior_tables(spaced)
    sigma, log_range = np.sqrt(small), None
    if variance == "fixed_large":
        sigma = np.sqrt(spaced.beta)
    elif variance == "learned_range":
        sigma = np.ones(len(tau))
        log_range = tuple(table[i] for table in log_variances(spaced))
    noise = np.where(i > 1, sigma[i], 0.0)
    chain = _Steps(tau[i], on_x_0[i], on_x_t[i], noise=noise, log_range=log_range)
    return _run(denoise, x_T, keys, chain, clip=clip)


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

    x_T: [B, ...] from N(0, I). keys: [B]. steps: S in 1..E, at `schedules.times`.
    eta: 0 is deterministic given x_T; 1 is `ancestral` with "fixed_small".
    clip: whether x_0_hat is clipped to [-1, 1]; eps_hat is then recomputed from it.

    Returns x_0 [B, ...]. Raises UserError for steps outside 1..E, eta outside [0, 1].
    """
    tau = _checked_times(schedule, steps)
    return ddim_along(denoise, schedule, x_T, keys, tau, eta=eta, clip=clip)


def ddim_along(
    denoise: Denoiser,
    schedule: Schedule,
    x_t: jax.Array,
    keys: jax.Array,
    tau: np.ndarray,
    *,
    eta: float,
    clip: bool,
) -> jax.Array:
    """`ddim` down the times tau, int64 [S + 1], rising: from x_t at the last of them.

    Returns x [B, ...] at the first, which may lie above 0.
    """
    if not 0 <= eta <= 1:
        raise UserError(f"eta is {eta}, but it lies between 0 and 1")
    t, abar_t, abar_s = _pairs(schedule, tau)
    sigma = eta * np.sqrt((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s))
    # eps_hat = (x_t - sqrt(abar_t) x_0_hat) / sqrt(1 - abar_t), put into equation 12
    on_x_t = np.sqrt((1 - abar_s - sigma**2) / (1 - abar_t))
    on_x_0 = np.sqrt(abar_s) - np.sqrt(abar_t) * on_x_t
    chain = _Steps(t, on_x_0, on_x_t, noise=sigma)
    return _run(denoise, x_t, keys, chain, clip=clip)


def dpm_solver(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: jax.Array,
    keys: jax.Array,
    *,
    steps: int,
    clip: bool = True,
) -> jax.Array:
    """DPM-Solver++(2M): Lu et al. (2022), "DPM-Solver++", algorithm 2.

    x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) D,  h = lambda_s - lambda_t,
    D = (1 + 1 / 2r) x_0_hat - (1 / 2r) x0_prev,        r = h_before / h

    with alpha = sqrt(abar), sigma = sqrt(1 - abar), lambda = log(alpha / sigma). The
    first step, and the last, to sigma = 0, take D = x_0_hat. Deterministic.

    x_T, steps, clip: as for `ddim`. Returns x_0 [B, ...].
    """
    tau = _checked_times(schedule, steps)
    t, abar_t, abar_s = _pairs(schedule, tau)
    lambda_t = 0.5 * np.log(abar_t / (1 - abar_t))
    h = np.append(np.diff(lambda_t), np.inf)
    x0_prev = np.zeros(len(t))
    x0_prev[1:-1] = 0.5 * h[1:-1] / h[:-2]  # 1 / 2r
    on_x_0 = -np.sqrt(abar_s) * np.expm1(-h)
    chain = _Steps(
        t,
        on_x_0 * (1 + x0_prev),
        np.sqrt((1 - abar_s) / (1 - abar_t)),
        on_before=-on_x_0 * x0_prev,
    )
    return _run(denoise, x_T, keys, chain, clip=clip)


def heun(
    denoise: Denoiser,
    schedule: Schedule,
    x_T: jax.Array,
    keys: jax.Array,
    *,
    steps: int,
    clip: bool = True,
) -> jax.Array:
    """Heun's method on d(x / alpha) / d(sigma / alpha) = eps_hat; deterministic.

    Karras et al. (2022), algorithm 1, in the variables of Song et al. (2021), equation
    13; alpha, sigma as for `dpm_solver`. Each step but the last takes two evaluations.

    x_T, steps, clip: as for `ddim`; keys are not used. Returns x_0 [B, ...].
    """
    del keys
    tau = _checked_times(schedule, steps)
    ratio = schedule.noise / schedule.signal

    def slope(x_bar, t, x0_prev):
        """eps_hat at x / alpha = x_bar, and x_0_hat."""
        x_t = at(schedule.signal, t, x_bar) * x_bar
        x_0 = _clipped(denoise(x_t, t, x0_prev).x_0, clip)
        return (x_bar - x_0) / at(ratio, t, x_bar), x_0

    def step(carry, now):
        (x_bar, x_0), (t, s) = carry, now
        t, s = (jnp.full(x_bar.shape[:1], time) for time in (t, s))
        distance = at(ratio, s, x_bar) - at(ratio, t, x_bar)
        first, x_0 = slope(x_bar, t, x_0)
        second, x_0 = slope(x_bar + distance * first, s, x_0)
        return (x_bar + distance * (first + second) / 2, x_0), None

    down = jnp.asarray(tau[::-1], jnp.int32)
    start = x_T / float(schedule.signal[tau[-1]])
    inner = (down[:-2], down[1:-1])
    (x_bar, x_0), _ = jax.lax.scan(step, (start, jnp.zeros_like(x_T)), inner)
    return slope(x_bar, jnp.full(x_T.shape[:1], down[-2]), x_0)[1]


def ddim_inverse(
    denoise: Denoiser, schedule: Schedule, x_0: jax.Array, *, steps: int
) -> jax.Array:
    """From x_0 [B, ...] up to the x_T [B, ...] that `ddim`, eta = 0, would lead back.

    The same equation with t and s exchanged, eps_hat taken at the lower time: exact as
    the steps grow many (Song et al. 2021, section 4.3). At time 0 eps_hat is asked for
    as of time 1. Nothing is clipped. Raises UserError for steps outside 1..E.
    """
    tau = _checked_times(schedule, steps)

    def step(carry, now):
        (x_s, x0_prev), (s, t) = carry, now
        s, t = (jnp.full(x_s.shape[:1], time) for time in (s, t))
        asked = jnp.maximum(s, 1)
        x_0 = denoise(x_s, asked, x0_prev).x_0
        eps = x_s - at(schedule.signal, asked, x_s) * x_0
        eps /= at(schedule.noise, asked, x_s)
        x_0 = (x_s - at(schedule.noise, s, x_s) * eps) / at(schedule.signal, s, x_s)
        x_t = at(schedule.signal, t, x_s) * x_0 + at(schedule.noise, t, x_s) * eps
        return (x_t, x_0), None

    up = jnp.asarray(tau, jnp.int32)
    start = (x_0, jnp.zeros_like(x_0))
    (x_T, _), _ = jax.lax.scan(step, start, (up[:-1], up[1:]))
    return x_T


def _checked_times(schedule: Schedule, steps: int) -> np.ndarray:
    most = last_sampling_step(schedule)
    if not 1 <= steps <= most:
        raise UserError(f"{steps} sampling steps, but 1 to {most} are allowed")
    return sampling_timesteps(schedule, steps)


def _pairs(schedule: Schedule, tau: np.ndarray):
    """t, alpha_bar_t and alpha_bar_s for each step t -> s down the times tau."""
    t, s = tau[:0:-1], tau[-2::-1]
    return t, schedule.alpha_bar[t], schedule.alpha_bar[s]


def _clipped(x_0: jax.Array, clip: bool) -> jax.Array:
    return jnp.clip(x_0, -1.0, 1.0) if clip else x_0


def _run(
    denoise: Denoiser,
    x_T: jax.Array,
    keys: jax.Array,
    steps: _Steps,
    *,
    clip: bool,
) -> jax.Array:
    def step(carry, now):
        x_t, x0_prev = carry
        t = jnp.full(x_t.shape[:1], now.t)
        x_0, v = denoise(x_t, t, x0_prev)
        x_0, sigma = _clipped(x_0, clip), now.noise
        if now.log_range is not None:
            small, large = now.log_range
            sigma *= jnp.exp(0.5 * (small + v * (large - small)))
        noise = randomness.normal(randomness.fold_in(keys, now.t), x_t.shape[1:])
        x_s = now.on_x_0 * x_0 + now.on_before * x0_prev + now.on_x_t * x_t
        return (x_s + sigma * noise, x_0), None

    def column(table):
        return jnp.broadcast_to(jnp.asarray(table, jnp.float32), steps.t.shape)

    columns = jax.tree.map(column, steps)
    columns = columns._replace(t=jnp.asarray(steps.t, jnp.int32))
    (x_0, _), _ = jax.lax.scan(step, (x_T, jnp.zeros_like(x_T)), columns)
    return x_0
