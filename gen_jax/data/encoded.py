"""Datasets from encoded images: decoded once into memory, or on reading.

A dataset that does not fit in memory is read again in each epoch (`order.batches` reads
ahead). Both ways give the same examples at the same indices.
"""

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

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
    digest,
    digest_of,
    divided,
)
from gen_jax.data.labels import checked_labels
from gen_jax.errors import UserError, one_line

if TYPE_CHECKING:
    from PIL import Image

_CHUNK = 64  # records that a thread reads at once
_SKIP = "to leave such images out, set --config.data.skip_broken=True"
_REPLACE = (
    "to read the next image in its place, run the training again with "
    "--config.data.replace_broken=True"
)

_PUT_BACK = (
    "it has changed since the training was started: put it back as it was, and run the "
    "training again"
)

_T = TypeVar("_T")


class EncodedImage(NamedTuple):
    """An encoded image, and its name in error messages."""

    content: bytes
    name: str


class Record(NamedTuple):
    """A stored example: one image, or the two of a pair; label -1 for none."""

    images: tuple[EncodedImage, ...]
    label: int = -1


class Records(Protocol):
    """Encoded examples by index; reading must be thread-safe."""

    def __len__(self) -> int:
        """Return N, the number of records."""

    def read(self, indices: Indices) -> list[Record]:
        """Return the records at `indices`."""


# (record, info, the source's config) -> x uint8 of info.shape, and y: a label, or an
# image uint8 of info.target_shape. Raises UserError naming the record.
Decode = Callable[[Record, Info, Any], tuple[np.ndarray, int | np.ndarray]]


class BrokenImageError(UserError):
    """An image that cannot be decoded: its fault, and the remedy for the user.

    An image that is whole, but not allowed, is another error: it shows a wrong setting.
    """

    def __init__(self, fault: str, remedy: str):
        super().__init__(f"{fault}; {remedy}")
        self.fault = fault


def decode_image(
    record: Record, info: Info, config: DataConfig
) -> tuple[np.ndarray, int]:
    """Return the image of a record, uint8 [H, W, C], and its label."""
    [encoded] = record.images
    image = open_image(encoded, config)
    return fitted(image, encoded.name, info.shape, config), record.label


def encoded_dataset(
    info: Info,
    config: DataConfig,
    train: Records,
    test: Records | None = None,
    decode: Decode = decode_image,
) -> Dataset:
    """Return the dataset of these records, decoded now if it fits in memory_gib.

    test: None holds out a tenth of `train`, chosen by the encoded bytes in one pass.

    Raises UserError that names the record if an image is broken or of another shape.
    """
    records = [train] if test is None else [train, test]
    pixels = sum(math.prod(shape) for shape in (info.shape, info.target_shape) if shape)
    size = sum(map(len, records)) * pixels * np.dtype(config.dtype).itemsize
    in_memory = size <= config.memory_gib * 2**30
    opened = [
        _open(each, info, config, decode, in_memory, needs_digests=test is None)
        for each in records
    ]
    seen = digest_of(x for each in opened for x in (each.digests, each.labels))
    if test is None:
        [only] = opened
        own = only.own
        digests = only.digests[own]
        dataset = divided(info, only.split, own, digests, seen, config.spec)
    elif all(len(each.own) for each in opened):
        learned, held = (Subset(each.split, each.own) for each in opened)
        dataset = Dataset(info, learned, held, seen, sizes=_sizes(records, opened))
    else:
        raise UserError(f"{config.spec}: a split holds no images")
    if config.replace_broken:
        dataset = dataset._replace(
            train=_intact(dataset.train, opened[0].broken, repeats=True),
            test=_intact(dataset.test, opened[-1].broken, repeats=False),
        )
    return dataset._replace(left_out=_left_out(records, opened, config))


def _sizes(records: list[Records], opened: "list[_Opened]") -> str:
    """Return a hash of the sizes and labels of all records; "" if not known."""
    if not any(each.sizes.any() for each in opened):
        return ""
    labels = [np.asarray(getattr(each, "labels", ()), np.int64) for each in records]
    return digest_of([*(each.sizes for each in opened), *labels])


def _intact(subset: Split, broken: np.ndarray, repeats: bool) -> Subset:
    """Return a subset without the broken examples.

    broken: bool [N], of all records of the split that the subset is of. repeats: put
        the next intact example in the place of each, so that the number stays. A
        measure would count it twice.
    """
    assert isinstance(subset, Subset)
    intact = np.flatnonzero(~broken[subset.indices])
    if not len(intact):
        raise UserError("a split holds no image that can be decoded")
    if repeats:
        places = np.searchsorted(intact, np.arange(len(subset))) % len(intact)
        intact = intact[places]
    return Subset(subset.split, subset.indices[intact])


def _left_out(
    records: list[Records], opened: "list[_Opened]", config: DataConfig
) -> tuple[str, ...]:
    """Return texts that name broken images, and parts of images that are not kept."""
    texts = []
    for each, found in zip(records, opened, strict=True):
        if count := int(found.broken.sum()):
            [record] = each.read([int(np.argmax(found.broken))])
            names = " and ".join(image.name for image in record.images)
            instead = ""
            if config.replace_broken and each is records[0]:
                instead = ": in training the next one is read instead"
            texts.append(
                f"{count} of {len(each)} images, broken or truncated, such as "
                f"{names}{instead}"
            )
        for part, names_by_index in sorted(found.unread.items()):
            texts.append(
                f"{part}, of {len(names_by_index)} of {found.looked_at} images, such "
                f"as {names_by_index[min(names_by_index)]}"
            )
    return tuple(texts)


def first_shape(records: Records, config: DataConfig) -> tuple[int, ...]:
    """Return (H, W, C) after resizing, by the first image that can be decoded."""

    def shape(record: Record) -> tuple[int, ...]:
        image = open_image(record.images[0], config)
        return decoding.to_array(image, config, config.channels).shape

    return first_intact(records, config, shape)


def first_intact(
    records: Records, config: DataConfig, look: Callable[[Record], _T]
) -> _T:
    """Return `look(record)` of the first record that is not broken."""
    fault = ""
    for index in range(len(records)):
        [record] = records.read([index])
        try:
            return look(record)
        except BrokenImageError as error:
            if not (config.skip_broken or config.replace_broken):
                raise
            fault = error.fault
    raise UserError(
        f"{config.spec}: none of {len(records)} images can be decoded: {fault}"
    )


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Records that are decoded on reading.

    digests, sizes: uint64 [N] and int64 [N] in bytes, of the records when the dataset
    was opened; 0 if not known.
    """

    records: Records
    info: Info
    config: DataConfig
    decode: Decode
    digests: np.ndarray
    sizes: np.ndarray
    in_memory = False

    def __len__(self) -> int:
        return len(self.records)

    def read(self, indices: Indices) -> Batch:
        """Return the examples at `indices`, [B, ...], decoded.

        Raises UserError that names the record if an image is broken.
        """
        x, y = _room(len(indices), self.info, self.config)
        for place, record in enumerate(self.records.read(indices)):
            try:
                x[place], y[place] = self.decode(record, self.info, self.config)
            except BrokenImageError as error:
                digest, size = self.digests[indices[place]], self.sizes[indices[place]]
                same = digest in (0, _digest(record)) and size in (0, _size(record))
                remedy = _REPLACE if same else _PUT_BACK
                raise BrokenImageError(error.fault, remedy) from error
        return {"x": x, "y": _checked(y, self.info, self.config)}


class _Opened(NamedTuple):
    """A split of N records, and the results of one pass over them.

    own: int64, the indices of the dataset's records: all but those that were skipped.
    broken: bool [N], of those that were decoded and are broken. digests, uint64 [N],
    and labels, int64 [N], distinguish these records from others. They cover a sample
    of the records if no pass was needed, else all; other entries are 0. Then `sizes`,
    int64 [N], are those of all, if the records know them.
    unread: part of an image that is not kept -> {index: name} of the images that have
    it, of the `looked_at` records that were read.
    """

    split: Split
    own: np.ndarray
    broken: np.ndarray
    digests: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    unread: dict[str, dict[int, str]]
    looked_at: int


def _open(
    records: Records,
    info: Info,
    config: DataConfig,
    decode: Decode,
    in_memory: bool,
    needs_digests: bool,
) -> _Opened:
    """Return a split of all records, after one pass over them if one is needed."""
    count = len(records)
    x, y = _room(count if in_memory else 0, info, config)
    digests, broken = np.zeros(count, np.uint64), np.zeros(count, bool)
    labels, sizes = np.zeros((2, count), np.int64)
    tolerates = config.skip_broken or config.replace_broken
    decodes = in_memory or tolerates
    unread: dict[str, dict[int, str]] = {}

    def noted(indices: Indices) -> Iterator[tuple[int, Record]]:
        for i, record in zip(indices, records.read(indices), strict=True):
            digests[i] = _digest(record)
            labels[i] = record.label
            for image in record.images:
                with contextlib.suppress(Exception):  # of a broken one
                    for part in decoding.unread_parts(image.content, config):
                        unread.setdefault(part, {}).setdefault(i, image.name)
            yield i, record

    def examine(start: int) -> None:
        for i, record in noted(range(start, min(start + _CHUNK, count))):
            if not decodes:
                continue
            try:
                example = decode(record, info, config)
                if in_memory:
                    x[i], y[i] = example
            except BrokenImageError:
                if not tolerates:
                    raise
                broken[i] = True

    # Threads that decode tiny images spend their time waiting for each other.
    tiny = not config.image_size and info.shape[0] * info.shape[1] < 64 * 64
    sampled = np.linspace(0, count - 1, min(count, _CHUNK), dtype=np.int64)
    needs_all = in_memory or needs_digests or config.skip_broken
    if reads_all := needs_all or decodes:
        with ThreadPoolExecutor(1 if tiny else os.cpu_count()) as pool:
            for _ in pool.map(examine, range(0, count, _CHUNK)):
                pass
    else:
        list(noted(sampled))
    if not needs_all:  # the digest does not depend on whether broken ones are replaced
        sizes += getattr(records, "sizes", 0)
        unsampled = np.setdiff1d(np.arange(count), sampled)
        digests[unsampled], labels[unsampled] = 0, 0
    split: Split = StreamedSplit(records, info, config, decode, digests, sizes)
    if in_memory:
        split = MemorySplit(x, _checked(y, info, config))
    own = np.flatnonzero(~broken) if config.skip_broken else np.arange(count)
    looked_at = count if reads_all else len(sampled)
    return _Opened(split, own, broken, digests, labels, sizes, unread, looked_at)


def _digest(record: Record) -> int:
    return digest(b"".join(each.content for each in record.images))


def _size(record: Record) -> int:
    return sum(len(each.content) for each in record.images)


def _room(count: int, info: Info, config: DataConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return arrays for x and y of `count` examples, with labels -1."""
    x = np.empty((count, *info.shape), config.dtype)
    if info.target_shape:
        return x, np.empty((count, *info.target_shape), config.dtype)
    return x, np.full(count, -1, np.int64)


def _checked(y: np.ndarray, info: Info, config: DataConfig) -> np.ndarray:
    return y if info.target_shape else checked_labels(y, info.num_classes, config.spec)


def open_image(
    encoded: EncodedImage, config: DataConfig, remedy: str = _SKIP
) -> "Image.Image":
    """Return an encoded image as a PIL image of mode L, RGB or F.

    Raises BrokenImageError with its name, and the remedy for the user; UserError if
    the image is whole and `config` does not allow it.
    """
    try:
        return decoding.open_image(encoded.content, config)
    except decoding.UnsuitedImageError as error:
        own = error.remedy if remedy == _SKIP else remedy
        raise UserError(f"{encoded.name} {error}; {own}") from error
    except Exception as error:  # decoders raise all kinds of errors on damaged files
        reason = one_line(error)
        raise BrokenImageError(
            f"{encoded.name} is broken or truncated ({reason})", remedy
        ) from error


def fitted(
    image: "Image.Image", name: str, shape: tuple[int, ...], config: DataConfig
) -> np.ndarray:
    """Return a PIL image as an array of `shape`, [H, W, C], as `to_array` does.

    Raises UserError with its name if its size differs, or it is RGB and `shape` grey.
    """
    channels = shape[2]
    if image.mode == "RGB" and channels == 1 and not config.channels:
        raise UserError(
            f"{name} is coloured, the first image is grey: set --config.data.channels "
            "to 1 or 3"
        )
    array = decoding.to_array(image, config, channels)
    if array.shape != shape:
        raise UserError(
            f"{name} is {array.shape[0]}x{array.shape[1]}, others "
            f"{shape[0]}x{shape[1]}: set --config.data.image_size to resize"
        )
    return array
