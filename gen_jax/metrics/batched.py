"""A network over many examples, a batch of few shapes at a time."""

from collections.abc import Callable

import numpy as np


def in_batches(
    function: Callable, *arrays: np.ndarray, batch_size: int = 256
) -> np.ndarray:
    """function(*arrays), arrays [N, ...] of one N >= 1, -> [N, ...].

    function: of arrays [B, ...] alone, example by example. It meets batches of one size
    only, the power of two that N needs or `batch_size`, so that it is compiled but few
    times; what the last one lacks is filled with copies that are cut off again.
    """
    count = len(arrays[0])
    size = min(batch_size, 1 << (count - 1).bit_length())
    outputs = []
    for start in range(0, count, size):
        places = np.minimum(np.arange(start, start + size), count - 1)
        outputs.append(np.asarray(function(*(x[places] for x in arrays))))
    return np.concatenate(outputs)[:count]
