"""Latent spaces in numbers: midpoints, linear probes, the aggregated posterior.

Codes are float [N, D] or [N, ...], and images x are [N, H, W, C] in [-1, 1].
"""

import math

import numpy as np

from gen_jax.metrics.neighbours import nearest

_DRAWS = 1000  # bootstrap resamples


def pairs(
    y: np.ndarray | None, number: int, maximum: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return random pairs i < j of `number` examples, P <= `maximum`: int [P] each.

    y: labels, int32 [number]; pairs are then of one class only, and examples of label
        -1 are in no pair.
    """
    i, j = np.triu_indices(number, 1)
    if y is not None:
        same = (y[i] == y[j]) & (y[i] >= 0)
        i, j = i[same], j[same]
    chosen = np.random.default_rng(0).permutation(len(i))[:maximum]
    return i[chosen], j[chosen]


def rms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the root mean square of a - b per example [N, ...]: float64 [N]."""
    gap = (a.astype(np.float64) - b).reshape(len(a), -1)
    return np.sqrt((gap**2).mean(1))


def nearest_rms(x: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return `rms` from each x [N, ...] to the nearest of real [M, ...]: [N]."""
    return nearest(x, real).distance[:, 0] / math.sqrt(x[0].size)


def mean_and_interval(
    value: np.ndarray, i: np.ndarray, j: np.ndarray
) -> dict[str, float]:
    """Compute the mean over pairs (i, j) [N] of examples, and its 95 % interval.

    value: one number per pair, [N].

    The interval is by bootstrap over examples, since each may occur in many pairs. A
    pair's weight is the product of how often its two examples were drawn. The keys are
    mean, low and high.
    """
    examples, places = np.unique(np.concatenate([i, j]), return_inverse=True)
    first, second = places[: len(i)], places[len(i) :]
    rng, size = np.random.default_rng(0), len(examples)
    means = []
    for _ in range(_DRAWS):
        times = np.bincount(rng.integers(0, size, size), minlength=size)
        weight = times[first] * times[second]
        if weight.any():
            means.append(np.average(value, weights=weight))
    low, high = np.percentile(means, [2.5, 97.5])
    return {"mean": float(value.mean()), "low": float(low), "high": float(high)}


def probe_accuracy(
    z: np.ndarray, y: np.ndarray, z_test: np.ndarray, y_test: np.ndarray
) -> float:
    """Return the accuracy of logistic regression from codes to classes, in [0, 1].

    z, z_test: codes to fit and held-out codes, [N, D].
    y, y_test: labels, int [N]; examples of label -1 are left out.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, known_test = y >= 0, y_test >= 0
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
    probe.fit(z[known], y[known])
    return float(probe.score(z_test[known_test], y_test[known_test]))


def distance_to_normal(z: np.ndarray) -> float:
    """Return the Fréchet distance of codes z [N, D], taken as Gaussian, to N(0, I).

    It is |m|^2 + tr(C + I - 2 C^(1/2)) of their mean m and covariance C; 0 for N(0, I).
    Small sets lie further from it than large ones, so compare with equally many normal
    vectors.
    """
    z = z.astype(np.float64)
    mean, cov = z.mean(0), np.atleast_2d(np.cov(z, rowvar=False))
    variance = np.maximum(np.linalg.eigvalsh(cov), 0)
    return float(mean @ mean + ((np.sqrt(variance) - 1) ** 2).sum())


def principal_axes(z: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre [D] and the first principal axes [number, D] of codes z [N, D].

    If D <= `number` the codes keep their own axes, about 0. An axis points in the
    direction in which its largest component is positive.
    """
    from sklearn.decomposition import PCA

    if z.shape[1] <= number:
        return np.zeros(z.shape[1]), np.eye(number, z.shape[1])
    fitted = PCA(number, svd_solver="full").fit(z)
    return fitted.mean_, fitted.components_
