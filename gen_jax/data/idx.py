"""MNIST's file format: http://yann.lecun.com/exdb/mnist, IDX of unsigned bytes.

Four bytes of magic (0, 0, 8 for unsigned bytes, the number of dimensions), the
dimensions as big-endian int32, then the bytes; plain or gzipped.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.arrays import Arrays, array_dataset, count_classes
from gen_jax.data.dataset import DataConfig, Dataset, Info, Source, checked_labels
from gen_jax.errors import UserError

_UNSIGNED_BYTE = 8


def open_idx(config: DataConfig, path: str) -> Source:
    """A folder with MNIST's four files, train-images-idx3-ubyte[.gz] and so on.

    Without the two of t10k a tenth of the training images is held out.

    Raises UserError, naming the file, where one is missing or damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(f"idx:{path}: there is no such folder")
    train = _files(folder, "train")
    test = _files(folder, "t10k") if _find(folder, "t10k-images-idx3-ubyte") else None
    count, *size = read_header(train[0], 3)
    if count < 2 or 0 in size:
        raise UserError(f"{train[0]} holds {count} images of {size} pixels: too few")
    own_shape = (*size, 1)
    num_classes = count_classes(read_idx(train[1], 1), str(train[1]))
    shape = decoding.fitted_shape(own_shape, config.image_size, config.channels, path)
    info = Info(shape, num_classes)

    def arrays(image_file: Path, label_file: Path) -> Arrays:
        x, y = read_idx(image_file, 3), read_idx(label_file, 1)
        if x.shape[1:] != own_shape[:2] or len(x) != len(y):
            raise UserError(
                f"{image_file} holds {list(x.shape)} pixels, expected "
                f"[{len(y)}, {own_shape[0]}, {own_shape[1]}] by the other files"
            )
        y = checked_labels(y.astype(np.int64), num_classes, str(label_file))
        return Arrays(x[..., None], y)

    def load() -> Dataset:
        splits = [arrays(*files) for files in (train, test) if files]
        return array_dataset(info, config, *splits)

    return Source(info, load)


def read_idx(file: Path, rank: int) -> np.ndarray:
    """The array of an IDX file of unsigned bytes with `rank` dimensions.

    Raises UserError, naming the file, where it is anything else or incomplete.
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
    """The shape of an IDX file of unsigned bytes with `rank` dimensions."""
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


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    """A split's images and labels."""
    files = []
    for part in (f"{name}-images-idx3-ubyte", f"{name}-labels-idx1-ubyte"):
        file = _find(folder, part)
        if file is None:
            raise UserError(f"{folder} holds no {part}, nor {part}.gz")
        files.append(file)
    return tuple(files)


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # as some unpackers name it
    for file in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / file).is_file():
            return folder / file
    return None
