"""The forward process of diffusion: an image becomes noise in T steps.

Ho et al. (2020), "Denoising Diffusion Probabilistic Models". For t = 1..T, step t takes
x_{t-1} to x_t with variance beta_t. With alpha_t = 1 - beta_t and alpha_bar_t = alpha_1
... alpha_t,

    q(x_t | x_{t-1}) = N(sqrt(alpha_t) x_{t-1}, beta_t I)                     (2)
    q(x_t | x_0)     = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)          (4)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.errors import UserError, choose

_MIN_LOG_RATIO = -5.1  # log of signal to noise at which sampling begins


class Schedule(NamedTuple):
    """The tables beta_t and alpha_bar_t, float64 [T + 1]; index t is the paper's t.

    Entry 0 is not a step: beta_0 = 0, alpha_bar_0 = 1. The tables stay float64 on the
    host and become float32 constants of a compiled step at the very end. In float32 1 -
    alpha_bar_1 = 1e-4 would have only three good digits.
    """

    beta: np.ndarray
    alpha_bar: np.ndarray

    @property
    def T(self) -> int:  # noqa: N802
        """The number of steps."""
        return len(self.beta) - 1

    @property
    def signal(self) -> np.ndarray:
        """The factor sqrt(alpha_bar_t) of x_0 in x_t: float64 [T + 1]."""
        return np.sqrt(self.alpha_bar)

    @property
    def noise(self) -> np.ndarray:
        """The factor sqrt(1 - alpha_bar_t) of eps in x_t: float64 [T + 1]."""
        return np.sqrt(1 - self.alpha_bar)


def linear_betas(
    T: int = 1000, first: float | None = None, last: float | None = None
) -> np.ndarray:
    """Return linearly increasing beta_1..beta_T, float64 [T].

    first, last: the end points; None for 0.1 / T and 20 / T. For T = 1000 these are
        1e-4 and 0.02 as in Ho et al.

    Nichol & Dhariwal's code scales the end points so, and x_T is noise for every T.
    With fixed end points T = 100 would end at alpha_bar_T = 0.36.

    Raises UserError if a beta is not between 0 and 1. The defaults need T > 20.
    """
    first = 0.1 / T if first is None else first
    last = 20 / T if last is None else last
    if not (0 < first < 1 and 0 < last < 1):
        raise UserError(
            f"timesteps={T}: the linear schedule goes from beta={first:g} to {last:g}, "
            "but betas must lie between 0 and 1; use more than 20 steps or "
            "schedule=cosine"
        )
    return np.linspace(first, last, T, dtype=np.float64)


def cosine_betas(T: int = 1000, offset: float = 0.008) -> np.ndarray:
    """Return beta_1..beta_T of an alpha_bar that falls as a squared cosine: [T].

    alpha_bar_t = f(t) / f(0), with f(t) = cos^2((t / T + s) / (1 + s) pi / 2). The
    betas are float64 and at most 0.999. Nichol & Dhariwal (2021), equation 17; s is
    `offset`.
    """
    angle = (np.arange(T + 1) / T + offset) / (1 + offset) * np.pi / 2
    f = np.cos(angle) ** 2
    # f(T) is 0: without the limit alpha_bar_T would be 0, and its logarithm -inf.
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


BETAS: dict[str, Callable[..., np.ndarray]] = {
    "linear": linear_betas,
    "cosine": cosine_betas,
}


def make_schedule(betas: np.ndarray) -> Schedule:
    """Return the schedule of beta_1..beta_T, [T], each in (0, 1).

    Raises ValueError if betas lie outside (0, 1) or do not have one dimension.
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise ValueError(
            f"betas of shape {list(betas.shape)} are invalid: give one dimension of "
            "numbers between 0 and 1, exclusive"
        )
    # Entry 0 makes index t the paper's t, and alpha_bar_0 = 1 the clean image.
    beta = np.concatenate([[0.0], betas])
    return Schedule(beta=beta, alpha_bar=np.cumprod(1 - beta))


def from_name(
    name: str = "linear", timesteps: int = 1000, betas: tuple[float, ...] | None = None
) -> Schedule:
    """Return the schedule that a configuration names.

    name: one of `BETAS`. timesteps: T. betas: first and last beta of a linear schedule;
        None for the default.

    Raises UserError for an unknown name, and for betas that are not such a pair.
    """
    make_betas = choose("schedule", name, BETAS)
    if betas is None:
        return make_schedule(make_betas(timesteps))
    if name != "linear" or len(betas) != 2 or betas[0] > betas[1]:
        raise UserError(
            f"betas={betas}, schedule={name}: give two betas, the first and the last, "
            "in ascending order, and schedule=linear"
        )
    return make_schedule(linear_betas(timesteps, *betas))


def at(table: np.ndarray, t: jax.Array, like: jax.Array) -> jax.Array:
    """Return table[t] as float32 [B, 1, ...], with as many axes as `like`.

    table: [T + 1].
    t: int32 [B].
    like: [B, ...].
    """
    # Rounded here, not earlier: the tables are combined in float64.
    values = jnp.asarray(table, jnp.float32)[t]
    return values.reshape(-1, *[1] * (like.ndim - 1))


def q_sample(
    schedule: Schedule, x_0: jax.Array, t: jax.Array, eps: jax.Array
) -> jax.Array:
    """Return x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, [B, ...].

    Equation 4.

    x_0: images in [-1, 1], [B, ...].
    t: times 0..T, int32 [B].
    eps: noise from N(0, I), [B, ...].
    """
    return at(schedule.signal, t, x_0) * x_0 + at(schedule.noise, t, x_0) * eps


def last_sampling_step(schedule: Schedule) -> int:
    """Return E, the last time with log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)) > -5.1.

    Chains of few steps begin there, with noise from N(0, I) as x_E. The signal x_0
    would be less than a hundredth of x_E for T = 1000. Later times carry no information
    and amplify errors. A step from t to s multiplies the error of eps_hat by up to
    sqrt(alpha_bar_s / alpha_bar_t). That is in the hundreds for the cosine schedule,
    whose alpha_bar_T is 2e-9.

    Diffusers' DPM-Solver++ has the same bound, its `lambda_min_clipped`. The code of Lu
    et al. (2022) ends the cosine at 0.9946 T. The schedule of Ho et al. ends at -5.06,
    so there E is T.
    """
    alpha_bar = schedule.alpha_bar[1:]
    log_ratio = 0.5 * np.log(alpha_bar / (1 - alpha_bar))
    # The ratio falls with t: the times above the bound are the first ones.
    return max(1, int(np.sum(log_ratio > _MIN_LOG_RATIO)))


def sampling_timesteps(schedule: Schedule, steps: int) -> np.ndarray:
    """Return tau_i = floor(i E / S) for i = 0..S, int64 [S + 1], with S = `steps`.

    This is the linear rule of Song et al. (2021), appendix D.2, up to E, the last
    sampling step, at which x_E is noise. (Their code strides from the other end and
    starts below T.)
    """
    # Integer arithmetic: the floor of a rounded quotient is sometimes one too low.
    return np.arange(steps + 1) * last_sampling_step(schedule) // steps


def respaced(schedule: Schedule, tau: np.ndarray) -> Schedule:
    """Return the schedule that visits only the times tau, increasing from 0: [S + 1].

    beta_i = 1 - alpha_bar_{tau_i} / alpha_bar_{tau_{i-1}}, which keeps q(x_tau | x_0).
    Nichol & Dhariwal (2021), section 4.
    """
    alpha_bar = schedule.alpha_bar[tau]
    beta = np.concatenate([[0.0], 1 - alpha_bar[1:] / alpha_bar[:-1]])
    return Schedule(beta=beta, alpha_bar=alpha_bar)


def posterior_tables(
    schedule: Schedule,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the factors on x_0 and on x_t and the variance, float64 [T + 1] each.

    Equations 6 and 7: q(x_{t-1} | x_t, x_0) = N(on_x_0[t] x_0 + on_x_t[t] x_t,
    variance[t] I) with

            on_x_0   = sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t)
            on_x_t   = sqrt(alpha_t) (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)
            variance = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t)

    Entry 0, which no step uses, is 0.
    """
    beta, alpha_bar = schedule.beta[1:], schedule.alpha_bar[1:]
    previous = schedule.alpha_bar[:-1]
    on_x_0 = np.sqrt(previous) * beta / (1 - alpha_bar)
    on_x_t = np.sqrt(1 - beta) * (1 - previous) / (1 - alpha_bar)
    variance = beta * (1 - previous) / (1 - alpha_bar)
    on_x_0, on_x_t, variance = (
        np.concatenate([[0.0], x]) for x in (on_x_0, on_x_t, variance)
    )
    return on_x_0, on_x_t, variance


def posterior(
    schedule: Schedule, x_0: jax.Array, x_t: jax.Array, t: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Return the mean [B, ...] and variance [B] of q(x_{t-1} | x_t, x_0).

    Equations 6 and 7. At t = 1 the mean is x_0 itself, with variance 0.

    x_0, x_t: [B, ...].
    t: times 1..T, int32 [B].
    """
    on_x_0, on_x_t, variance = posterior_tables(schedule)
    mean = at(on_x_0, t, x_0) * x_0 + at(on_x_t, t, x_t) * x_t
    return mean, jnp.asarray(variance, jnp.float32)[t]


def log_variances(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """Return the logs of the posterior's variance and of beta_t, float64 [T + 1] each.

    They are the bounds of a good variance of p(x_{t-1} | x_t). The lower one is right
    if x_0 is a single point, the upper one if x_0 is from N(0, I). At t = 1 the
    posterior's variance is 0. As in Ho et al.'s code both take its value at t = 2
    there, or beta_1 if T is 1. Entry 0, which no step uses, equals entry 1.
    """
    small, large = posterior_tables(schedule)[2], schedule.beta.copy()
    # The log of the posterior's variance at t = 1 would be -inf.
    first = small[2] if schedule.T > 1 else large[1]
    small[:2] = large[:2] = first
    return np.log(small), np.log(large)
