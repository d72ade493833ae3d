"""Check that a source's dataset is one of the protocol: `Dataset`, `Split`, `Info`."""

from typing import Any

import numpy as np

from gen_jax.data.dataset import Dataset, MemorySplit, Split, Subset
from gen_jax.data.encoded import StreamedSplit
from gen_jax.data.labels import checked_labels
from gen_jax.errors import UserError


def check(dataset: Any, source: str) -> None:
    """Check types, shapes and ranges, in memory of all examples, else of the first.

    source: the specification, for errors.

    Raises UserError with one line that names the source, the split and the fault.
    """
    if not isinstance(dataset, Dataset):
        raise UserError(
            f"the source of {source} returned a value of type "
            f"{type(dataset).__name__}: `load` returns a gen_jax.data.Dataset"
        )
    names, classes = dataset.info.class_names, dataset.info.num_classes
    if len(names) not in (0, classes):
        raise UserError(f"{source}: {len(names)} class_names for {classes} classes")
    for name in ("train", "test"):
        split = getattr(dataset, name)
        if not len(split):
            raise UserError(f"{source}: the split {name} holds no example")
        _check_split(split, dataset, f"{source}, {name}")


def _check_split(split: Split, dataset: Dataset, where: str) -> None:
    info = dataset.info
    of = split.split if isinstance(split, Subset) else split
    if isinstance(of, StreamedSplit):
        return  # its images are checked when they are decoded
    if isinstance(split, MemorySplit):
        x, y = np.asarray(split.x), np.asarray(split.y)
    else:
        batch = split.read(np.arange(1))  # the others may take long to make
        x, y = np.asarray(batch["x"]), np.asarray(batch["y"])
    if len(x) != len(y):
        raise UserError(f"{where}: {len(x)} examples x and {len(y)} y")
    _check_values(x, info.shape, f"{where}: x")
    if info.target_shape:
        _check_values(y, info.target_shape, f"{where}: y")
        return
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise UserError(
            f"{where}: y is {y.dtype} {list(y.shape)}; labels are integers [N], -1 for "
            "none"
        )
    checked_labels(y, info.num_classes, where)


def _check_values(x: np.ndarray, shape: tuple[int, ...], where: str) -> None:
    if x.shape[1:] != tuple(shape):
        raise UserError(
            f"{where} holds examples of shape {x.shape[1:]}, its Info says {shape}"
        )
    if x.dtype not in (np.uint8, np.float32):
        raise UserError(
            f"{where} is {x.dtype}: images are uint8, or float32 in [-1, 1]; points "
            "are float32"
        )
    if x.dtype == np.float32 and x.ndim == 4:
        low, high = float(x.min()), float(x.max())
        if not -1 <= low <= high <= 1:
            raise UserError(
                f"{where} lies in [{low:.4g}, {high:.4g}]: float images are in [-1, 1]"
            )
