"""Images in an npz file: x and, if present, y, x_test and y_test.

x: uint8 [N, H, W, C] or [N, H, W]; any other type of numbers if config.value_range
states its range. y: integers [N], -1 for none, or names [N], "" for none; the classes
are those that occur. Without x_test a tenth of x is held out. Keras's names x_train and
y_train, and its y of shape [N, 1], are understood too.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gen_jax import memory
from gen_jax.data import decoding
from gen_jax.data.arrays import Arrays, array_dataset, check_size
from gen_jax.data.dataset import DataConfig, Dataset, Info
from gen_jax.data.labels import classes_of, names_of, numbered
from gen_jax.data.source import Source
from gen_jax.errors import UserError, one_line

_NAMES = ("x", "y", "x_train", "y_train", "x_test", "y_test")
_FEW = 4  # channels, at most, if they may come before the rows


class _Header(NamedTuple):
    """The shape and the type of an array that is not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype


def describe(config: DataConfig) -> Info:
    """Return the shape of the images and the classes.

    Raises UserError that names the array for any other shape, type or label.
    """
    return _described(config)[0]


def load(config: DataConfig) -> Dataset:
    """Load the arrays, resized. Raises UserError as `describe`."""
    file = config.path
    info, headers, labels = _described(config)
    count = sum(headers[name].shape[0] for name in labels)
    check_size(info, config, count, np.dtype(config.dtype).itemsize)
    splits = []
    for name, y in labels.items():
        x = _read(file, name)
        splits.append(Arrays(x if x.ndim == 4 else x[..., None], y))
    dataset = array_dataset(info, config, *splits)
    read = {*labels, *(_label_name(name) for name in labels)}
    unread = [name for name in _members(file) if name not in read]
    left_out = (f"the arrays {', '.join(unread)}",) if unread else ()
    return dataset._replace(left_out=left_out)


def _described(
    config: DataConfig,
) -> tuple[Info, Mapping[str, _Header], dict[str, np.ndarray]]:
    """Return the facts, the headers, and the labels by the name of their images."""
    file = config.path
    headers = _headers(file)
    train = "x" if "x" in headers else "x_train"
    names = [name for name in (train, "x_test") if name in headers]
    shapes = [_shape(file, name, headers[name], config) for name in names]
    if len({*shapes}) > 1:
        raise UserError(f"{file}: x_test and {train} hold images of two shapes")
    given = {name: _labels(file, name, headers) for name in names}
    where = {name: f"{file}: {_label_name(name)}" for name in names}
    classes = classes_of(given[train], where[train])
    labels = {name: numbered(y, classes, where[name]) for name, y in given.items()}
    shape = decoding.fitted_shape(shapes[0], config, f"{file}: {train}")
    info = Info(shape, len(classes), class_names=names_of(classes))
    return info, headers, labels


def _headers(file: Path) -> dict[str, _Header]:
    """Return the headers of the arrays that a dataset may have.

    Raises UserError if the file is damaged, has none of them, or if they do not fit in
    the machine's memory.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            headers = {
                name: _header(archive, member)
                for member in archive.namelist()
                if (name := member.removesuffix(".npy")) in _NAMES
            }
    except Exception as error:  # readers raise all kinds of errors on damaged files
        raise _damaged(file, error) from error
    if not {"x", "x_train"} & {*headers}:
        raise UserError(
            f"{file} holds {', '.join(_members(file)) or 'no arrays'}; it needs x, "
            "uint8 [N, H, W, C] or [N, H, W], and may hold y, x_test, y_test"
        )
    size = sum(math.prod(h.shape) * h.dtype.itemsize for h in headers.values())
    if size > memory.limit():
        raise UserError(
            f"{file} holds arrays of {size / 2**30:,.1f} GiB, and there are "
            f"{memory.limit() / 2**30:,.1f} GiB of memory: store fewer images"
        )
    return headers


def _members(file: Path) -> list[str]:
    """Return the names of the arrays in a file."""
    with zipfile.ZipFile(file) as archive:
        return [each.removesuffix(".npy") for each in archive.namelist()]


def _label_name(name: str) -> str:
    """Return the name of the labels of the images called `name`."""
    return name.replace("x", "y", 1)


def _header(archive: zipfile.ZipFile, member: str) -> _Header:
    """Return a member's header. Raises ValueError if its size is another one."""
    form = np.lib.format
    with archive.open(member) as stream:
        version = form.read_magic(stream)
        read = form.read_array_header_1_0 if version == (1, 0) else None
        shape, _, dtype = (read or form.read_array_header_2_0)(stream)
        begun = stream.tell()
    promised = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and promised != archive.getinfo(member).file_size - begun:
        raise ValueError(f"{member} holds another number of bytes than its header says")
    return _Header(shape, dtype)


def _read(file: Path, name: str) -> np.ndarray:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            return content[name]
    except Exception as error:  # as in _headers
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> UserError:
    reason = one_line(error)
    return UserError(
        f"{file} is not an npz file of plain arrays, or is damaged: {reason}"
    )


def _shape(
    file: Path, name: str, header: _Header, config: DataConfig
) -> tuple[int, int, int]:
    """Return the shape (H, W, C) of the images called `name`."""
    shape, dtype = header
    given, needed = (
        f"{file}: {name} is {dtype} {list(shape)}",
        "[N, H, W, C] or [N, H, W]",
    )
    if dtype.kind not in "uif" or len(shape) not in (3, 4) or 0 in shape[1:]:
        raise UserError(f"{given}; allowed: uint8 {needed}")
    if dtype != np.uint8 and not config.value_range:
        raise UserError(
            f"{given}; allowed: uint8 {needed}, or other numbers if "
            "--config.data.value_range=LOW,HIGH states their range, such as 0,1"
        )
    if len(shape) == 4:
        _check_order(given, shape, config.size)
    if shape[0] < (minimum := 1 if name == "x_test" else 2):
        raise UserError(
            f"{file}: {name} holds {shape[0]} images; it needs at least {minimum}"
        )
    height, width, channels = (*shape[1:], 1)[:3]
    return height, width, channels


def _check_order(given: str, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """Raise UserError if axes look like [N, C, H, W], [H, W, C, N] or [C, H, W, N].

    size: the height and the width that the user states, which leave no doubt.
    """
    first, second, third, last = shape
    if last <= _FEW or size == (second, third):
        return
    if third <= _FEW and (second != third or first == second):
        found, axes = "images last", "3, 0, 1, 2"
    elif first <= _FEW and second == third < last:
        found, axes = "channels first and images last", "3, 1, 2, 0"
    elif second < min(third, last) or third == last != second:
        found, axes = "channels first", "0, 2, 3, 1"
    else:
        return
    raise UserError(
        f"{given}, which looks like {found}: transpose it to [N, H, W, C], as "
        f"x.transpose({axes}) does; if it has that order already, state the images' "
        f"size: --config.data.image_size={second}x{third}"
    )


def _labels(file: Path, name: str, headers: Mapping[str, _Header]) -> np.ndarray:
    """Return the labels of the images called `name`, integers or names [N]."""
    count, y_name = headers[name].shape[0], _label_name(name)
    if y_name not in headers:
        return np.full(count, -1)
    shape, dtype = headers[y_name]
    if dtype.kind not in "iuUS" or shape not in ((count,), (count, 1)):
        hint = "; of one-hot rows, give y.argmax(1)" if len(shape) == 2 else ""
        raise UserError(
            f"{file}: {y_name} is {dtype} {list(shape)}; allowed: integers [{count}], "
            f"-1 for none, or names{hint}"
        )
    y = _read(file, y_name).reshape(-1)
    return np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y


SOURCE = Source(describe, load, where="FILE")
