"""Pairs of images for translation, in the layouts that pix2pix and CycleGAN use.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (2016):
aligned files hold A on the left and B on the right; or folders A and B hold images of
equal names, compared without their endings. Splits are folders train and test (or val):
train/A and train/B, A/train and B/train, trainA and trainB, or train with aligned
images. Without them a tenth is held out.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.dataset import DataConfig, Dataset, Indices, Info
from gen_jax.data.encoded import (
    Record,
    Records,
    encoded_dataset,
    first_intact,
    fitted,
    open_image,
)
from gen_jax.data.image_folder import TESTS, find_images, read_file, splits
from gen_jax.data.registry import own_config
from gen_jax.data.source import Source
from gen_jax.errors import UserError, nearest

if TYPE_CHECKING:
    from PIL import Image

# By direction: the place of the input in an aligned image, and its name.
_INPUT = {"a_to_b": (0, "left half, A"), "b_to_a": (1, "right half, B")}


@dataclasses.dataclass(frozen=True)
class PairsConfig(DataConfig):
    """Pairs of images. direction: which of A and B is the input x."""

    direction: Literal["a_to_b", "b_to_a"] = "a_to_b"


@dataclasses.dataclass(frozen=True, eq=False)
class _Files:
    """Pairs in order, each as the paths of its images: (A and B,) or (A, B)."""

    paths: list[tuple[Path, ...]]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Indices) -> list[Record]:
        return [Record(tuple(map(read_file, self.paths[i]))) for i in indices]


def describe(config: PairsConfig) -> Info:
    """Return the shapes of the first pair.

    The first image of each side decides between grey and RGB if config.channels is 0.

    Raises UserError that names the file if a partner is missing, or the first pair is
    not one.
    """
    return _info(_find(config.path)[0], config)


def load(config: PairsConfig) -> Dataset:
    """Load all pairs, decoded or streamed.

    Raises UserError that names the file. The reasons are a missing partner, an odd
    width of an aligned image, and a pair of two sizes.
    """
    train, test = _find(config.path)
    return encoded_dataset(_info(train, config), config, train, test, _decode)


def _info(train: Records, config: PairsConfig) -> Info:
    def look(record: Record) -> Info:
        x, y = (
            decoding.to_array(side, config.image_size, config.channels).shape
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
    opened = [open_image(each) for each in record.images]
    first, last = record.images[0].name, record.images[-1].name
    if len(opened) == 1:
        a, b = _halves(opened[0], first)
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
    """Read the image at `path`, or all under a folder, as inputs: uint8 [N, *shape].

    Each is cropped to the proportions of `shape` and resized to it. If `config`, of the
    training data, is of pairs, an image of exactly twice the width counts as an aligned
    pair: only its input half is read, and a line on standard error says so.

    Raises UserError if there are no images, or one cannot be read.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"there is no image and no folder {path}")
    files = [path] if path.is_file() else [file for file, _ in find_images(path)]
    config = own_config(config)
    direction = config.direction if isinstance(config, PairsConfig) else None
    side, half = _INPUT[direction or "a_to_b"]
    inputs, aligned = [], []
    for file in files:
        image = open_image(read_file(file), "repair or remove it")
        if direction and _is_double(image, shape):
            aligned.append(file)
            image = _halves(image, str(file))[side]
        inputs.append(decoding.to_shape(image, shape))
    if aligned:
        print(
            f"{len(aligned)} of {len(files)} images, such as {aligned[0]}, are twice "
            f"as wide as inputs: read as aligned pairs, of each the {half}",
            file=sys.stderr,
        )
    return np.stack(inputs)


def _is_double(image: "Image.Image", shape: tuple[int, ...]) -> bool:
    """Return whether a PIL image has the proportions of two of `shape` side by side."""
    height, width, _ = shape
    return image.width * height == 2 * width * image.height


def _find(root: Path) -> tuple[Records, Records | None]:
    """Return the pairs to train on; and those to hold out, None without a folder."""
    if folders := _two_folders(root, "train"):
        tests = [found for name in TESTS if (found := _two_folders(root, name))]
        return _matched(*folders), _matched(*tests[0]) if tests else None
    if folders := _two_folders(root, ""):
        return _matched(*folders), None
    train, test = splits(root)
    return _aligned(train), _aligned(test) if test else None


def _two_folders(root: Path, split: str) -> tuple[Path, Path] | None:
    """Return the folders A and B of a split, None if it has no two folders."""
    layouts = [(root / split / "A", root / split / "B")]
    if split:
        layouts.append((root / "A" / split, root / "B" / split))
        layouts.append((root / f"{split}A", root / f"{split}B"))
    for a, b in layouts:
        if a.is_dir() != b.is_dir():
            present, missing = (a, b) if a.is_dir() else (b, a)
            raise UserError(f"{present} has no partner folder {missing}")
        if a.is_dir():
            return a, b
    return None


def _matched(a: Path, b: Path) -> _Files:
    """Return the pairs of images in two folders that have equal names."""
    sides = _by_name(a), _by_name(b)
    for mine, others, other in (*sides, b), (*sides[::-1], a):
        for name, path in mine.items():
            if name not in others:
                near = nearest(name, {key: str(file) for key, file in others.items()})
                raise UserError(f"{path} has no partner of that name in {other}.{near}")
    return _Files([(path, sides[1][name]) for name, path in sides[0].items()])


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, _ in find_images(folder):
        name = str(path.relative_to(folder).with_suffix(""))
        if name in found:
            raise UserError(
                f"{path} and {found[name].name} have the same name: remove one of them"
            )
        found[name] = path
    return found


def _aligned(folder: Path) -> _Files:
    return _Files([(path,) for path, _ in find_images(folder)])


SOURCE = Source(describe, load, where="DIR", config=PairsConfig)
