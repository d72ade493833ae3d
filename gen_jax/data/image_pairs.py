"""Pairs of pictures, of which one is to become the other.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks (2016):
aligned files hold A on the left and B on the right; or folders A and B hold pictures of
equal names, in any of the layouts that pix2pix and CycleGAN use.
"""

import dataclasses
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.dataset import DataConfig, Dataset, Info, Source
from gen_jax.data.encoded import (
    Record,
    Records,
    encoded_dataset,
    first_intact,
    fitted,
    open_picture,
)
from gen_jax.data.image_folder import TESTS, find_images, picture, splits
from gen_jax.errors import UserError

# Which half of an aligned picture is the input, and what to call it.
_INPUT = {"a_to_b": (0, "left half, A"), "b_to_a": (1, "right half, B")}


@dataclasses.dataclass(frozen=True, eq=False)
class _Files:
    """Pairs by the paths of their pictures, in order: (A and B,) or (A, B)."""

    paths: list[tuple[Path, ...]]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> list[Record]:
        return [Record(tuple(map(picture, self.paths[i]))) for i in indices]


def open_pairs(config: DataConfig, path: str) -> Source:
    """Pairs under a folder: aligned pictures, or folders A and B with equal names.

    Splits are folders train and test (or val): train/A and train/B, A/train and
    B/train, trainA and trainB, or train with aligned pictures. Without them a tenth is
    held out. Names are compared without their endings. config.direction says which of
    A and B is x; each side's first picture decides between grey and RGB, if
    config.channels does not.

    Raises UserError naming the file where a partner is missing, an aligned picture's
    width is odd, or a pair's two pictures differ in size.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"pairs:{path}: there is no such folder")
    train, test = _find(root)

    def info_of(record: Record) -> Info:
        x, y = (
            decoding.to_array(side, config.image_size, config.channels).shape
            for side, _ in _sides(record, config)
        )
        return Info(x, 0, y)

    info = first_intact(train, config, info_of)

    def load() -> Dataset:
        return encoded_dataset(info, config, train, test, _decode)

    return Source(info, load)


def _decode(
    record: Record, info: Info, config: DataConfig
) -> tuple[np.ndarray, np.ndarray]:
    """x and y, uint8 [H, W, C] and [H, W, C']."""
    shapes = info.shape, info.target_shape
    x, y = (
        fitted(*side, shape, config)
        for side, shape in zip(_sides(record, config), shapes, strict=True)
    )
    return x, y


def _sides(record: Record, config: DataConfig):
    """The input and the target, PIL images of one size, each with its name."""
    opened = [open_picture(each) for each in record.pictures]
    first, last = record.pictures[0].name, record.pictures[-1].name
    if len(opened) == 1:
        a, b = _halves(opened[0], first)
    else:
        a, b = opened
        if a.size != b.size:
            raise UserError(
                f"{last} is {b.height}x{b.width}, its partner {first} "
                f"{a.height}x{a.width}: a pair's pictures need one size"
            )
    sides = (a, first), (b, last)
    return sides if config.direction == "a_to_b" else sides[::-1]


def _halves(both, name: str):
    """A and B of an aligned picture, a PIL image."""
    width, height = both.size
    if width % 2:
        raise UserError(
            f"{name} is {width} pixels wide: an aligned pair, A left and B right, has "
            "an even width"
        )
    half = width // 2
    return both.crop((0, 0, half, height)), both.crop((half, 0, width, height))


def read_pictures(
    path: str | Path, shape: tuple[int, int, int], config: DataConfig
) -> np.ndarray:
    """The picture at `path`, or all under a folder, as inputs: uint8 [N, *shape].

    Each is cropped to the shape's proportions and resized to it. Where `config`, of the
    data that the model was trained on, is of pairs, one of exactly twice the width is
    taken for an aligned pair: its input side is what is read, and a line on standard
    error says so.

    Raises UserError where there is none, or one cannot be read.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"there is no picture and no folder {path}")
    files = [path] if path.is_file() else [file for file, _ in find_images(path)]
    of_pairs, [side, half] = config.spec.startswith("pairs:"), _INPUT[config.direction]
    inputs, aligned = [], []
    for file in files:
        image = open_picture(picture(file), "repair it, or take it away")
        if of_pairs and _is_double(image, shape):
            aligned.append(file)
            image = _halves(image, str(file))[side]
        inputs.append(decoding.to_shape(image, shape))
    if aligned:
        print(
            f"{len(aligned)} of {len(files)} pictures, such as {aligned[0]}, are twice "
            f"as wide as inputs are: taken for aligned pairs, of each its {half}",
            file=sys.stderr,
        )
    return np.stack(inputs)


def _is_double(image, shape: tuple[int, int, int]) -> bool:
    """Whether a PIL image has the proportions of two of `shape` beside each other."""
    height, width, _ = shape
    return image.width * height == 2 * width * image.height


def _find(root: Path) -> tuple[Records, Records | None]:
    """The pairs to train on, and to hold out where those have a folder of their own."""
    if folders := _two_folders(root, "train"):
        tests = [found for name in TESTS if (found := _two_folders(root, name))]
        return _matched(*folders), _matched(*tests[0]) if tests else None
    if folders := _two_folders(root, ""):
        return _matched(*folders), None
    train, test = splits(root)
    return _aligned(train), _aligned(test) if test else None


def _two_folders(root: Path, split: str) -> tuple[Path, Path] | None:
    """Where a split's A and B lie apart from each other."""
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
    """The pairs of pictures in two folders that have equal names."""
    sides = _by_name(a), _by_name(b)
    for mine, others, other in (*sides, b), (*sides[::-1], a):
        for name, path in mine.items():
            if name not in others:
                near = difflib.get_close_matches(name, others, 1)
                hint = f"; the nearest is {others[near[0]]}" if near else ""
                raise UserError(f"{path} has no partner of its name in {other}{hint}")
    return _Files([(path, sides[1][name]) for name, path in sides[0].items()])


def _by_name(folder: Path) -> dict[str, Path]:
    found = {}
    for path, _ in find_images(folder):
        name = str(path.relative_to(folder).with_suffix(""))
        if name in found:
            raise UserError(f"{path} and {found[name].name} have one name: keep one")
        found[name] = path
    return found


def _aligned(folder: Path) -> _Files:
    return _Files([(path,) for path, _ in find_images(folder)])
