"""Datasets from arrays in memory, of sources that are not streamed."""

from typing import NamedTuple

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.dataset import (
    DataConfig,
    Dataset,
    Info,
    MemorySplit,
    digest,
    digest_of,
    divided,
)
from gen_jax.errors import UserError

MAX_CLASSES = 2**16  # a larger label is a mistake, and would ask for a huge network


class Arrays(NamedTuple):
    """Examples: x uint8 [N, H, W, C] or float32 [N, D]; y int32 [N]."""

    x: np.ndarray
    y: np.ndarray


def array_dataset(
    info: Info, config: DataConfig, train: Arrays, test: Arrays | None = None
) -> Dataset:
    """Return the dataset of these arrays, with images resized as `config` says.

    test: None holds out a tenth of `train`.

    Raises UserError if they do not fit in memory_gib.
    """
    count = len(train.x) + (len(test.x) if test else 0)
    needed = count * np.prod(info.shape) * train.x.itemsize / 2**30
    if needed > config.memory_gib:
        raise UserError(
            f"{config.spec}: {count} examples of {info.shape} take {needed:.3g} GiB, "
            f"--config.data.memory_gib is {config.memory_gib:g}, and only folder:, "
            "pairs: and tfds: can be streamed"
        )

    def split(arrays: Arrays) -> MemorySplit:
        if arrays.x.ndim != 4:
            return MemorySplit(*arrays)
        fitted = decoding.fitted(arrays.x, config.image_size, config.channels)
        return MemorySplit(fitted, arrays.y)

    of_all = digest_of([*train, *(test or ())])
    if test:
        return Dataset(info, split(train), split(test), of_all)
    digests = np.array([digest(x.tobytes()) for x in train.x], np.uint64)
    return divided(info, split(train), np.arange(len(train.x)), digests, of_all)
