"""Sources of encoded pictures: decoded once into memory, or on reading.

What does not fit in memory is read again at each epoch (`order.batches` reads ahead);
both ways give the same examples at the same indices.
"""

import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from gen_jax.data import decoding
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
    digest_of,
    held_out,
)
from gen_jax.errors import UserError

_CHUNK = 64  # records that a thread reads at once
_SKIP = "to leave such images out, set --config.data.skip_broken=True"

_T = TypeVar("_T")


class Picture(NamedTuple):
    """An encoded picture, and what to call it in an error message."""

    content: bytes
    name: str


class Record(NamedTuple):
    """An example as it lies in its files: one picture, or the two of a pair."""

    pictures: tuple[Picture, ...]
    label: int = -1  # -1 for none


class Records(Protocol):
    """Encoded examples by index; reading must be thread-safe."""

    def __len__(self) -> int:
        """N."""

    def read(self, indices: Sequence[int]) -> list[Record]:
        """The records at `indices`."""


# (record, info, config) -> x uint8 of info.shape, and y: a label, or an image
# uint8 of info.target_shape. Raises UserError naming the record.
Decode = Callable[[Record, Info, DataConfig], tuple[np.ndarray, int | np.ndarray]]


class BrokenImageError(UserError):
    """A picture that cannot be decoded."""


def decode_picture(
    record: Record, info: Info, config: DataConfig
) -> tuple[np.ndarray, int]:
    """The picture of a record, uint8 [H, W, C], and its label."""
    [picture] = record.pictures
    image = open_picture(picture)
    return fitted(image, picture.name, info.shape, config), record.label


def encoded_dataset(
    info: Info,
    config: DataConfig,
    train: Records,
    test: Records | None = None,
    decode: Decode = decode_picture,
) -> Dataset:
    """The dataset of these records; `test` None holds out a tenth of `train`.

    It is decoded at once if all of it fits in memory_gib, else on reading. A tenth is
    chosen by the encoded bytes, which takes one pass over them.

    Raises UserError, naming the record, where a picture is broken or of another shape.
    """
    records = [train] if test is None else [train, test]
    pixels = sum(np.prod(s, dtype=float) for s in (info.shape, info.target_shape) if s)
    size = sum(len(r) for r in records) * pixels
    in_memory = bool(size <= config.memory_gib * 2**30)
    if test is not None:
        opened = [
            _open(r, info, config, decode, in_memory, needs_digests=False)
            for r in records
        ]
        splits = [Subset(each.split, each.intact) for each in opened]
        if min(len(split) for split in splits) < 1:
            raise UserError(f"{config.spec}: a split holds no images")
        return Dataset(info, *splits, digest_of(x for o in opened for x in o.seen))
    everything = _open(train, info, config, decode, in_memory, needs_digests=True)
    held = held_out(everything.digests[everything.intact])
    return Dataset(
        info,
        Subset(everything.split, everything.intact[~held]),
        Subset(everything.split, everything.intact[held]),
        digest_of(everything.seen),
    )


def first_shape(records: Records, config: DataConfig) -> tuple[int, int, int]:
    """(H, W, C) after resizing, by the first picture that can be decoded."""

    def shape(record: Record) -> tuple[int, int, int]:
        image = open_picture(record.pictures[0])
        return decoding.to_array(image, config.image_size, config.channels).shape

    return first_intact(records, config, shape)


def first_intact(
    records: Records, config: DataConfig, look: Callable[[Record], _T]
) -> _T:
    """What `look` makes of the first record that is not broken."""
    for index in range(len(records)):
        [record] = records.read([index])
        try:
            return look(record)
        except BrokenImageError:
            if not config.skip_broken:
                raise
    raise UserError(f"{config.spec}: none of {len(records)} images can be decoded")


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Records that are decoded on reading."""

    records: Records
    info: Info
    config: DataConfig
    decode: Decode
    in_memory = False

    def __len__(self) -> int:
        """N."""
        return len(self.records)

    def read(self, indices: Indices) -> Batch:
        """The examples at `indices`, decoded.

        Raises UserError, naming the record, where a picture is broken.
        """
        indices = [int(i) for i in indices]
        x, y = _room(len(indices), self.info)
        for place, record in enumerate(self.records.read(indices)):
            x[place], y[place] = self.decode(record, self.info, self.config)
        return {"x": x, "y": _checked(y, self.info, self.config)}


class _Opened(NamedTuple):
    split: Split
    intact: np.ndarray  # int64: the indices of pictures that can be decoded
    digests: np.ndarray  # uint64 [N]; without a pass over all, of a sample, others 0
    labels: np.ndarray  # int64 [N], of the same records

    @property
    def seen(self) -> tuple[np.ndarray, ...]:
        """What tells these records from others."""
        return self.digests, self.labels


def _open(
    records, info, config, decode: Decode, in_memory: bool, needs_digests: bool
) -> _Opened:
    """A split of all the records, after one pass over them if one is needed."""
    count = len(records)
    x, y = _room(count if in_memory else 0, info)
    digests, labels = np.zeros(count, np.uint64), np.zeros(count, np.int64)
    broken = np.zeros(count, bool)

    def noted(indices: Sequence[int]) -> Iterator[tuple[int, Record]]:
        for i, record in zip(indices, records.read(indices), strict=True):
            digests[i] = digest(b"".join(p.content for p in record.pictures))
            labels[i] = record.label
            yield i, record

    def examine(start: int) -> None:
        for i, record in noted(range(start, min(start + _CHUNK, count))):
            if not (in_memory or config.skip_broken):
                continue
            try:
                example = decode(record, info, config)
            except BrokenImageError:
                if not config.skip_broken:
                    raise
                broken[i] = True
            else:
                if in_memory:
                    x[i], y[i] = example

    # Threads that decode tiny pictures spend their time waiting for each other.
    tiny = not config.image_size and info.shape[0] * info.shape[1] < 64 * 64
    if in_memory or needs_digests or config.skip_broken:
        with ThreadPoolExecutor(1 if tiny else os.cpu_count()) as pool:
            for _ in pool.map(examine, range(0, count, _CHUNK)):
                pass
    else:
        list(noted(np.linspace(0, count - 1, min(count, _CHUNK), dtype=np.int64)))
    if broken.any():
        [first] = records.read([int(np.argmax(broken))])
        print(
            f"{config.spec}: left out {broken.sum()} broken images of {count}, such as "
            f"{' and '.join(picture.name for picture in first.pictures)}",
            file=sys.stderr,
        )
    split = StreamedSplit(records, info, config, decode)
    if in_memory:
        split = MemorySplit(x, _checked(y, info, config))
    return _Opened(split, np.flatnonzero(~broken), digests, labels)


def _room(count: int, info: Info) -> tuple[np.ndarray, np.ndarray]:
    """Arrays for x and y of so many examples, no labels written yet."""
    x = np.empty((count, *info.shape), np.uint8)
    if info.target_shape:
        return x, np.empty((count, *info.target_shape), np.uint8)
    return x, np.full(count, -1, np.int64)


def _checked(y: np.ndarray, info: Info, config: DataConfig) -> np.ndarray:
    if info.target_shape:
        return y
    return checked_labels(y, info.num_classes, config.spec)


def open_picture(picture: Picture, way_out: str = _SKIP):
    """An encoded picture as a PIL image of mode L or RGB.

    Raises BrokenImageError naming it, and the user's way out.
    """
    try:
        return decoding.open_image(picture.content)
    except Exception as error:  # on damaged files decoders raise whatever they meet
        raise BrokenImageError(
            f"{picture.name} is broken or truncated ({error}); {way_out}"
        ) from error


def fitted(image, name: str, shape: tuple[int, ...], config: DataConfig) -> np.ndarray:
    """A PIL image of mode L or RGB as uint8 of `shape` (H, W, C), resized if asked to.

    Raises UserError, naming it, where it is of another size, or coloured among greys.
    """
    channels = shape[2]
    if image.mode == "RGB" and channels == 1 and not config.channels:
        raise UserError(
            f"{name} is coloured, the first image is grey: set --config.data.channels "
            "to 1 or 3"
        )
    array = decoding.to_array(image, config.image_size, channels)
    if array.shape != shape:
        raise UserError(
            f"{name} is {array.shape[0]}x{array.shape[1]}, others "
            f"{shape[0]}x{shape[1]}: set --config.data.image_size to resize"
        )
    return array
