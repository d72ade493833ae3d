"""Images in an npz file: x and, if present, y, x_test and y_test.

x: uint8 [N, H, W, C] or [N, H, W]; y: integers [N], -1 for none. Without x_test a tenth
of x is held out. Keras's names x_train and y_train are understood too.
"""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.arrays import Arrays, array_dataset, count_classes
from gen_jax.data.dataset import DataConfig, Dataset, Info, checked_labels
from gen_jax.data.source import Source
from gen_jax.errors import UserError


class _Layout(NamedTuple):
    """The arrays of a file: shape (H, W, C), and the names of x and y of each split.

    A name of y is None if the split has no labels.
    """

    shape: tuple[int, ...]
    splits: tuple[tuple[str, str | None], ...]


def describe(config: DataConfig) -> Info:
    """Return the shape from headers, and the number of classes from the labels.

    Raises UserError that names the array for any other shape, type or label.
    """
    return _info(config.path, _layout(config.path), config)


def load(config: DataConfig) -> Dataset:
    """Load the arrays, resized. Raises UserError as `describe`."""
    file = config.path
    layout = _layout(file)
    info = _info(file, layout, config)

    def arrays(x_name: str, y_name: str | None) -> Arrays:
        x = _array(file, x_name)
        y = np.full(len(x), -1) if y_name is None else _array(file, y_name)
        y = checked_labels(y, info.num_classes, f"{file}: {y_name}")
        return Arrays(x.reshape(len(x), *layout.shape), y)

    return array_dataset(info, config, *(arrays(*names) for names in layout.splits))


def _info(file: Path, layout: _Layout, config: DataConfig) -> Info:
    x_name, y_name = layout.splits[0]
    num_classes = 0
    if y_name is not None:
        num_classes = count_classes(_array(file, y_name), f"{file}: {y_name}")
    where = f"{file}: {x_name}"
    shape = decoding.fitted_shape(
        layout.shape, config.image_size, config.channels, where
    )
    return Info(shape, num_classes)


def _layout(file: Path) -> _Layout:
    """Return the layout of a file, checked by the headers of its arrays."""
    with _reading(file):
        headers = _headers(file)
    keras = "x" not in headers and "x_train" in headers
    names = [("x_train", "y_train") if keras else ("x", "y"), ("x_test", "y_test")]
    if names[0][0] not in headers:
        raise UserError(
            f"{file} holds {', '.join(headers) or 'no arrays'}; it needs x, uint8 "
            "[N, H, W, C] or [N, H, W], and may hold y, x_test, y_test"
        )
    present = [(x, y if y in headers else None) for x, y in names if x in headers]
    shapes = [_image_shape(file, x, *headers[x]) for x, _ in present]
    if shapes[0] != shapes[-1]:
        raise UserError(f"{file}: x_test and {names[0][0]} hold images of two shapes")
    for x, y in present:
        if y is not None:
            _check_labels_fit(file, y, *headers[y], len_x=headers[x][0][0])
    return _Layout(shapes[0], tuple(present))


def _array(file: Path, name: str) -> np.ndarray:
    with _reading(file), np.load(file, allow_pickle=False) as arrays:
        return arrays[name]


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn any failure to read an npz file into one clear line."""
    try:
        yield
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file} is not an npz file of plain arrays, or is damaged: {error}"
        ) from error


def _headers(file: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return the shape and dtype of each array, without reading the arrays."""
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


def _image_shape(
    file: Path, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[int, ...]:
    """Return (H, W, C) of an array of images."""
    if dtype != np.uint8 or len(shape) not in (3, 4) or 0 in shape[1:]:
        raise UserError(
            f"{file}: {name} is {dtype} {list(shape)}; allowed: uint8 [N, H, W, C] or "
            "[N, H, W]"
        )
    minimum = 1 if name == "x_test" else 2
    if shape[0] < minimum:
        raise UserError(
            f"{file}: {name} holds {shape[0]} images; it needs at least {minimum}"
        )
    return (*shape[1:], 1)[:3]


def _check_labels_fit(
    file: Path, name: str, shape: tuple[int, ...], dtype: np.dtype, len_x: int
) -> None:
    if dtype.kind not in "iu" or shape != (len_x,):
        raise UserError(
            f"{file}: {name} is {dtype} {list(shape)}; allowed: integers [{len_x}], "
            "-1 for none"
        )


SOURCE = Source(describe, load, where="FILE")
