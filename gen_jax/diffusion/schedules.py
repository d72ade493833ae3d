"""The forward process of diffusion: an image becomes noise in T steps.

Ho et al. (2020), "Denoising Diffusion Probabilistic Models". For t = 1..T, step t
takes x_{t-1} to x_t with variance beta_t; with alpha_t = 1 - beta_t and
alpha_bar_t = alpha_1 ... alpha_t,

    q(x_t | x_{t-1}) = N(sqrt(alpha_t) x_{t-1}, beta_t I)                     (2)
    q(x_t | x_0)     = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I)          (4)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.errors import UserError, choose

_LEAST_LOG_RATIO = -5.1  # of signal to noise, where sampling begins


class Schedule(NamedTuple):
    """beta_t and alpha_bar_t, float64 [T + 1], where index t is the paper's t.

    Entry 0 is no step at all: beta_0 = 0, alpha_bar_0 = 1. The tables stay float64 on
    the host and are constants of a compiled step, float32 only once everything is
    computed from them: 1 - alpha_bar_1 = 1e-4 has three good digits in float32.
    """

    beta: np.ndarray
    alpha_bar: np.ndarray

    @property
    def T(self) -> int:  # noqa: N802
        """The number of steps."""
        return len(self.beta) - 1

    @property
    def signal(self) -> np.ndarray:
        """sqrt(alpha_bar_t), of x_0 in x_t: float64 [T + 1]."""
        return np.sqrt(self.alpha_bar)

    @property
    def noise(self) -> np.ndarray:
        """sqrt(1 - alpha_bar_t), of eps in x_t: float64 [T + 1]."""
        return np.sqrt(1 - self.alpha_bar)


def linear_betas(
    T: int = 1000, first: float | None = None, last: float | None = None
) -> np.ndarray:
    """beta_1..beta_T on a line, float64 [T].

    first, last: None for 0.1 / T and 20 / T, Ho et al.'s 1e-4 and 0.02 where T is 1000.
    Nichol & Dhariwal's code scales them so: x_T is noise whatever T is, where the same
    two betas for T = 100 would end at alpha_bar_T = 0.36.

    Raises UserError where a beta is not between 0 and 1, as for T <= 20 unless told.
    """
    first = 0.1 / T if first is None else first
    last = 20 / T if last is None else last
    if not (0 < first < 1 and 0 < last < 1):
        raise UserError(
            f"timesteps={T}: a linear schedule of so many goes from beta={first:g} to "
            f"{last:g}, which lie between 0 and 1, as Ho et al.'s do, scaled, where "
            "there are more than 20 steps; the cosine schedule takes fewer"
        )
    return np.linspace(first, last, T, dtype=np.float64)


def cosine_betas(T: int = 1000, offset: float = 0.008) -> np.ndarray:
    """beta_1..beta_T of an alpha_bar that falls as a squared cosine, float64 [T].

    alpha_bar_t = f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2), with betas
    of at most 0.999. Nichol & Dhariwal (2021), equation 17; s is `offset`.
    """
    angle = (np.arange(T + 1) / T + offset) / (1 + offset) * np.pi / 2
    f = np.cos(angle) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


BETAS = {"linear": linear_betas, "cosine": cosine_betas}


def make_schedule(betas: np.ndarray) -> Schedule:
    """The schedule of beta_1..beta_T, [T], each in (0, 1).

    Raises ValueError for betas outside (0, 1) or not in one dimension.
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise ValueError("betas are one row of numbers between 0 and 1, exclusive")
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
            f"betas={betas}, schedule={name}; betas are two, the "
            "first and the last, no smaller, of a linear schedule"
        )
    return make_schedule(linear_betas(timesteps, *betas))


def at(table: np.ndarray, t: jax.Array, like: jax.Array) -> jax.Array:
    """table[t] as float32 [B, 1, ...], with as many axes as `like` has.

    table: [T + 1]. t: int32 [B]. like: [B, ...].
    """
    values = jnp.asarray(table, jnp.float32)[t]
    return values.reshape(-1, *[1] * (like.ndim - 1))


def q_sample(
    schedule: Schedule, x_0: jax.Array, t: jax.Array, eps: jax.Array
) -> jax.Array:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, equation 4.

    x_0: [B, ...], images in [-1, 1]. t: int32 [B], 0..T. eps: [B, ...] from N(0, I).
    Returns x_t [B, ...].
    """
    return at(schedule.signal, t, x_0) * x_0 + at(schedule.noise, t, x_0) * eps


def last_sampling_step(schedule: Schedule) -> int:
    """E, the last time whose log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)) is over -5.1.

    There chains of few steps begin, with noise from N(0, I) as x_E: x_0 would be less
    than a hundredth of it, for T = 1000. Beyond, nothing is told and much is lost: a
    step from t to s multiplies the error of eps_hat by up to sqrt(alpha_bar_s /
    alpha_bar_t), hundreds where alpha_bar_T is the cosine schedule's 2e-9. Diffusers'
    DPM-Solver++ has the same bound, its `lambda_min_clipped`; the code of Lu et al.
    (2022) ends the cosine at 0.9946 T. Ho et al.'s schedule ends at -5.06: E is T.
    """
    alpha_bar = schedule.alpha_bar[1:]
    log_ratio = 0.5 * np.log(alpha_bar / (1 - alpha_bar))
    return max(1, int(np.sum(log_ratio > _LEAST_LOG_RATIO)))


def sampling_timesteps(schedule: Schedule, steps: int) -> np.ndarray:
    """tau_i = floor(i E / S) for i = 0..S, int64 [S + 1], E the last sampling step.

    The linear rule of Song et al. (2021), appendix D.2, with E at its end, where x_E is
    noise. (Their code strides from the other end and starts short of T.)
    """
    return np.arange(steps + 1) * last_sampling_step(schedule) // steps


def respaced(schedule: Schedule, tau: np.ndarray) -> Schedule:
    """The schedule that visits only the times tau, increasing from 0: [S + 1].

    beta_i = 1 - alpha_bar_{tau_i} / alpha_bar_{tau_{i-1}}: the same q(x_tau | x_0).
    Nichol & Dhariwal (2021), section 4.
    """
    alpha_bar = schedule.alpha_bar[tau]
    beta = np.concatenate([[0.0], 1 - alpha_bar[1:] / alpha_bar[:-1]])
    return Schedule(beta=beta, alpha_bar=alpha_bar)


def posterior_tables(
    schedule: Schedule,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equations 6 and 7 as tables, float64 [T + 1]: on x_0, on x_t, the variance.

    q(x_{t-1} | x_t, x_0) = N(on_x_0[t] x_0 + on_x_t[t] x_t, variance[t] I) with

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
    return tuple(np.concatenate([[0.0], x]) for x in (on_x_0, on_x_t, variance))


def posterior(
    schedule: Schedule, x_0: jax.Array, x_t: jax.Array, t: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The mean [B, ...] and variance [B] of q(x_{t-1} | x_t, x_0), equations 6 and 7.

    x_0, x_t: [B, ...]. t: int32 [B], 1..T. At t = 1 it is x_0 itself, with variance 0.
    """
    on_x_0, on_x_t, variance = posterior_tables(schedule)
    mean = at(on_x_0, t, x_0) * x_0 + at(on_x_t, t, x_t) * x_t
    return mean, jnp.asarray(variance, jnp.float32)[t]


def log_variances(schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """log of the posterior's variance and of beta_t, float64 [T + 1].

    The least and the most that the variance of p(x_{t-1} | x_t) should be: where x_0 is
    one point, and where it is from N(0, I). The posterior's is 0 at t = 1; as in Ho et
    al.'s code both have its value at t = 2 there (none, where T is 1).

    Entry 0, which no step uses, is that of t = 1.
    """
    small, large = posterior_tables(schedule)[2], schedule.beta.copy()
    first = small[2] if schedule.T > 1 else large[1]
    small[:2] = large[:2] = first
    return np.log(small), np.log(large)
