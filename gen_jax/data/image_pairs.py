"""Pairs of images for translation, in the layouts that pix2pix and CycleGAN use.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (2016):
aligned files hold A on the left and B on the right; or folders A and B hold images of
equal names, compared without their endings. Splits are folders train and test (or
another name of `listing.TESTS`): train/A and train/B, A/train and B/train, trainA and
trainB, or train with aligned images. Capitals do not matter. Without splits a tenth is
held out.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from gen_jax import console
from gen_jax.data import decoding, listing
from gen_jax.data.dataset import DataConfig, Dataset, Indices, Info
from gen_jax.data.encoded import (
    Record,
    Records,
    encoded_dataset,
    first_intact,
    fitted,
    open_image,
)
from gen_jax.data.registry import own_config
from gen_jax.data.source import Source
from gen_jax.errors import UserError, nearest

if TYPE_CHECKING:
    from PIL import Image

_KNOWN = (
    "A and B; train/A and train/B; A/train and B/train; trainA and trainB (and test in "
    "place of train for held-out pairs); or images with A on the left and B on the "
    "right, in the folder itself or in train and test"
)

_ALIGNED = "--config.data.layout=aligned"

# Folders that have a meaning, in lower case.
_FOLDERS = tuple(
    f"{split}{side}"
    for split in ("", *listing.TRAINS, *listing.TESTS)
    for side in ("", "a", "b")
)

# By direction: the place of the input in an aligned image, and its name.
_INPUT = {"a_to_b": (0, "left half, A"), "b_to_a": (1, "right half, B")}


@dataclasses.dataclass(frozen=True)
class PairsConfig(DataConfig):
    """Pairs of images.

    direction: which of A and B is the input x.
    layout: "aligned" if A and B are the halves of one file, "folders" if each has a
        folder; "auto" is replaced by the layout of the folder that is there, and takes
        aligned files only if their halves are square.
    """

    direction: Literal["a_to_b", "b_to_a"] = "a_to_b"
    layout: Literal["auto", "aligned", "folders"] = dataclasses.field(
        default="auto", metadata={"may_change_on_resume": True}
    )

    def for_data(self, info: Any) -> "PairsConfig":
        """Return these settings with the layout of the folder, "auto" without one."""
        if self.layout != "auto" or not self.path.is_dir():
            return self
        has_folders = bool(_pair_folders(self.path))
        return dataclasses.replace(self, layout="folders" if has_folders else "aligned")


@dataclasses.dataclass(frozen=True, eq=False)
class _Files:
    """Pairs in order, each as the paths of its images: (A and B,) or (A, B)."""

    paths: list[tuple[Path, ...]]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def sizes(self) -> list[int]:
        """Return the sizes of the pairs in bytes."""
        return [sum(listing.sizes(each)) for each in self.paths]

    def read(self, indices: Indices) -> list[Record]:
        return [Record(tuple(map(listing.read_file, self.paths[i]))) for i in indices]


class _Found(NamedTuple):
    """The pairs to train on; those to hold out, None without a folder of their own."""

    train: _Files
    test: _Files | None
    left_out: tuple[str, ...]


def describe(config: PairsConfig) -> Info:
    """Return the shapes of the first pair.

    The first image of each side decides between grey and RGB if config.channels is 0.

    Raises UserError if the layout is not known; if a partner is missing, or the first
    pair is not one, it names the file.
    """
    return _info(_find(config).train, config)


def load(config: PairsConfig) -> Dataset:
    """Load all pairs, decoded or streamed.

    Raises UserError that names the file. The reasons are a missing partner, an odd
    width of an aligned image, and a pair of two sizes.
    """
    train, test, left_out = _find(config)
    dataset = encoded_dataset(_info(train, config), config, train, test, _decode)
    return dataset._replace(left_out=left_out + dataset.left_out)


def _info(train: Records, config: PairsConfig) -> Info:
    def look(record: Record) -> Info:
        x, y = (
            decoding.to_array(side, config, config.channels).shape
            for side, _ in _sides(record, config)
        )
        return Info(x, 0, y)

    return first_intact(train, config, look)


def _decode(
    record: Record, info: Info, config: PairsConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, uint8 [H, W, C] and [H, W, C']."""
    shapes = info.shape, info.target_shape
    x, y = (
        fitted(image, name, shape, config)
        for (image, name), shape in zip(_sides(record, config), shapes, strict=True)
    )
    return x, y


def _sides(record: Record, config: PairsConfig) -> Sequence[tuple["Image.Image", str]]:
    """Return the input and the target, PIL images of one size, each with its name."""
    opened = [open_image(each, config) for each in record.images]
    first, last = record.images[0].name, record.images[-1].name
    if len(opened) == 1:
        [both] = opened
        if config.layout == "auto" and both.width != 2 * both.height:
            raise UserError(
                f"{first} is {both.height}x{both.width}, not twice as wide as it is "
                f"high: if its left half is A and its right half B, set {_ALIGNED}. "
                f"Known are {_KNOWN}"
            )
        a, b = _halves(both, first)
    else:
        a, b = opened
        if a.size != b.size:
            raise UserError(
                f"{last} is {b.height}x{b.width}, its partner {first} "
                f"{a.height}x{a.width}: the images of a pair must have one size"
            )
    sides = (a, first), (b, last)
    return sides if config.direction == "a_to_b" else sides[::-1]


def _halves(both: "Image.Image", name: str) -> tuple["Image.Image", "Image.Image"]:
    """Return A and B, the halves of an aligned PIL image."""
    width, height = both.size
    if width % 2:
        raise UserError(
            f"{name} is {width} pixels wide: an aligned pair, A left and B right, must "
            "have an even width"
        )
    half = width // 2
    return both.crop((0, 0, half, height)), both.crop((half, 0, width, height))


def read_inputs(
    path: str | Path, shape: tuple[int, ...], config: DataConfig
) -> np.ndarray:
    """Read the image at `path`, or all under a folder, as inputs [N, *shape].

    They are uint8, or float32 in [-1, 1] if the training data have a stated range.

    Each is fitted to `shape` as `config`, of the training data, crops. If the pairs of
    training lay in one file each, an image of twice the width of an input, or more, is
    such a pair: only its input half is read. A line on standard error says so.

    Raises UserError if there are no images, if one cannot be read, or if it is not
    known whether images of exactly twice the width are pairs.
    """
    path = Path(path).expanduser()
    if not path.is_file() and not path.is_dir():
        raise UserError(f"there is no image and no folder {path}")
    found = [path] if path.is_file() else [p for p, _ in listing.images_of(path).images]
    config = own_config(config)
    pairs = config.for_data(None) if isinstance(config, PairsConfig) else None
    side, half = _INPUT[pairs.direction if pairs else "a_to_b"]
    inputs, aligned = [], []
    for file in found:
        image = open_image(listing.read_file(file), config, "repair or remove it")
        if pairs and pairs.layout != "folders" and _is_double(image, shape):
            if pairs.layout == "auto":
                raise UserError(
                    f"{file} is twice as wide as an input, and the data of the run are "
                    "not there to tell whether such files are pairs: cut it"
                )
            aligned.append(file)
            image = _halves(image, str(file))[side]
        inputs.append(decoding.to_shape(image, shape, config))
    if aligned:
        console.tell(
            f"{len(aligned)} of {len(found)} images, such as {aligned[0]}, are twice "
            f"as wide as inputs: read as aligned pairs, of each the {half}"
        )
    return np.stack(inputs)


def _is_double(image: "Image.Image", shape: tuple[int, ...]) -> bool:
    """Return whether a PIL image is at least as wide as two of `shape` side by side."""
    height, width, _ = shape
    return image.width * height >= 2 * width * image.height


def _find(config: PairsConfig) -> _Found:
    """Return the pairs of a folder.

    Raises UserError if its layout is not known, or is not config.layout.
    """
    root, sides = config.path, _pair_folders(config.path)
    layout = "folders" if sides else "aligned"
    if config.layout not in ("auto", layout):
        raise UserError(f"{root} has the layout {layout}, not {config.layout}")
    parts: list[list[listing.Listing]]
    if sides:
        read = [folder for both in sides for folder in both]
        parts = [list(map(listing.images_of, both)) for both in sides]
        for each in itertools.chain.from_iterable(parts):
            listing.check_below(each)
        files = [_matched(*part) for part in parts]
    else:
        read = [folder for folder in listing.splits(root) if folder]
        parts = [[listing.images_of(folder)] for folder in read]
        files = [_aligned(config, part) for [part] in parts]
    left_out = listing.left_out([each for part in parts for each in part])
    left_out += listing.beside(root, read)
    return _Found(files[0], files[1] if files[1:] else None, left_out)


def _pair_folders(root: Path) -> list[tuple[Path, Path]]:
    """Return the folders A and B to train on, then those to hold out, if there are any.

    Raises UserError if a folder has no partner.
    """
    trains = (_two_folders(root, name) for name in listing.TRAINS)
    if train := next(filter(None, trains), None):
        tests = (_two_folders(root, name) for name in listing.TESTS)
        return [train, *itertools.islice(filter(None, tests), 1)]
    whole = _two_folders(root, "")
    return [whole] if whole else []


def _two_folders(root: Path, split: str) -> tuple[Path, Path] | None:
    """Return the folders A and B of a split, "" for none; None if there are no two."""
    folders = listing.subfolders(root, _FOLDERS)

    def inside(folder: str, name: str) -> Path | None:
        parent = folders.get(folder)
        return listing.subfolders(parent, _FOLDERS).get(name) if parent else None

    layouts = [("A and B", folders.get("a"), folders.get("b"))]
    if split:
        layouts = [
            (f"{split}/A and {split}/B", inside(split, "a"), inside(split, "b")),
            (f"A/{split} and B/{split}", inside("a", split), inside("b", split)),
            (
                f"{split}A and {split}B",
                folders.get(f"{split}a"),
                folders.get(f"{split}b"),
            ),
        ]
    for name, a, b in layouts:
        if a and b:
            if a.samefile(b):
                raise UserError(f"{a} and {b} are one folder, not the sides of pairs")
            return a, b
        if present := a or b:
            raise UserError(
                f"{present} has no partner folder (pairs have {name} in {root})"
            )
    return None


def _matched(a: listing.Listing, b: listing.Listing) -> _Files:
    """Return the pairs of images in two folders that have equal names."""
    sides = _by_name(a), _by_name(b)
    for mine, others, other in (*sides, b), (*sides[::-1], a):
        for name, path in mine.items():
            if name not in others:
                near = nearest(name, {key: str(file) for key, file in others.items()})
                raise UserError(
                    f"{path} has no partner of that name in {other.root}.{near}"
                )
    return _Files([(path, sides[1][name]) for name, path in sides[0].items()])


def _by_name(folder: listing.Listing) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, _ in folder.images:
        name = str(path.relative_to(folder.root).with_suffix(""))
        if name in found:
            raise UserError(
                f"{path} and {found[name].name} have the same name: remove one of them"
            )
        found[name] = path
    return found


def _aligned(config: PairsConfig, folder: listing.Listing) -> _Files:
    """Return the images of a folder as aligned pairs, if it has no other layout."""
    root, images = config.path, folder.images
    if deeper := sorted({name for _, name in images if name}):
        raise UserError(
            f"{root} is not a known layout of pairs: {folder.root} holds the folders "
            f"{', '.join(deeper[:8])} with images. Known are {_KNOWN}"
        )
    sides = {path.stem[-1:].lower(): path for path, _ in images}
    if config.layout == "auto" and sides.keys() == {"a", "b"}:
        raise UserError(
            f"{folder.root} holds files whose names end in A and in B, such as "
            f"{sides['a'].name} and {sides['b'].name}: move them into folders A and B "
            f"under equal names, or set {_ALIGNED} if each file holds both sides"
        )
    return _Files([(path,) for path, _ in images])


SOURCE = Source(describe, load, where="DIR", config=PairsConfig)
