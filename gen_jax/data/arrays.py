"""Sources that are arrays already: digits, ring and npz files."""

import contextlib
import importlib.util
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.dataset import (
    DataConfig,
    Dataset,
    Info,
    MemorySplit,
    Source,
    Subset,
    checked_labels,
    digest,
    digest_of,
    held_out,
)
from gen_jax.errors import UserError

_MAX_CLASSES = 2**16  # a label beyond is a mistake, and would ask for a huge network


class Arrays(NamedTuple):
    """Examples: x uint8 [N, H, W, C] or float32 [N, D]; y int32 [N]."""

    x: np.ndarray
    y: np.ndarray


def array_dataset(
    info: Info, config: DataConfig, train: Arrays, test: Arrays | None = None
) -> Dataset:
    """The dataset of these arrays, resized; `test` None holds out a tenth of `train`.

    Raises UserError where they do not fit in memory_gib.
    """
    count = len(train.x) + (len(test.x) if test else 0)
    needed = count * np.prod(info.shape) * train.x.itemsize / 2**30
    if needed > config.memory_gib:
        raise UserError(
            f"{config.spec}: {count} examples of {info.shape} take {needed:.3g} GiB, "
            f"--config.data.memory_gib is {config.memory_gib:g}, and only folder: and "
            "tfds: can be streamed"
        )

    def split(arrays: Arrays) -> MemorySplit:
        if arrays.x.ndim != 4:
            return MemorySplit(*arrays)
        fitted = decoding.fitted(arrays.x, config.image_size, config.channels)
        return MemorySplit(fitted, arrays.y)

    of_all = digest_of([*train, *(test or ())])
    if test:
        return Dataset(info, split(train), split(test), of_all)
    held = held_out(np.array([digest(x.tobytes()) for x in train.x], np.uint64))
    everything = split(train)
    return Dataset(
        info,
        Subset(everything, np.flatnonzero(~held)),
        Subset(everything, np.flatnonzero(held)),
        of_all,
    )


def open_digits(config: DataConfig) -> Source:
    """The 1797 handwritten digits of 8x8 pixels that come inside scikit-learn."""
    shape = decoding.fitted_shape(
        (8, 8, 1), config.image_size, config.channels, "digits"
    )
    info = Info(shape, 10)

    def load() -> Dataset:
        table = np.loadtxt(_digits_file(), delimiter=",")  # 64 pixels and the label
        x = np.round(table[:, :-1] * (255 / 16)).astype(np.uint8)  # 0..16 at the source
        return array_dataset(
            info, config, Arrays(x.reshape(-1, 8, 8, 1), table[:, -1].astype(np.int32))
        )

    return Source(info, load)


def _digits_file() -> Path:
    """scikit-learn's own: importing it, for this file alone, would take a second."""
    package = importlib.util.find_spec("sklearn")
    if package is None:
        raise UserError("digits come with scikit-learn: pip install 'gen_jax[digits]'")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


def open_ring(config: DataConfig) -> Source:
    """8192 points from a ring of eight Gaussians, labelled by their component.

    The means lie evenly on a circle of radius 0.8, the standard deviation is 0.05.
    """
    if config.image_size or config.channels:
        raise UserError(
            "ring holds points: --config.data.image_size and channels must be 0"
        )
    info = Info((2,), 8)

    def load() -> Dataset:
        rng = np.random.default_rng(0)
        y = np.arange(8192, dtype=np.int32) % 8
        angle = 2 * np.pi * y / 8
        mean = 0.8 * np.stack([np.cos(angle), np.sin(angle)], 1)
        x = (mean + 0.05 * rng.standard_normal((8192, 2))).astype(np.float32)
        return array_dataset(info, config, Arrays(x, y))

    return Source(info, load)


def open_npz(config: DataConfig, path: str) -> Source:
    """Arrays of an npz file: x, and where there are any y, x_test and y_test.

    x uint8 [N, H, W, C] or [N, H, W]; y integers [N], -1 for none. Without x_test a
    tenth of x is held out. Keras's names x_train and y_train are understood too.

    Raises UserError naming the array for any other shape, type or label.
    """
    file = Path(path).expanduser()
    with _reading(file):
        headers = _headers(file)
    x_name = "x_train" if "x" not in headers and "x_train" in headers else "x"
    y_name = "y_train" if x_name == "x_train" else "y"
    if x_name not in headers:
        raise UserError(
            f"{file} holds {', '.join(headers) or 'no arrays'}; it needs x, uint8 "
            "[N, H, W, C] or [N, H, W], and may hold y, x_test, y_test"
        )
    own_shape = _image_shape(file, x_name, *headers[x_name])
    names = {x_name: y_name}
    if "x_test" in headers:
        names["x_test"] = "y_test"
        if _image_shape(file, "x_test", *headers["x_test"]) != own_shape:
            raise UserError(f"{file}: x_test and {x_name} hold images of two shapes")
    for x, y in names.items():
        _check_labels_fit(file, y, headers.get(y), len_x=headers[x][0][0])

    def array(name: str) -> np.ndarray:
        with _reading(file), np.load(file, allow_pickle=False) as arrays:
            return arrays[name]

    num_classes = 0
    if y_name in headers:
        num_classes = count_classes(array(y_name), f"{file}: {y_name}")
    where = f"{file}: {x_name}"
    shape = decoding.fitted_shape(own_shape, config.image_size, config.channels, where)
    info = Info(shape, num_classes)

    def arrays(x_name: str, y_name: str) -> Arrays:
        x = array(x_name)
        y = array(y_name) if y_name in headers else np.full(len(x), -1)
        y = checked_labels(y, num_classes, f"{file}: {y_name}")
        return Arrays(x.reshape(len(x), *own_shape), y)

    def load() -> Dataset:
        return array_dataset(info, config, *(arrays(x, y) for x, y in names.items()))

    return Source(info, load)


def count_classes(y: np.ndarray, where: str) -> int:
    """One more than the largest of the integer labels [N], which are checked."""
    return 1 + int(checked_labels(y, _MAX_CLASSES, where).max(initial=-1))


@contextlib.contextmanager
def _reading(file: Path):
    """Turns what goes wrong on reading an npz file into one clear line."""
    if not file.is_file():
        raise UserError(f"npz:{file}: there is no such file")
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file} is not an npz file of plain arrays, or is damaged: {error}"
        ) from error


def _headers(file: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each array, without reading the arrays."""
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    headers = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.namelist():
            with archive.open(member) as array:
                version = np.lib.format.read_magic(array)
                shape, _, dtype = read_header[version](array)
            headers[member.removesuffix(".npy")] = (shape, dtype)
    return headers


def _image_shape(file: Path, name: str, shape, dtype) -> tuple[int, int, int]:
    """(H, W, C) of an array of images."""
    if dtype != np.uint8 or len(shape) not in (3, 4) or 0 in shape[1:]:
        raise UserError(
            f"{file}: {name} is {dtype} {list(shape)}; allowed: uint8 [N, H, W, C] or "
            "[N, H, W]"
        )
    least = 1 if name == "x_test" else 2
    if shape[0] < least:
        raise UserError(f"{file}: {name} holds {shape[0]} images; at least {least}")
    return (*shape[1:], 1)[:3]


def _check_labels_fit(file: Path, name: str, header, len_x: int) -> None:
    if header is None:
        return
    shape, dtype = header
    if dtype.kind not in "iu" or shape != (len_x,):
        raise UserError(
            f"{file}: {name} is {dtype} {list(shape)}; allowed: integers [{len_x}], "
            "-1 for none"
        )
