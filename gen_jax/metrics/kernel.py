"""The kernel distance between two sets of features [N, D]; KID on Inception's.

Binkowski et al. (2018), "Demystifying MMD GANs": the squared maximum mean discrepancy
(Gretton et al. 2012, equation 3) with a cubic kernel,

    k(x, y) = (x . y / D + 1)^3
    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j)
            - 2 mean_{i, j} k(x_i, y_j)

It is unbiased for any number of examples, so it may be below 0 for similar sets.
"""

import numpy as np

from gen_jax.errors import UserError
from gen_jax.metrics.checks import check_features


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the unbiased MMD^2 of the module's docstring, of [N, D] and [M, D].

    Raises UserError if N or M is below 2, or if the sets do not match.
    """
    check_features(real=x, sampled=y)
    if min(len(x), len(y)) < 2:
        raise UserError(
            f"a kernel distance needs at least two images of each kind, not {len(x)} "
            f"real and {len(y)} sampled"
        )
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return _among(x) + _among(y) - 2 * float(_kernel(x, y).mean())


def kernel_distance(
    real: np.ndarray,
    samples: np.ndarray,
    *,
    subsets: int = 100,
    size: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return mean and standard deviation of `squared_mmd` over subsets, as papers do.

    real, samples: features, [M, D] and [N, D].
    subsets: number of random subsets.
    size: examples of each kind in a subset, at most the smaller set, without
        repetition.

    Subsets share examples. So the deviation is not a standard error of the mean, and is
    0 if each subset is the whole of both sets.

    Raises UserError if there is no subset, a size is below 2, and as `squared_mmd`
    does.
    """
    check_features(real=real, sampled=samples)
    if subsets < 1 or size < 2:
        raise UserError(
            f"a kernel distance needs at least one subset of at least two images, not "
            f"{subsets} of {size}"
        )
    size = min(size, len(real), len(samples))
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        first, second = (
            x[rng.choice(len(x), size, replace=False)] for x in (real, samples)
        )
        values.append(squared_mmd(first, second))
    return float(np.mean(values)), float(np.std(values))


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _among(x: np.ndarray) -> float:
    """Return the kernel's mean over pairs of different examples."""
    kernel = _kernel(x, x)
    return float(kernel.sum() - kernel.trace()) / (len(x) * (len(x) - 1))
