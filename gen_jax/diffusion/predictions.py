"""The quantity that a denoising network predicts: noise, image, or a mix of both.

Each prediction is linear in the image and the noise that x_t is made of,

    x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps
    out = c_t x_0 + d_t eps,

so the two tables c = target_x0 and d = target_eps define it. Two more, x0_from_xt and
x0_from_out, follow from them and recover x_0_hat from an output. The predictions are

    eps     c = 0, d = 1: the noise; Ho et al. (2020)
    x_0     c = 1, d = 0: the image
    v       c = -sqrt(1 - alpha_bar_t), d = sqrt(alpha_bar_t); Salimans & Ho (2022)
    mean    the mean of q(x_{t-1} | x_t, x_0), the image one step before: the first
            form of Ho et al. (2020), equations 7 and 8
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from gen_jax.diffusion.schedules import Schedule, at, posterior_tables
from gen_jax.errors import choose

Tables = tuple[np.ndarray, np.ndarray]  # target_x0 and target_eps


class Prediction(NamedTuple):
    """The tables of a prediction, float64 [T + 1] each. Entry 0 is not used.

    The target is target_x0 x_0 + target_eps eps. An output means x_0_hat = x0_from_xt
    x_t + x0_from_out out.
    """

    target_x0: np.ndarray
    target_eps: np.ndarray
    x0_from_xt: np.ndarray
    x0_from_out: np.ndarray

    def target(self, x_0: jax.Array, eps: jax.Array, t: jax.Array) -> jax.Array:
        """Return the network's target [B, ...] for x_0, eps [B, ...], t int32 [B]."""
        return at(self.target_x0, t, x_0) * x_0 + at(self.target_eps, t, eps) * eps

    def x_0(self, out: jax.Array, x_t: jax.Array, t: jax.Array) -> jax.Array:
        """Return the image x_0_hat [B, ...] of out, x_t [B, ...] and t int32 [B]."""
        return at(self.x0_from_xt, t, x_t) * x_t + at(self.x0_from_out, t, out) * out

    def min_snr_weights(self, schedule: Schedule, gamma: float) -> np.ndarray:
        """Return the weights [T + 1] of the squared error of the output: Min-SNR.

        They equal the weight min(SNR_t, gamma) of |x_0 - x_0_hat|^2, with SNR_t =
        alpha_bar_t / (1 - alpha_bar_t). Hang et al. (2023), section 3.4.
        """
        alpha_bar = schedule.alpha_bar[1:]
        snr = alpha_bar / (1 - alpha_bar)
        # x_0_hat is linear in the output: its error is x0_from_out times the output's.
        weights = np.minimum(snr, gamma) * self.x0_from_out[1:] ** 2
        return np.concatenate([[0.0], weights])


def _eps(schedule: Schedule) -> Tables:
    return np.zeros(schedule.T + 1), np.ones(schedule.T + 1)


def _x_0(schedule: Schedule) -> Tables:
    return np.ones(schedule.T + 1), np.zeros(schedule.T + 1)


def _v(schedule: Schedule) -> Tables:
    return -schedule.noise, schedule.signal


def _mean(schedule: Schedule) -> Tables:
    # Equation 4 for x_t in equation 7: the mean as a mix of x_0 and eps.
    target_x0, on_x_t, _ = posterior_tables(schedule)
    return target_x0 + on_x_t * schedule.signal, on_x_t * schedule.noise


PREDICTIONS: dict[str, Callable[[Schedule], Tables]] = {
    "eps": _eps,
    "x_0": _x_0,
    "v": _v,
    "mean": _mean,
}


def make_prediction(name: str, schedule: Schedule) -> Prediction:
    """Return the prediction named "eps", "x_0", "v" or "mean".

    Solving both equations above for x_0 gives x_0_hat = (d x_t - sigma out) / (d alpha
    - c sigma), with alpha = sqrt(alpha_bar_t), sigma = sqrt(1 - alpha_bar_t).

    Raises UserError if the name is unknown.
    """
    c, d = choose("prediction", name, PREDICTIONS)(schedule)
    # A divisor, kept in float64: for "mean" it falls to 1e-4.
    determinant = d * schedule.signal - c * schedule.noise
    determinant[0] = 1.0  # x_t is x_0: there is nothing to solve
    return Prediction(c, d, d / determinant, -schedule.noise / determinant)
