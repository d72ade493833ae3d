"""Images in MNIST's file format, IDX: http://yann.lecun.com/exdb/mnist.

The four files of MNIST lie in one folder. Each has four bytes of magic (0, 0, 8 for
unsigned bytes, the number of dimensions), then the dimensions as big-endian int32, then
the bytes; plain or gzipped, whatever the file is called. The classes are the labels
that occur.
"""

import contextlib
import gzip
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from gen_jax import memory
from gen_jax.data import decoding
from gen_jax.data.arrays import Arrays, array_dataset, check_size
from gen_jax.data.dataset import DataConfig, Dataset, Info
from gen_jax.data.labels import classes_of, names_of, numbered
from gen_jax.data.source import Source
from gen_jax.errors import UserError

_NAMES = ("images-idx3-ubyte", "labels-idx1-ubyte")
_UNSIGNED_BYTE = 8
_GZIP = b"\x1f\x8b"


def describe(config: DataConfig) -> Info:
    """Return the shape of the training images, and their classes.

    Raises UserError that names the file if one of the training set is missing or
    damaged.
    """
    return _described(config)[0]


def load(config: DataConfig) -> Dataset:
    """Load MNIST's four files, train-images-idx3-ubyte[.gz] and so on.

    Without the two of t10k a tenth of the training images is held out.

    Raises UserError that names the file if one is missing or damaged.
    """
    info, classes = _described(config)
    splits = ["train"]
    if _find(config.path, f"t10k-{_NAMES[0]}"):
        splits.append("t10k")
    shapes = [_shape(config, split) for split in splits]
    for shape in shapes[1:]:
        if shape[1:] != shapes[0][1:]:
            [file, _] = _files(config, "t10k")
            expected = [shape[0], *shapes[0][1:]]
            raise UserError(f"{file} holds {list(shape)} pixels, expected {expected}")
    check_size(info, config, sum(shape[0] for shape in shapes), 1)
    arrays = []
    for split in splits:
        images, labels = _files(config, split)
        y = numbered(read_idx(labels, 1).astype(np.int64), classes, str(labels))
        arrays.append(Arrays(read_idx(images, 3)[..., None], y))
    dataset = array_dataset(info, config, *arrays)
    alone = _find(config.path, f"t10k-{_NAMES[1]}") if len(splits) == 1 else None
    return dataset._replace(left_out=(f"{alone}, without images",) if alone else ())


def _described(config: DataConfig) -> tuple[Info, np.ndarray]:
    """Return the facts about the training images, and their labels in order [K]."""
    shape, [_, labels] = _shape(config, "train"), _files(config, "train")
    classes = classes_of(read_idx(labels, 1).astype(np.int64), str(labels))
    fitted = decoding.fitted_shape((*shape[1:], 1), config, config.where)
    return Info(fitted, len(classes), class_names=names_of(classes)), classes


def _shape(config: DataConfig, split: str) -> tuple[int, int, int]:
    """Return [N, H, W] of the images of a split, "train" or "t10k", by the headers."""
    images, labels = _files(config, split)
    with _opened(images, 3) as (_, (count, height, width)):
        pass
    with _opened(labels, 1) as (_, [expected]):
        pass
    minimum = 2 if split == "train" else 1
    if count < minimum or 0 in (height, width):
        raise UserError(
            f"{images} holds {count} images of {[height, width]} pixels: it needs "
            f"at least {minimum}, of at least one pixel"
        )
    if count != expected:
        raise UserError(
            f"{images} holds {[count, height, width]} pixels, expected "
            f"{[expected, height, width]} by the labels"
        )
    return count, height, width


def _files(config: DataConfig, split: str) -> tuple[Path, Path]:
    """Return the files of a split's images and labels."""
    files = []
    for name in (f"{split}-{name}" for name in _NAMES):
        file = _find(config.path, name)
        if file is None:
            raise UserError(f"{config.path} holds no {name}, nor {name}.gz")
        files.append(file)
    return files[0], files[1]


def read_idx(file: Path, rank: int) -> np.ndarray:
    """Return the uint8 [N, ...] of an IDX file of unsigned bytes, `rank` dimensions.

    Raises UserError that names the file if it is anything else or incomplete.
    """
    with _opened(file, rank) as (stream, shape):
        size = math.prod(shape)
        content = stream.read(size)
        more = len(stream.read(2**16))
    if len(content) != size or more:
        beyond = " or more" if more == 2**16 else ""
        raise _damaged(file, shape, f"{len(content) + more}{beyond}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _damaged(file: Path, shape: list[int], held: str) -> UserError:
    return UserError(
        f"{file} is damaged: its header promises {math.prod(shape)} bytes of {shape}, "
        f"it holds {held}"
    )


@contextlib.contextmanager
def _opened(file: Path, rank: int) -> Iterator[tuple[IO[bytes], list[int]]]:
    """Yield the stream behind the header of an IDX file, and the header's shape.

    Raises UserError that names the file if the header is another one, if it promises
    more than fits in memory, or if reading fails.
    """
    start = 4 + 4 * rank
    magic = bytes([0, 0, _UNSIGNED_BYTE, rank])
    try:
        with file.open("rb") as plain:
            is_gzip = plain.read(2) == _GZIP
            plain.seek(0)
            with gzip.open(plain) if is_gzip else plain as stream:
                header = stream.read(start)
                if header[:4] != magic or len(header) < start:
                    raise UserError(
                        f"{file} is not an IDX file of unsigned bytes with {rank} "
                        f"dimensions: it starts with {list(header[:4])}, expected "
                        f"{list(magic)}"
                    )
                shape = np.frombuffer(header, ">u4", rank, offset=4).tolist()
                if math.prod(shape) > memory.limit():
                    raise UserError(
                        f"{file} is damaged, or too large for this machine's memory: "
                        f"its header promises {math.prod(shape)} bytes of {shape}"
                    )
                held = os.fstat(plain.fileno()).st_size - start
                if not is_gzip and held != math.prod(shape):
                    raise _damaged(file, shape, str(held))
                yield cast("IO[bytes]", stream), shape
    except UserError:
        raise
    except Exception as error:  # zlib, gzip and others have their own
        reason = str(error) or type(error).__name__
        raise UserError(f"{file} cannot be read: {reason}") from error


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # as some unpackers name it
    for file in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / file).is_file():
            return folder / file
    return None


SOURCE = Source(describe, load, where="DIR")
