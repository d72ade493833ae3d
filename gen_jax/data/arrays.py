"""Datasets from arrays in memory, of sources that are not streamed."""

import math
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


class Arrays(NamedTuple):
    """Examples: x uint8 [N, H, W, C] or float32 [N, D]; y int32 [N].

    Images are of any type of numbers if config.value_range states their range.
    """

    x: np.ndarray
    y: np.ndarray


def check_size(info: Info, config: DataConfig, count: int, itemsize: int) -> None:
    """Raise UserError if `count` examples do not fit in memory_gib.

    itemsize: bytes of each number that is kept.
    """
    needed = count * math.prod(info.shape) * itemsize / 2**30
    if needed > config.memory_gib:
        raise UserError(
            f"{config.spec}: {count} examples of {info.shape} take {needed:.3g} GiB, "
            f"--config.data.memory_gib is {config.memory_gib:g}, and only folder:, "
            "pairs: and tfds: can be streamed"
        )


def array_dataset(
    info: Info, config: DataConfig, train: Arrays, test: Arrays | None = None
) -> Dataset:
    """Return the dataset of these arrays, with images resized as `config` says.

    test: None holds out a tenth of `train`.

    Raises UserError if they do not fit in memory_gib, or in config.value_range.
    """
    is_image = train.x.ndim == 4
    kept = np.dtype(config.dtype) if is_image else train.x.dtype
    count = len(train.x) + (len(test.x) if test else 0)
    check_size(info, config, count, kept.itemsize)

    def split(arrays: Arrays) -> MemorySplit:
        if is_image and config.value_range:
            try:
                decoding.check_range(arrays.x, config)
            except decoding.UnsuitedImageError as error:
                raise UserError(f"{config.spec} {error}; {error.remedy}") from error
        x = decoding.fitted(arrays.x, config) if is_image else arrays.x
        return MemorySplit(x, arrays.y)

    of_all = digest_of([*train, *(test or ())])
    if test:
        return Dataset(info, split(train), split(test), of_all)
    digests = np.array([digest(x.tobytes()) for x in train.x], np.uint64)
    return divided(
        info, split(train), np.arange(len(train.x)), digests, of_all, config.spec
    )
