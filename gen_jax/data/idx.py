"""Images in MNIST's file format, IDX: http://yann.lecun.com/exdb/mnist.

The four files of MNIST lie in one folder. Each has four bytes of magic (0, 0, 8 for
unsigned bytes, the number of dimensions), then the dimensions as big-endian int32, then
the bytes; plain or gzipped.
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.arrays import Arrays, array_dataset, count_classes
from gen_jax.data.dataset import DataConfig, Dataset, Info, checked_labels
from gen_jax.data.source import Source
from gen_jax.errors import UserError

_UNSIGNED_BYTE = 8


class _Files(NamedTuple):
    """The images and the labels of a split."""

    images: Path
    labels: Path


def describe(config: DataConfig) -> Info:
    """Return the shape from a header and the number of classes from the labels.

    Raises UserError that names the file if one of the training set is missing or
    damaged.
    """
    train = _files(config.path, "train")
    count, *size = read_header(train.images, 3)
    if count < 2 or 0 in size:
        raise UserError(
            f"{train.images} holds {count} images of {size} pixels: it needs at least "
            "two, of at least one pixel"
        )
    shape = decoding.fitted_shape(
        (*size, 1), config.image_size, config.channels, config.where
    )
    return Info(shape, count_classes(read_idx(train.labels, 1), str(train.labels)))


def load(config: DataConfig) -> Dataset:
    """Load MNIST's four files, train-images-idx3-ubyte[.gz] and so on.

    Without the two of t10k a tenth of the training images is held out.

    Raises UserError that names the file if one is missing or damaged.
    """
    info = describe(config)
    splits = [_files(config.path, "train")]
    if _find(config.path, "t10k-images-idx3-ubyte"):
        splits.append(_files(config.path, "t10k"))
    size = read_header(splits[0].images, 3)[1:]
    arrays = (_arrays(files, size, info.num_classes) for files in splits)
    return array_dataset(info, config, *arrays)


def _arrays(files: _Files, size: tuple[int, ...], num_classes: int) -> Arrays:
    """Return the examples of a split, whose images have `size` (H, W)."""
    x, y = read_idx(files.images, 3), read_idx(files.labels, 1)
    if x.shape != (len(y), *size):
        raise UserError(
            f"{files.images} holds {list(x.shape)} pixels, expected "
            f"{[len(y), *size]} by the other files"
        )
    y = checked_labels(y.astype(np.int64), num_classes, str(files.labels))
    return Arrays(x[..., None], y)


def read_idx(file: Path, rank: int) -> np.ndarray:
    """Return the uint8 array of an IDX file of unsigned bytes with `rank` dimensions.

    Raises UserError that names the file if it is anything else or incomplete.
    """
    shape = read_header(file, rank)
    content = _read(file, -1)[4 + 4 * rank :]
    if len(content) != math.prod(shape):
        raise UserError(
            f"{file} is damaged: its header promises {math.prod(shape)} bytes of "
            f"{list(shape)}, it holds {len(content)}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_header(file: Path, rank: int) -> tuple[int, ...]:
    """Return the shape of an IDX file of unsigned bytes with `rank` dimensions."""
    header = _read(file, 4 + 4 * rank)
    if header[:4] != bytes([0, 0, _UNSIGNED_BYTE, rank]) or len(header) < 4 + 4 * rank:
        raise UserError(
            f"{file} is not an IDX file of unsigned bytes with {rank} dimensions: it "
            f"starts with {list(header[:4])}, expected {[0, 0, _UNSIGNED_BYTE, rank]}"
        )
    return tuple(int(n) for n in np.frombuffer(header, ">u4", rank, offset=4))


def _read(file: Path, size: int) -> bytes:
    opener = gzip.open if file.suffix == ".gz" else open
    try:
        with opener(file, "rb") as stream:
            return stream.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {error}") from error


def _files(folder: Path, split: str) -> _Files:
    files = []
    for name in (f"{split}-images-idx3-ubyte", f"{split}-labels-idx1-ubyte"):
        file = _find(folder, name)
        if file is None:
            raise UserError(f"{folder} holds no {name}, nor {name}.gz")
        files.append(file)
    return _Files(*files)


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # as some unpackers name it
    for file in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / file).is_file():
            return folder / file
    return None


SOURCE = Source(describe, load, where="DIR")
