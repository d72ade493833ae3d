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


def linear_betas(T: int = 1000, first: float = 1e-4, last: float = 0.02) -> np.ndarray:
    """beta_1..beta_T on a line, float64 [T]; the defaults are Ho et al.'s."""
    return np.linspace(first, last, T, dtype=np.float64)


def make_schedule(betas: np.ndarray) -> Schedule:
    """The schedule of beta_1..beta_T, [T], each in (0, 1).

    Raises ValueError for betas outside (0, 1) or not in one dimension.
    """
    betas = np.asarray(betas, np.float64)
    if betas.ndim != 1 or not np.all((betas > 0) & (betas < 1)):
        raise ValueError("betas are one row of numbers between 0 and 1, exclusive")
    beta = np.concatenate([[0.0], betas])
    return Schedule(beta=beta, alpha_bar=np.cumprod(1 - beta))


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
    signal = at(np.sqrt(schedule.alpha_bar), t, x_0)
    noise = at(np.sqrt(1 - schedule.alpha_bar), t, x_0)
    return signal * x_0 + noise * eps


def predict_x_0(
    schedule: Schedule, x_t: jax.Array, t: jax.Array, eps: jax.Array
) -> jax.Array:
    """The x_0 [B, ...] that eps [B, ...] would have led from to x_t [B, ...].

    (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t); t: int32 [B], 0..T.
    """
    signal = at(1 / np.sqrt(schedule.alpha_bar), t, x_t)
    noise = at(np.sqrt(1 / schedule.alpha_bar - 1), t, x_t)
    return signal * x_t - noise * eps


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
