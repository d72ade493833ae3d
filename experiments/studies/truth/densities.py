"""Data of known density: mixtures of Gaussians, and linear-Gaussian images.

    p(x) = sum_k w_k N(x; m_k, C_k),    grad log p(x) = -sum_k r_k(x) C_k^-1 (x - m_k)

with r_k(x) the fraction of part k in p(x). Noise preserves the form. Diffusion to
alpha_bar, equation 4 of Ho et al. (2020), gives the means sqrt(alpha_bar) m_k and the
covariances alpha_bar C_k + (1 - alpha_bar) I.

Linear-Gaussian images are x = W z + mean + scale eps, with z and eps from N(0, I). Both
p(x) and the posterior of z are then Gaussian (Tipping & Bishop 1999, "Probabilistic
principal component analysis", equations 4, 6 and 7).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import data, images
from gen_jax.errors import UserError

RADIUS = 0.8  # of the ring, as in the data `ring`, and half a side of the grid
_ADDED_VARIANCE = 1e-3  # for the mixture of digits, since their corners are constant


class Mixture(NamedTuple):
    """K Gaussians in D dimensions, each by its principal axes.

    weights: [K], of sum 1.
    means: [K, D].
    axes: [K, D, D], orthonormal columns.
    variances: [K, D], along the axes, above 0.

    Arrays are NumPy's float64, or JAX's float32.
    """

    weights: Any
    means: Any
    axes: Any
    variances: Any


class LinearGaussian(NamedTuple):
    """The model x = weights z + mean + scale eps; weights [D, Z], mean [D], float64."""

    weights: np.ndarray
    mean: np.ndarray
    scale: float


def mixture(weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> Mixture:
    """Build a mixture of weights [K], means [K, D] and covariances [K, D, D].

    The covariances are positive definite.
    """
    variances, axes = np.linalg.eigh(covariances)
    return Mixture(weights, means, axes, variances)


def round_mixture(means: np.ndarray, scale: float) -> Mixture:
    """Build a mixture of N(m_k, scale^2 I) with equal weights and means [K, D]."""
    number, dim = means.shape
    axes = np.broadcast_to(np.eye(dim), (number, dim, dim))
    variances = np.full((number, dim), scale**2)
    return Mixture(np.full(number, 1 / number), means, axes, variances)


def ring(parts: int = 8, scale: float = 0.05) -> Mixture:
    """Build parts evenly on a circle in the plane; by default as the data `ring`."""
    angle = 2 * np.pi * np.arange(parts) / parts
    return round_mixture(RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1), scale)


def grid(side: int = 5, scale: float = 0.05) -> Mixture:
    """Build side x side parts evenly in a square of the plane; side 2 or more."""
    line = np.linspace(-RADIUS, RADIUS, side)
    return round_mixture(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), scale)


def digits_mixture(parts: int = 10, contrast: float = 1.0) -> Mixture:
    """Fit a mixture to the training digits [N, 64] times `contrast`, by EM.

    At a low contrast almost all samples of it lie in [-1, 1].

    Raises UserError if scikit-learn, which also has the digits, is missing.
    """
    weights, means, covariances = _fitted_to_digits(parts)
    return mixture(weights, contrast * means, contrast**2 * covariances)


@functools.cache
def _fitted_to_digits(parts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, means and covariances."""
    train = data.load(data.DataConfig("digits")).train
    x = images.from_uint8(train.read(range(len(train)))["x"]).reshape(-1, 64)
    from sklearn.mixture import GaussianMixture

    found = GaussianMixture(parts, reg_covar=_ADDED_VARIANCE, random_state=0).fit(x)
    return found.weights_, found.means_, found.covariances_


def linear_gaussian(
    side: int = 8, z_dim: int = 4, scale: float = 0.1, seed: int = 0
) -> LinearGaussian:
    """Build images [side^2] of z_dim slow waves, mixed by a random rotation."""
    place = np.pi * (np.arange(side) + 0.5) / side
    order = sorted(((i, j) for i in range(side) for j in range(side)), key=sum)
    waves = [np.outer(np.cos(i * place), np.cos(j * place)) for i, j in order[1:]]
    weights = 0.3 * np.stack([wave.ravel() for wave in waves[:z_dim]], 1)
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.standard_normal((z_dim, z_dim)))
    return LinearGaussian(weights @ rotation, 0.1 * np.ones(side**2), scale)


def marginal(model: LinearGaussian) -> Mixture:
    """Return p(x) = N(mean, W W^T + scale^2 I)."""
    noise = model.scale**2 * np.eye(len(model.mean))
    covariance = model.weights @ model.weights.T + noise
    return mixture(np.ones(1), model.mean[None], covariance[None])


def posterior(model: LinearGaussian, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return p(z|x) of x [N, D]: means [N, Z], and their common covariance [Z, Z]."""
    w, precision = model.weights, model.scale**-2
    covariance = np.linalg.inv(np.eye(w.shape[1]) + precision * w.T @ w)
    return precision * (x - model.mean) @ w @ covariance, covariance


def sample(p: Mixture, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw float64 [number, D] from p."""
    part = rng.choice(len(p.weights), number, p=p.weights)
    along = np.sqrt(p.variances[part]) * rng.standard_normal(p.means[part].shape)
    return p.means[part] + np.einsum("nde,ne->nd", p.axes[part], along)


def log_density(p: Mixture, x: Any) -> Any:
    """Return log p(x) of x [N, D], nats [N]; NumPy's or JAX's, as x is."""
    return _log_sum(_log_parts(p, x))


def score(p: Mixture, x: Any) -> Any:
    """Return grad log p(x) of x [N, D]: [N, D]; NumPy's or JAX's, as x is."""
    xp, parts = _library(x), _log_parts(p, x)
    fractions = xp.exp(parts - _log_sum(parts)[:, None])
    pull = _along(p, x) / p.variances[None]
    return -xp.einsum("nk,kde,nke->nd", fractions, p.axes, pull)


def diffused(p: Mixture, alpha_bar: Any) -> Mixture:
    """Return the density of sqrt(alpha_bar) x + sqrt(1 - alpha_bar) eps, exactly."""
    variances = alpha_bar * p.variances + (1 - alpha_bar)
    return Mixture(p.weights, alpha_bar**0.5 * p.means, p.axes, variances)


def moments(p: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact mean [D] and covariance [D, D]."""
    mean = p.weights @ p.means
    within = np.einsum("k,kde,ke,kfe->df", p.weights, p.axes, p.variances, p.axes)
    between = np.einsum("k,kd,ke->de", p.weights, p.means, p.means)
    return mean, within + between - np.outer(mean, mean)


def _library(x: Any) -> Any:
    return jnp if isinstance(x, jax.Array) else np


def _along(p: Mixture, x: Any) -> Any:
    """Return x - m_k along part k's axes: [N, K, D]."""
    residual = x[:, None] - p.means[None]
    return _library(x).einsum("nkd,kde->nke", residual, p.axes)


def _log_parts(p: Mixture, x: Any) -> Any:
    """Return log w_k N(x; m_k, C_k): [N, K]."""
    xp = _library(x)
    if x.ndim != 2 or x.shape[1] != p.means.shape[1]:
        raise UserError(
            f"a density of {p.means.shape[1]} dimensions has no value at points of "
            f"shape {list(x.shape)}: give [N, {p.means.shape[1]}]"
        )
    squared = (_along(p, x) ** 2 / p.variances[None]).sum(-1)
    volume = xp.log(2 * np.pi * p.variances).sum(-1)
    return (xp.log(p.weights) - volume / 2)[None] - squared / 2


def _log_sum(parts: Any) -> Any:
    xp, largest = _library(parts), parts.max(1)
    return largest + xp.log(xp.exp(parts - largest[:, None]).sum(1))
