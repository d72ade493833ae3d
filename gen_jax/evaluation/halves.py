"""Random choices of real examples, the same at every call."""

from collections.abc import Iterator

import numpy as np

SPLITS = 5  # random splits of the real data into halves, for a metric's real baseline


def shuffled(number: int) -> np.ndarray:
    """Return 0 .. number - 1 in a fixed random order: int [number]."""
    return np.random.default_rng(0).permutation(number)


def random_halves(real: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield `SPLITS` random splits of real examples [2 N, ...] into two sets of N.

    A metric of the two halves is its real baseline. It varies with the split.
    """
    rng = np.random.default_rng(0)
    for _ in range(SPLITS):
        yield np.split(rng.permutation(real)[: 2 * (len(real) // 2)], 2)
