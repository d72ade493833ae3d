"""A folder of images, of any format that Pillow reads.

The first-level subfolders are the classes, in natural order; without subfolders there
are no labels. Folders `train` and `test` (or another name of `listing.TESTS`), in
capitals or not, hold two such folders, whatever lies next to them. Otherwise a tenth is
held out. Splits deeper in the folder are refused.
"""

import dataclasses
from pathlib import Path

from gen_jax.data import listing
from gen_jax.data.dataset import DataConfig, Dataset, Indices, Info
from gen_jax.data.encoded import Record, encoded_dataset, first_shape
from gen_jax.data.labels import natural
from gen_jax.data.source import Source
from gen_jax.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class _Files:
    """Images as files, in the order of their paths."""

    paths: list[Path]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def sizes(self) -> list[int]:
        """Return the sizes of the files in bytes, without reading them."""
        return listing.sizes(self.paths)

    def read(self, indices: Indices) -> list[Record]:
        return [
            Record((listing.read_file(self.paths[i]),), self.labels[i]) for i in indices
        ]


def describe(config: DataConfig) -> Info:
    """Return the shape of the first image, and the class names from the subfolders.

    The first image decides between grey and RGB if config.channels is 0.

    Raises UserError if there is no image, a class only in `test`, or folders that look
    like splits and are not.
    """
    return _found(config)[0]


def load(config: DataConfig) -> Dataset:
    """Load all images, decoded or streamed. Raises UserError as `describe`."""
    info, train, test, left_out = _found(config)
    dataset = encoded_dataset(info, config, train, test)
    return dataset._replace(left_out=left_out + dataset.left_out)


def _found(config: DataConfig) -> tuple[Info, _Files, _Files | None, tuple[str, ...]]:
    """Return the description, the images of both splits, and what is left out."""
    root = config.path
    learned, held = listing.splits(root)
    found = [listing.images_of(folder) for folder in (learned, held) if folder]
    for each in found:
        listing.check_below(each)
    classes = tuple(sorted({name for _, name in found[0].images if name}, key=natural))
    train, *test = (_labelled(each.images, classes) for each in found)
    left_out = listing.left_out(found) + listing.beside(root, (learned, held))
    left_out += _notes(found[0], classes)
    info = Info(first_shape(train, config), len(classes), class_names=classes)
    return info, train, test[0] if test else None, left_out


def _notes(found: listing.Listing, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return texts on classes that may be meant as something else."""
    if len(classes) > 1:
        return tuple(
            f"a split {name}: next to other classes it is read as a class"
            for name in classes
            if name.lower() in (*listing.TRAINS, *listing.TESTS)
        )
    only = [found.root / name for name in classes]
    if any(each in path.parent.parents for each in only for path, _ in found.images):
        return (
            f"folders below {only[0]} as classes: for these, name {only[0]} itself",
        )
    return ()


def _labelled(files: list[tuple[Path, str]], classes: tuple[str, ...]) -> _Files:
    number = {"": -1, **{name: i for i, name in enumerate(classes)}}
    for path, name in files:
        if name not in number:
            known = ", ".join(classes) or "no classes"
            raise UserError(
                f"{path}: class {name!r} is not in train, which has {known}"
            )
    return _Files([path for path, _ in files], [number[name] for _, name in files])


SOURCE = Source(describe, load, where="DIR")
