"""What a dataset is: two splits that hand out batches by index."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from gen_jax.errors import UserError

Batch = dict[str, np.ndarray]
Indices = Sequence[int] | np.ndarray

MAX_PIXELS = 4096  # a side of an image; of more, no model here could make one
_TENTH = 2**64 // 10


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which examples, and how they are read. 0 and "" mean: as they come."""

    # digits, branches, ring, idx:DIR, folder:DIR, pairs:DIR, npz:FILE, tfds:NAME
    spec: str = "digits"
    image_size: int = 0  # pixels: shorter side after resizing, then a centred square
    channels: int = 0  # 1 grey, 3 RGB
    data_dir: str = ""  # where TFDS keeps its datasets; "" for TFDS's own default
    skip_broken: bool = False  # leave out images that cannot be decoded, saying so
    memory_gib: float = 4.0  # GiB of decoded examples; what is larger is streamed
    direction: Literal["a_to_b", "b_to_a"] = "a_to_b"  # which side of pairs: is x
    # makes pairs of images that come alone: y the image, x made of it
    task: Literal["", "low_resolution", "edges", "grey", "holes"] = ""


class Info(NamedTuple):
    """What a model needs to know of a dataset, found without reading it all."""

    shape: tuple[int, ...]  # of one example: (H, W, C), or (2,) for points
    num_classes: int  # 0 where the examples have no labels
    target_shape: tuple[int, ...] = ()  # of y where it is an image: (H, W, C')


class Split(Protocol):
    """Examples at rest: `x` uint8 [N, H, W, C] or float32 [N, D], `y` int32 [N].

    Of pairs `y` is the target image, uint8 [N, H, W, C'].
    """

    in_memory: bool  # whether reading only gathers, or has to decode

    def __len__(self) -> int:
        """N."""

    def read(self, indices: Indices) -> Batch:
        """The examples at `indices`: {"x": [B, ...], "y": int32 [B], -1 for none}.

        Of pairs "y" is uint8 [B, H, W, C']. The arrays are new ones at each call: JAX
        on a CPU may keep them as they are.
        """


class Dataset(NamedTuple):
    """A training split and a held-out one.

    digest: of what both were read from, by `digest_of`; "" where that is code alone. It
        goes by what lies in the files, which no other decoder changes.
    """

    info: Info
    train: Split
    test: Split
    digest: str = ""


class Source(NamedTuple):
    """A dataset found but not read: what it is, and how to read it."""

    info: Info
    load: Callable[[], Dataset]


@dataclasses.dataclass(frozen=True, eq=False)
class MemorySplit:
    """Decoded examples: x [N, ...], y int32 [N] or uint8 [N, H, W, C']."""

    x: np.ndarray
    y: np.ndarray
    in_memory = True

    def __len__(self) -> int:
        """N."""
        return len(self.x)

    def read(self, indices: Indices) -> Batch:
        """The examples at `indices`, copied."""
        indices = np.asarray(indices, np.int64)
        return {"x": self.x[indices], "y": self.y[indices]}


@dataclasses.dataclass(frozen=True, eq=False)
class Subset:
    """The examples of a split at `indices`, int64 [N]."""

    split: Split
    indices: np.ndarray

    @property
    def in_memory(self) -> bool:
        """Whether reading only gathers."""
        return self.split.in_memory

    def __len__(self) -> int:
        """N."""
        return len(self.indices)

    def read(self, indices: Indices) -> Batch:
        """The examples at `indices` of the subset."""
        return self.split.read(self.indices[np.asarray(indices, np.int64)])


def fingerprint(dataset: Dataset) -> dict[str, int | str]:
    """What tells whether a run goes on with the data that it began with, as JSON."""
    return {
        "train": len(dataset.train),
        "test": len(dataset.test),
        "digest": dataset.digest,
    }


def digest_of(arrays: Iterable[np.ndarray]) -> str:
    """A hash of the shapes, types and bytes of arrays, in their order."""
    total = hashlib.blake2b(digest_size=16)
    for array in arrays:
        total.update(f"{array.dtype} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def digest_of_value(value: object) -> str:
    """A hash of what a value of plain parts is, as `repr` says it."""
    return hashlib.blake2b(repr(value).encode(), digest_size=16).hexdigest()


def digest(content: bytes) -> int:
    """A 64-bit hash of an example's bytes, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")


def held_out(digests: np.ndarray) -> np.ndarray:
    """Which examples a source without a split of its own holds out: bool [N].

    digests: uint64 [N], one `digest` an example.

    An example goes by its own content alone, so neither the order nor other examples
    matter, and duplicates stay together. On average a tenth is held out; however few
    the examples, at least one content is, and at least one is not.

    Raises UserError where there are no two different examples.
    """
    contents = np.unique(digests)
    if len(contents) < 2:
        raise UserError(
            f"{len(digests)} examples, {len(contents)} different: a dataset needs "
            "two different ones at least, one to train on and one to hold out"
        )
    limit = min(max(np.uint64(_TENTH), contents[0]), contents[-2])
    return digests <= limit


def checked_labels(y: np.ndarray, num_classes: int, where: str) -> np.ndarray:
    """Integer labels [N] as int32, each -1 (none) or a class below `num_classes`.

    Raises UserError, naming `where` and the label, for any other.
    """
    bad = (y < -1) | (y >= num_classes)
    if bad.any():
        classes = f"0..{num_classes - 1} or " if num_classes else ""
        raise UserError(
            f"{where}: label {y[bad][0]} of example {int(np.argmax(bad))} is out of "
            f"range; allowed: {classes}-1 (none)"
        )
    return y.astype(np.int32)
