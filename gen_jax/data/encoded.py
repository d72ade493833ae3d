"""Sources of encoded pictures: decoded once into memory, or on reading.

What does not fit in memory is read again at each epoch (`order.batches` reads ahead);
both ways give the same examples at the same indices.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np

from gen_jax.data import images
from gen_jax.data.dataset import (
    Batch,
    DataConfig,
    Dataset,
    Indices,
    Info,
    MemorySplit,
    Split,
    Subset,
    checked_labels,
    digest,
    held_out,
)
from gen_jax.errors import UserError

_CHUNK = 64  # records that a thread reads at once


class Records(Protocol):
    """Encoded pictures with labels, by index; reading must be thread-safe."""

    def __len__(self) -> int:
        """N."""

    def read(self, indices: Sequence[int]) -> list[tuple[bytes, int]]:
        """The encoded pictures and their labels, -1 for none."""

    def name(self, index: int) -> str:
        """What to call a record in an error message."""


class BrokenImageError(UserError):
    """A picture that cannot be decoded."""


def encoded_dataset(
    info: Info, config: DataConfig, train: Records, test: Records | None = None
) -> Dataset:
    """The dataset of these records; `test` None holds out a tenth of `train`.

    It is decoded at once if all of it fits in memory_gib, else on reading. A tenth is
    chosen by the encoded bytes, which takes one pass over them.

    Raises UserError, naming the record, where a picture is broken or of another shape.
    """
    records = [train] if test is None else [train, test]
    size = sum(len(r) for r in records) * np.prod(info.shape, dtype=float)
    in_memory = bool(size <= config.memory_gib * 2**30)
    if test is not None:
        splits = [
            _open(r, info, config, in_memory, needs_digests=False) for r in records
        ]
        splits = [Subset(s.split, s.intact) for s in splits]
        if min(len(split) for split in splits) < 1:
            raise UserError(f"{config.spec}: a split holds no images")
        return Dataset(info, *splits)
    everything = _open(train, info, config, in_memory, needs_digests=True)
    held = held_out(everything.digests[everything.intact])
    return Dataset(
        info,
        Subset(everything.split, everything.intact[~held]),
        Subset(everything.split, everything.intact[held]),
    )


def first_shape(records: Records, config: DataConfig) -> tuple[int, int, int]:
    """(H, W, C) after resizing, by the first picture that can be decoded."""
    for index in range(len(records)):
        try:
            image = _open_record(records, index)
        except BrokenImageError:
            if not config.skip_broken:
                raise
            continue
        return images.to_array(image, config.image_size, config.channels).shape
    raise UserError(f"{config.spec}: none of {len(records)} images can be decoded")


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Records that are decoded on reading."""

    records: Records
    info: Info
    config: DataConfig
    in_memory = False

    def __len__(self) -> int:
        """N."""
        return len(self.records)

    def read(self, indices: Indices) -> Batch:
        """The examples at `indices`, decoded.

        Raises UserError, naming the record, where a picture is broken.
        """
        indices = [int(i) for i in indices]
        x = np.empty((len(indices), *self.info.shape), np.uint8)
        y = np.empty(len(indices), np.int64)
        for place, (content, label) in enumerate(self.records.read(indices)):
            name = self.records.name(indices[place])
            x[place], y[place] = _decode(content, name, self.info, self.config), label
        return {"x": x, "y": checked_labels(y, self.info.num_classes, self.config.spec)}


class _Opened(NamedTuple):
    split: Split
    intact: np.ndarray  # int64: the indices of pictures that can be decoded
    digests: np.ndarray  # uint64 [N]


def _open(records, info, config, in_memory: bool, needs_digests: bool) -> _Opened:
    """A split of all the records, after one pass over them if one is needed."""
    count = len(records)
    x = np.empty((count if in_memory else 0, *info.shape), np.uint8)
    y = np.full(count, -1, np.int64)
    digests = np.zeros(count, np.uint64)
    broken = np.zeros(count, bool)

    def examine(start: int) -> None:
        chunk = range(start, min(start + _CHUNK, count))
        for i, (content, label) in zip(chunk, records.read(chunk), strict=True):
            y[i], digests[i] = label, digest(content)
            if not (in_memory or config.skip_broken):
                continue
            try:
                image = _decode(content, records.name(i), info, config)
            except BrokenImageError:
                if not config.skip_broken:
                    raise
                broken[i] = True
            else:
                x[i : i + 1] = image  # nothing, where x is empty

    # Threads that decode tiny pictures spend their time waiting for each other.
    tiny = not config.image_size and info.shape[0] * info.shape[1] < 64 * 64
    if in_memory or needs_digests or config.skip_broken:
        with ThreadPoolExecutor(1 if tiny else os.cpu_count()) as pool:
            for _ in pool.map(examine, range(0, count, _CHUNK)):
                pass
    if broken.any():
        print(
            f"{config.spec}: left out {broken.sum()} broken images of {count}, such as "
            f"{records.name(int(np.argmax(broken)))}",
            file=sys.stderr,
        )
    split = StreamedSplit(records, info, config)
    if in_memory:
        split = MemorySplit(x, checked_labels(y, info.num_classes, config.spec))
    return _Opened(split, np.flatnonzero(~broken), digests)


def _open_record(records: Records, index: int):
    [(content, _)] = records.read([index])
    return open_image(content, records.name(index))


def open_image(content: bytes, name: str):
    try:
        return images.open_image(content)
    except Exception as error:  # on damaged files decoders raise whatever they meet
        raise BrokenImageError(
            f"{name} is broken or truncated ({error}); to leave such images out, set "
            "--config.data.skip_broken=True"
        ) from error


def _decode(content: bytes, name: str, info: Info, config: DataConfig) -> np.ndarray:
    """uint8 [H, W, C] of the dataset's shape."""
    image = open_image(content, name)
    channels = info.shape[2]
    if image.mode == "RGB" and channels == 1 and not config.channels:
        raise UserError(
            f"{name} is coloured, the first image is grey: set --config.data.channels "
            "to 1 or 3"
        )
    array = images.to_array(image, config.image_size, channels)
    if array.shape != info.shape:
        raise UserError(
            f"{name} is {array.shape[0]}x{array.shape[1]}, others "
            f"{info.shape[0]}x{info.shape[1]}: set --config.data.image_size to resize"
        )
    return array
