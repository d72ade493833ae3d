"""The Fréchet distance between two sets of features [N, D], each taken as a Gaussian.

Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local
Nash equilibrium", after Dowson & Landau (1982). With means m and covariances C,

    d = |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))

It is called FID if the features are Inception's. It is 0 for equal statistics. Small
sets lie further apart than large ones of the same kind, so compare only numbers from
sets of equal size.
"""

from typing import NamedTuple

import numpy as np

from gen_jax.errors import UserError
from gen_jax.metrics.checks import check_features


class Moments(NamedTuple):
    """The statistics of a set that the distance needs.

    number: of examples, N.
    mean: float64 [D].
    scatter: float64 [D, D], N - 1 times the covariance.
    """

    number: int
    mean: np.ndarray
    scatter: np.ndarray


def moments(features: np.ndarray) -> Moments:
    """Compute the moments of features [N, D], N >= 1.

    Raises UserError if the shape is another or a feature is not finite.
    """
    check_features(given=features)
    features = np.asarray(features, np.float64)
    mean = features.mean(0)
    residuals = features - mean
    return Moments(len(features), mean, residuals.T @ residuals)


def covariance(a: Moments) -> np.ndarray:
    """Return the unbiased covariance, divided by N - 1: float64 [D, D].

    Raises UserError if there is a single example.
    """
    if a.number < 2:
        raise UserError("a covariance needs at least two examples, not 1: give more")
    return a.scatter / (a.number - 1)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Compute the d above, 0 or more; the order of the sets does not matter.

    Raises UserError if a set has N <= D examples, too few for a covariance of full
    rank. Also raises it if the sets differ in D or a moment is not finite.
    """
    if a.mean.shape != b.mean.shape:
        raise UserError(
            f"the moments have different numbers of features, of {len(a.mean)} and "
            f"{len(b.mean)}: use one feature network for both sets"
        )
    size = len(a.mean)
    if min(a.number, b.number) <= size:
        raise UserError(
            f"a Fréchet distance of {size} features needs more than {size} examples of "
            f"each kind, for covariances of full rank, not {a.number} and {b.number}; "
            "give more samples"
        )
    if not all(np.isfinite(x).all() for x in (*a[1:], *b[1:])):
        raise UserError(
            "a Fréchet distance needs moments that are all finite; check the features "
            "for NaN"
        )
    gap = a.mean - b.mean
    first, second = covariance(a), covariance(b)
    # With C = F F^T, the eigenvalues of C_1 C_2 are the squared singular values of
    # F_1^T F_2. So their roots are exact to rounding, not only to its square root.
    overlap = np.linalg.svd(_factor(first).T @ _factor(second), compute_uv=False).sum()
    distance = gap @ gap + np.trace(first) + np.trace(second) - 2 * overlap
    return max(0.0, float(distance))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Return an F with C = F F^T; eigenvalues within rounding count as 0."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    return vectors * np.sqrt(np.where(values > rounding, values, 0))
