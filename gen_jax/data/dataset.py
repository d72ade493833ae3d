"""Datasets, two splits that are read by index, and the configuration that names one."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from gen_jax.config import choice, sides, within
from gen_jax.errors import UserError

Batch = dict[str, np.ndarray]
Indices = Sequence[int] | np.ndarray

MAX_PIXELS = 4096  # a side; no model here could generate larger images
_IDENTIFYING = 16  # examples of a split that are hashed
_TENTH = 2**64 // 10


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """A data source and how its examples are read.

    A source with options of its own takes a subclass, with a field for each.

    spec: NAME or NAME:WHERE of a registered source, such as digits or folder:DIR.
    image_size: size of the images in pixels: a number for squares, or "HxW"; 0 changes
        nothing.
    crop: "centre" keeps the largest centred part that has the proportions of
        image_size; "none" keeps all of an image and changes its proportions.
    channels: 1 for grey, 3 for RGB; 0 changes nothing.
    value_range: (low, high), the range of the pixels' values, for images of more than
        8 bits: they become float32 in [-1, 1]. () reads them as uint8.
    data_dir: folder in which TFDS keeps its datasets; "" for TFDS's own default.
    skip_broken: leave out images that cannot be decoded, with a line that says so.
    replace_broken: read the next image in place of one that cannot be decoded. The
        number of training examples and their order stay, so that a run can be resumed
        with it. Held-out ones are left out.
    max_pixels: limit of the pixels of an encoded image, before it is resized.
    memory_gib: limit in GiB for decoded examples; larger datasets are streamed.
    task: how an input x is made from each image, which becomes the target y; "" for
        no pairs.
    """

    spec: str = "digits"
    image_size: int | str = within(0, MAX_PIXELS, default=0)
    crop: Literal["centre", "none"] = dataclasses.field(
        default="centre",
        metadata={
            "hint": "; to crop training images at random places, set "
            "--config.jitter=PIXELS"
        },
    )
    channels: int = choice((0, 1, 3), default=0)
    value_range: tuple[float, ...] = ()
    data_dir: str = ""
    skip_broken: bool = False
    replace_broken: bool = dataclasses.field(
        default=False, metadata={"may_change_on_resume": True}
    )
    max_pixels: int = within(
        1, 2**62, default=178_956_970, may_change_on_resume=True
    )  # the default is Pillow's own limit
    memory_gib: float = within(0, None, default=4.0, may_change_on_resume=True)
    task: Literal["", "low_resolution"] = ""

    @property
    def where(self) -> str:
        """The text after the colon of `spec`, such as a folder; "" for none."""
        return self.spec.partition(":")[2]

    @property
    def path(self) -> Path:
        """The path that `where` names."""
        return Path(os.path.expanduser(self.where))  # which raises for no user

    @property
    def size(self) -> tuple[int, int]:
        """The height and the width that images are resized to; (0, 0) for their own."""
        return sides(self.image_size)

    @property
    def dtype(self) -> type[np.generic]:
        """The type that images are kept as."""
        return np.float32 if self.value_range else np.uint8

    def adapted(self, values: Mapping[str, Any]) -> "DataConfig":
        """Return these settings in the class for the source of values["spec"]."""
        from gen_jax.data.registry import own_config  # which imports this module

        if "spec" not in values:
            return self
        return own_config(dataclasses.replace(self, spec=values["spec"]))


class Info(NamedTuple):
    """The facts about a dataset that a model needs, known without reading it all.

    shape: of one example x: (H, W, C), or (D,) for points.
    num_classes: 0 if the examples have no labels, or all the same.
    target_shape: of y if it is an image: (H, W, C').
    class_names: one for each class, in the order of the labels; () if not known.
    """

    shape: tuple[int, ...]
    num_classes: int
    target_shape: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()


class Split(Protocol):
    """Stored examples: `x` uint8 [N, H, W, C] or float32 [N, D], `y` int32 [N].

    For pairs `y` is the target image, uint8 [N, H, W, C']. Images of a stated range
    are float32 in [-1, 1].
    """

    @property
    def in_memory(self) -> bool:
        """Return whether reading only gathers; otherwise it decodes."""

    def __len__(self) -> int:
        """Return N, the number of examples."""

    def read(self, indices: Indices) -> Batch:
        """Return the examples at `indices`: {"x": [B, ...], "y": int32 [B]}.

        A label is -1 for none. For pairs "y" is uint8 [B, H, W, C']. Each call returns
        new arrays, since JAX on a CPU may keep them without copying.
        """


class PairMeasure(NamedTuple):
    """A score of translated images that a source defines for its own pairs.

    score: inputs x, targets y and translations y_hat, float32 [N, H, W, C] in [-1, 1]
        -> {name: float [N], NaN if undefined}.
    context: notes on the scores, {name: text}, recorded next to them.
    """

    score: Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]
    context: Mapping[str, str] = {}


class Dataset(NamedTuple):
    """A training split and a held-out one.

    digest: hash by `digest_of` of the content that both were read from, independent of
        the decoder; "" if they are computed by code alone, see `identified`.
    sizes: hash of the sizes in bytes and the labels of all files, if the digest is that
        of some of them.
    measures: the source's own, for pairs.
    left_out: what the source holds that was not read, and why, a text each: "12 files
        that end in .heic: no reader is installed".
    changed: how it differs from the data that a run was trained on; "" if it does not.
    """

    info: Info
    train: Split
    test: Split
    digest: str = ""
    measures: tuple[PairMeasure, ...] = ()
    left_out: tuple[str, ...] = ()
    changed: str = ""
    sizes: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class MemorySplit:
    """Decoded examples: x [N, ...], y int32 [N] or uint8 [N, H, W, C']."""

    x: np.ndarray
    y: np.ndarray
    in_memory = True

    def __len__(self) -> int:
        return len(self.x)

    def read(self, indices: Indices) -> Batch:
        """Return copies of the examples at `indices`, [B, ...]."""
        indices = np.asarray(indices, np.int64)
        return {"x": self.x[indices], "y": self.y[indices]}


@dataclasses.dataclass(frozen=True, eq=False)
class Subset:
    """The examples of a split at `indices`, int64 [N]."""

    split: Split
    indices: np.ndarray

    @property
    def in_memory(self) -> bool:
        """Return whether reading only gathers."""
        return self.split.in_memory

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: Indices) -> Batch:
        """Return the examples at `indices` of the subset, [B, ...]."""
        return self.split.read(self.indices[np.asarray(indices, np.int64)])


@dataclasses.dataclass(frozen=True, eq=False)
class Changed:
    """The examples of a split, each batch [B, ...] changed by a function."""

    split: Split
    change: Callable[[Batch], Batch]

    @property
    def in_memory(self) -> bool:
        """Return whether reading only gathers."""
        return self.split.in_memory

    def __len__(self) -> int:
        return len(self.split)

    def read(self, indices: Indices) -> Batch:
        """Return the changed examples at `indices`, [B, ...]."""
        return self.change(self.split.read(indices))


def without_single_class(info: Info) -> Info:
    """Return the facts of a dataset whose only class, if it has one, is no label."""
    if info.num_classes != 1:
        return info
    return info._replace(num_classes=0, class_names=())


def unlabelled(split: Split) -> Split:
    """Return a split with all labels -1."""
    if isinstance(split, Subset):
        return dataclasses.replace(split, split=unlabelled(split.split))
    if isinstance(split, MemorySplit):
        return dataclasses.replace(split, y=np.full(len(split), -1, np.int32))
    return Changed(split, _without_labels)


def _without_labels(batch: Batch) -> Batch:
    return {**batch, "y": np.full(len(batch["x"]), -1, np.int32)}


def fingerprint(dataset: Dataset) -> dict[str, int | str]:
    """Return, for JSON, the facts by which `is_same` knows a dataset."""
    found: dict[str, int | str] = {
        "train": len(dataset.train),
        "test": len(dataset.test),
        "digest": dataset.digest,
    }
    return found | ({"sizes": dataset.sizes} if dataset.sizes else {})


def is_same(now: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    """Return whether two fingerprints are of the same data.

    The number of held-out examples may differ: broken images are left out of them.
    """
    sizes = ("sizes",) if {"sizes"} <= now.keys() & then.keys() else ()
    return all(then.get(name) == now[name] for name in ("train", "digest", *sizes))


def identified(dataset: Dataset) -> Dataset:
    """Return a dataset with a digest, by which resumed runs and caches know it.

    One without is given that of its examples: of all of a `MemorySplit`, of a few of
    any other split.
    """
    if dataset.digest:
        return dataset
    parts: list[np.ndarray] = []
    for split in (dataset.train, dataset.test):
        whole = isinstance(split, MemorySplit)
        number = len(split) if whole else min(len(split), _IDENTIFYING)
        places = np.linspace(0, len(split) - 1, number).astype(np.int64)
        parts += split.read(places).values()
    return dataset._replace(digest=digest_of(parts))


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """Return a hash of the shapes, types and bytes of arrays [...], in their order."""
    total = hashlib.blake2b(digest_size=16)
    for array in arrays:
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def digest_of_value(value: object) -> str:
    """Return a hash of the `repr` of a value that consists of plain Python parts."""
    return hashlib.blake2b(repr(value).encode(), digest_size=16).hexdigest()


def digest(content: bytes) -> int:
    """Return a 64-bit hash of an example's bytes, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def held_out(digests: np.ndarray, spec: str) -> np.ndarray:
    """Return a mask of the examples to hold out, bool [N], if a source has no split.

    digests: uint64 [N], one `digest` per example. spec: the dataset's, for the error.

    Only the example's own content decides: the order and the other examples do not
    matter, and duplicates stay together. On average a tenth is held out. At least one
    content is held out and at least one is not, however few there are.

    Raises UserError if there are no two different examples.
    """
    contents = np.unique(digests)
    if len(contents) < 2:
        raise UserError(
            f"{spec}: {len(digests)} examples, {len(contents)} different: a dataset "
            "needs at least two different ones, one to train on and one to hold out"
        )
    limit = min(max(np.uint64(_TENTH), contents[0]), contents[-2])
    return digests <= limit


def divided(
    info: Info,
    split: Split,
    indices: np.ndarray,
    digests: np.ndarray,
    digest: str,
    spec: str,
) -> Dataset:
    """Return the examples of one split as a dataset, with a tenth `held_out`.

    indices: int64 [N], the examples to use. digests: uint64 [N], of these examples.
    digest, spec: the dataset's.
    """
    held = held_out(digests, spec)
    train, test = Subset(split, indices[~held]), Subset(split, indices[held])
    return Dataset(info, train, test, digest)
