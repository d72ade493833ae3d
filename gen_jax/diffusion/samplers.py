"""The reverse process of diffusion: a denoiser turns noise into an image.

A denoiser is any function denoise(x_t, t, x0_prev) -> Denoised: an estimate of x_0 from
x_t [B, ...] and t int32 [B]. `predictions.py` makes one from a network's output. An
exact score s makes one too, by x_0_hat = (x_t + (1 - alpha_bar_t) s(x_t)) /
sqrt(alpha_bar_t). A denoiser may use the estimate of the previous step, which is 0 at
first (self-conditioning, Chen et al. 2023). Let eps_hat be the noise that x_0_hat
leaves in x_t. Most samplers then take steps of one form,

    x_s = a x_0_hat + a' x0_prev + b x_t + c noise.

They differ in the times t > s that they visit and in a, a', b, c. The noise of example
i at time t comes from its key folded with t. The loop over the times is compiled once,
so compile time does not grow with T.

Chains of few steps begin at E = `schedules.last_sampling_step` and take x_T from N(0,
I) as x_E. E is T unless the last of the T steps hold no signal. `ddim_inverse` ends
there too. A chain of T steps visits every time, 1..T, by any sampler.
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
    """The answer of a denoiser at x_t.

    x_0: the estimate [B, ...].
    v: position [B, ...] of the log variance of p(x_{t-1} | x_t), from 0 for the
        posterior's to 1 for log beta_t; None if it is not learned.
    """

    x_0: jax.Array
    v: jax.Array | None = None


Denoiser = Callable[[jax.Array, jax.Array, jax.Array], Denoised]

# Each variance by its v, see `Denoised`.
VARIANCES = {"fixed_small": 0.0, "fixed_large": 1.0, "learned_range": None}


class _Steps(NamedTuple):
    """A reverse chain: tables [S], in the order of the visit."""

    t: np.ndarray
    on_x_0: np.ndarray
    on_x_t: np.ndarray
    on_x0_prev: np.ndarray | float = 0.0
    noise: np.ndarray | float = 0.0
    # For a learned variance: log of the posterior's, and log beta. `noise` then
    # multiplies the learned deviation.
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
    """Return samples x_0 [B, ...], drawn step by step: x_{t-1} ~ N(mean, sigma_t^2 I).

    Ho et al. (2020), algorithm 2, with the posterior's mean. The last step adds no
    noise.

    x_T: noise from N(0, I), [B, ...].
    keys: one key per example, [B].
    steps: number of steps; T or None for all T, as in the paper. With 1..E it visits
        `schedules.sampling_timesteps` only, by the same rule on the respaced schedule
        (Nichol & Dhariwal 2021, section 4).
    variance: "fixed_large" for beta_t, the best choice if x_0 is from N(0, I) and the
        paper's for CIFAR-10. "fixed_small" for the posterior's, the best if x_0 is a
        single point. "learned_range" for the denoiser's.
    clip: whether x_0_hat is clipped to [-1, 1], as in the paper's code.

    Raises UserError if steps is neither T nor in 1..E.
    """
    tau = _checked_times(schedule, schedule.T if steps is None else steps)
    i = np.arange(len(tau) - 1, 0, -1)
    # The chain's own betas: those of all T steps would be too small for long steps.
    spaced = respaced(schedule, tau)
    on_x_0, on_x_t, small = posterior_tables(spaced)
    sigma, log_range = np.sqrt(small), None
    if variance == "fixed_large":
        sigma = np.sqrt(spaced.beta)
    elif variance == "learned_range":
        sigma = np.ones(len(tau))
        smallest, largest = log_variances(spaced)
        log_range = smallest[i], largest[i]
    noise = np.where(i > 1, sigma[i], 0.0)  # the last step returns the mean
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
    """Return samples x_0 [B, ...] by DDIM on a subsequence of the times.

    Song et al. (2021), equations 12 and 16:

        x_s = sqrt(abar_s) x_0_hat + sqrt(1 - abar_s - sigma^2) eps_hat + sigma noise
        sigma = eta sqrt((1 - abar_s) / (1 - abar_t)) sqrt(1 - abar_t / abar_s)

    x_T: noise from N(0, I), [B, ...].
    keys: one key per example, [B].
    steps: number S of steps: 1..E, at `schedules.sampling_timesteps`, or T.
    eta: 0 is deterministic given x_T; 1 is `ancestral` with "fixed_small".
    clip: whether x_0_hat is clipped to [-1, 1]. If so eps_hat is recomputed from it,
        like diffusers' `use_clipped_model_output=True`.

    Raises UserError if steps is neither T nor in 1..E, or eta outside [0, 1].
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
    """Return x [B, ...] after `ddim` down the given times.

    x_t: the start [B, ...], at the last of the times.
    tau: increasing times, int64 [S + 1]. The first may lie above 0.

    Raises UserError if eta is outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise UserError(f"eta={eta} is out of range: give a number between 0 and 1")
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
    """Return samples x_0 [B, ...] by DPM-Solver++(2M), which is deterministic.

    Lu et al. (2022), "DPM-Solver++", algorithm 2:

        x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) D,  h = lambda_s - lambda_t,
        D = (1 + 1 / 2r) x_0_hat - (1 / 2r) x0_prev,        r = h_prev / h

    with alpha = sqrt(abar), sigma = sqrt(1 - abar), lambda = log(alpha / sigma). The
    first and the last step take D = x_0_hat, since the last leads to sigma = 0.

    x_T, keys, steps, clip: as for `ddim`.
    """
    tau = _checked_times(schedule, steps)
    t, abar_t, abar_s = _pairs(schedule, tau)
    # Of t only: at s = 0 lambda is infinite.
    lambda_t = 0.5 * np.log(abar_t / (1 - abar_t))
    h = np.append(np.diff(lambda_t), np.inf)  # the last step leads to sigma = 0
    half_inverse_r = np.zeros(len(t))  # 1 / 2r
    half_inverse_r[1:-1] = 0.5 * h[1:-1] / h[:-2]
    # expm1 keeps the digits of short steps; at h = inf it is -1, so x_s is x_0_hat.
    on_x_0 = -np.sqrt(abar_s) * np.expm1(-h)
    chain = _Steps(
        t,
        on_x_0 * (1 + half_inverse_r),
        np.sqrt((1 - abar_s) / (1 - abar_t)),
        on_x0_prev=-on_x_0 * half_inverse_r,
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
    """Return samples x_0 [B, ...] by Heun's method, which is deterministic.

    It integrates d(x / alpha) / d(sigma / alpha) = eps_hat: Karras et al. (2022),
    algorithm 1, in the variables of Song et al. (2021), equation 13. alpha and sigma
    are as for `dpm_solver`. Each step but the last evaluates the denoiser twice.

    x_T, steps, clip: as for `ddim`; the keys are not used.
    """
    del keys
    tau = _checked_times(schedule, steps)
    ratio = schedule.noise / schedule.signal

    def slope(x_bar, t, x0_prev):
        """Return eps_hat and x_0_hat at x / alpha = x_bar."""
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
    # The step to time 0 comes below: sigma / alpha is 0 there, a divisor of `slope`.
    inner = (down[:-2], down[1:-1])
    (x_bar, x_0), _ = jax.lax.scan(step, (start, jnp.zeros_like(x_T)), inner)
    # At sigma = 0 the slope is undefined: the last step is Euler's and returns x_0_hat.
    return slope(x_bar, jnp.full(x_T.shape[:1], down[-2]), x_0)[1]


def ddim_inverse(
    denoise: Denoiser, schedule: Schedule, x_0: jax.Array, *, steps: int
) -> jax.Array:
    """Return the x_T [B, ...] from which `ddim` with eta = 0 leads to x_0 [B, ...].

    It applies the equation of `ddim` with t and s exchanged and takes eps_hat at the
    lower time. It becomes exact as the number of steps grows (Song et al. 2021, section
    4.3). At time 0 the denoiser is evaluated as at time 1. Nothing is clipped. Raises
    UserError if steps is neither T nor in 1..E.
    """
    tau = _checked_times(schedule, steps)

    def step(carry, now):
        (x_s, x0_prev), (s, t) = carry, now
        s, t = (jnp.full(x_s.shape[:1], time) for time in (s, t))
        lower = jnp.maximum(s, 1)  # no denoiser is trained at time 0
        x_0 = denoise(x_s, lower, x0_prev).x_0
        eps = x_s - at(schedule.signal, lower, x_s) * x_0
        eps /= at(schedule.noise, lower, x_s)
        x_0 = (x_s - at(schedule.noise, s, x_s) * eps) / at(schedule.signal, s, x_s)
        x_t = at(schedule.signal, t, x_s) * x_0 + at(schedule.noise, t, x_s) * eps
        return (x_t, x_0), None

    up = jnp.asarray(tau, jnp.int32)
    start = (x_0, jnp.zeros_like(x_0))
    (x_T, _), _ = jax.lax.scan(step, start, (up[:-1], up[1:]))
    return x_T


def _checked_times(schedule: Schedule, steps: int) -> np.ndarray:
    """Return the times of a chain of `steps`, from 0 up; all T + 1 for T steps."""
    if steps == schedule.T:  # asked for, even if x_T holds no signal
        return np.arange(schedule.T + 1)
    max_steps = last_sampling_step(schedule)
    if not 1 <= steps <= max_steps:
        whole = "" if max_steps == schedule.T else f", or all {schedule.T}"
        raise UserError(
            f"{steps} sampling steps do not fit this schedule: give 1 to "
            f"{max_steps}{whole}"
        )
    return sampling_timesteps(schedule, steps)


def _pairs(
    schedule: Schedule, tau: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return t, alpha_bar_t and alpha_bar_s of each step t -> s down the times tau."""
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
            # Between the logs, as Nichol & Dhariwal (2021), equation 15.
            small, large = now.log_range
            sigma *= jnp.exp(0.5 * (small + v * (large - small)))
        # Folding in t gives every time its own noise, however many times are visited.
        noise = randomness.normal(randomness.fold_in(keys, now.t), x_t.shape[1:])
        x_s = now.on_x_0 * x_0 + now.on_x0_prev * x0_prev + now.on_x_t * x_t
        return (x_s + sigma * noise, x_0), None

    def column(table):
        return jnp.broadcast_to(jnp.asarray(table, jnp.float32), steps.t.shape)

    # float64 until here: the tables lose digits if they are combined in float32.
    columns = jax.tree.map(column, steps)
    columns = columns._replace(t=jnp.asarray(steps.t, jnp.int32))
    (x_0, _), _ = jax.lax.scan(step, (x_T, jnp.zeros_like(x_T)), columns)
    return x_0
