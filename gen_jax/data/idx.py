"""Images in MNIST's file format, IDX: http://yann.lecun.com/exdb/mnist.

The four files of MNIST lie in one folder. Each has four bytes of magic (0, 0, 8 for
unsigned bytes, the number of dimensions), then the dimensions as big-endian int32, then
the bytes; plain or gzipped.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.arrays import MAX_CLASSES, Arrays, array_dataset
from gen_jax.data.dataset import DataConfig, Dataset, Info, checked_labels
from gen_jax.data.source import Source
from gen_jax.errors import UserError

_UNSIGNED_BYTE = 8


def describe(config: DataConfig) -> Info:
    """Return the shape of the training images, and the number of their classes.

    Raises UserError that names the file if one of the training set is missing or
    damaged.
    """
    return _train(config)[0]


def load(config: DataConfig) -> Dataset:
    """Load MNIST's four files, train-images-idx3-ubyte[.gz] and so on.

    Without the two of t10k a tenth of the training images is held out.

    Raises UserError that names the file if one is missing or damaged.
    """
    info, train = _train(config)
    if _find(config.path, "t10k-images-idx3-ubyte") is None:
        return array_dataset(info, config, train)
    test = _arrays(config, "t10k", info.num_classes, train.x.shape[1:3])
    return array_dataset(info, config, train, test)


def _train(config: DataConfig) -> tuple[Info, Arrays]:
    train = _arrays(config, "train", MAX_CLASSES)
    shape = decoding.fitted_shape(
        train.x.shape[1:], config.image_size, config.channels, config.where
    )
    return Info(shape, 1 + int(train.y.max())), train


def _arrays(
    config: DataConfig, split: str, num_classes: int, size: tuple[int, ...] = ()
) -> Arrays:
    """Return the examples of a split, "train" or "t10k".

    size: (H, W) that the images must have; () for any.
    """
    files = []
    for name in (f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"):
        file = _find(config.path, name)
        if file is None:
            raise UserError(f"{config.path} holds no {name}, nor {name}.gz")
        files.append(file)
    x, y = read_idx(files[0], 3), read_idx(files[1], 1)
    minimum = 2 if split == "train" else 1
    if len(x) < minimum or 0 in x.shape:
        raise UserError(
            f"{files[0]} holds {len(x)} images of {list(x.shape[1:])} pixels: it needs "
            f"at least {minimum}, of at least one pixel"
        )
    expected = (len(y), *(size or x.shape[1:]))
    if x.shape != expected:
        raise UserError(
            f"{files[0]} holds {list(x.shape)} pixels, expected {list(expected)} by "
            "the other files"
        )
    y = checked_labels(y.astype(np.int64), num_classes, str(files[1]))
    return Arrays(x[..., None], y)


def read_idx(file: Path, rank: int) -> np.ndarray:
    """Return the uint8 [N, ...] of an IDX file of unsigned bytes, `rank` dimensions.

    Raises UserError that names the file if it is anything else or incomplete.
    """
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rb") as stream:
            content = stream.read()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    magic, start = bytes([0, 0, _UNSIGNED_BYTE, rank]), 4 + 4 * rank
    if content[:4] != magic or len(content) < start:
        raise UserError(
            f"{file} is not an IDX file of unsigned bytes with {rank} dimensions: it "
            f"starts with {list(content[:4])}, expected {list(magic)}"
        )
    shape = np.frombuffer(content, ">u4", rank, offset=4).tolist()
    if len(content) - start != math.prod(shape):
        raise UserError(
            f"{file} is damaged: its header promises {math.prod(shape)} bytes of "
            f"{shape}, it holds {len(content) - start}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # as some unpackers name it
    for file in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / file).is_file():
            return folder / file
    return None


SOURCE = Source(describe, load, where="DIR")
