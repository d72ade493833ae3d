"""Images in an npz file: x and, if present, y, x_test and y_test.

x: uint8 [N, H, W, C] or [N, H, W]; y: integers [N], -1 for none. Without x_test a tenth
of x is held out. Keras's names x_train and y_train are understood too.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.arrays import MAX_CLASSES, Arrays, array_dataset
from gen_jax.data.dataset import DataConfig, Dataset, Info, checked_labels
from gen_jax.data.source import Source
from gen_jax.errors import UserError

_NAMES = ("x", "y", "x_train", "y_train", "x_test", "y_test")


def describe(config: DataConfig) -> Info:
    """Return the shape of the images and the number of classes.

    Raises UserError that names the array for any other shape, type or label.
    """
    return _read(config)[0]


def load(config: DataConfig) -> Dataset:
    """Load the arrays, resized. Raises UserError as `describe`."""
    info, splits = _read(config)
    return array_dataset(info, config, *splits)


def _read(config: DataConfig) -> tuple[Info, list[Arrays]]:
    """Read, validate and return the dataset's Info and its splits."""
    file = config.path
    arrays = _arrays(file)
    train = "x" if "x" in arrays else "x_train"
    names = [name for name in (train, "x_test") if name in arrays]
    splits, classes = [], MAX_CLASSES
    for name in names:
        splits.append(_split(file, arrays, name, classes))
        classes = 1 + int(splits[0].y.max())
    shape, *others = (each.x.shape[1:] for each in splits)
    if others not in ([], [shape]):
        raise UserError(f"{file}: x_test and {train} hold images of two shapes")
    shape = decoding.fitted_shape(
        shape, config.image_size, config.channels, f"{file}: {train}"
    )
    return Info(shape, classes), splits


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            names = content.files
            arrays = {name: content[name] for name in _NAMES if name in names}
    except (OSError, ValueError, TypeError, zlib.error, zipfile.BadZipFile) as error:
        raise UserError(
            f"{file} is not an npz file of plain arrays, or is damaged: {error}"
        ) from error
    if not {"x", "x_train"} & {*arrays}:
        raise UserError(
            f"{file} holds {', '.join(names) or 'no arrays'}; it needs x, uint8 "
            "[N, H, W, C] or [N, H, W], and may hold y, x_test, y_test"
        )
    return arrays


def _split(
    file: Path, arrays: dict[str, np.ndarray], name: str, num_classes: int
) -> Arrays:
    """Return the images called `name`, [N, H, W, C], and their labels."""
    x = arrays[name]
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or 0 in x.shape[1:]:
        raise UserError(
            f"{file}: {name} is {x.dtype} {list(x.shape)}; allowed: uint8 "
            "[N, H, W, C] or [N, H, W]"
        )
    minimum = 1 if name == "x_test" else 2
    if len(x) < minimum:
        raise UserError(
            f"{file}: {name} holds {len(x)} images; it needs at least {minimum}"
        )
    y_name = name.replace("x", "y", 1)
    y = arrays.get(y_name, np.full(len(x), -1))
    if y.dtype.kind not in "iu" or y.shape != (len(x),):
        raise UserError(
            f"{file}: {y_name} is {y.dtype} {list(y.shape)}; allowed: integers "
            f"[{len(x)}], -1 for none"
        )
    y = checked_labels(y, num_classes, f"{file}: {y_name}")
    return Arrays(x if x.ndim == 4 else x[..., None], y)


SOURCE = Source(describe, load, where="FILE")
