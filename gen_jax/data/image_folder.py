"""A folder of images, of any format that Pillow reads.

The first-level subfolders are the classes; without subfolders there are no labels. A
folder whose only subfolders are `train` and `test` (or `val`) holds two such folders;
otherwise a tenth is held out.
"""

import dataclasses
import os
from pathlib import Path

from gen_jax.data.dataset import DataConfig, Dataset, Indices, Info
from gen_jax.data.encoded import EncodedImage, Record, encoded_dataset, first_shape
from gen_jax.data.source import Source
from gen_jax.errors import UserError

TESTS = ("test", "val", "valid", "validation")


@dataclasses.dataclass(frozen=True, eq=False)
class _Files:
    """Images as files, in the order of their paths."""

    paths: list[Path]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Indices) -> list[Record]:
        return [Record((read_file(self.paths[i]),), self.labels[i]) for i in indices]


def describe(config: DataConfig) -> Info:
    """Return the shape of the first image, and the class names from the subfolders.

    The first image decides between grey and RGB if config.channels is 0.

    Raises UserError if there is no image, or a class only in `test`.
    """
    return _found(config)[0]


def load(config: DataConfig) -> Dataset:
    """Load all images, decoded or streamed. Raises UserError as `describe`."""
    info, train, test = _found(config)
    return encoded_dataset(info, config, train, test)


def _found(config: DataConfig) -> tuple[Info, _Files, _Files | None]:
    """Return the description, the images to train on and those to hold out."""
    train_root, test_root = splits(config.path)
    files = find_images(train_root)
    classes = tuple(sorted({name for _, name in files if name}))
    train = _labelled(files, classes)
    test = _labelled(find_images(test_root), classes) if test_root else None
    info = Info(first_shape(train, config), len(classes), class_names=classes)
    return info, train, test


def splits(root: Path) -> tuple[Path, Path | None]:
    """Return the folders to train on and to hold out, or (`root`, None)."""
    names = {entry.name for entry in root.iterdir() if _is_seen(entry.name)}
    folders = {name for name in names if (root / name).is_dir()}
    tests = [name for name in TESTS if name in folders]
    if tests and "train" in folders and folders <= {"train", *TESTS}:
        return root / "train", root / tests[0]
    return root, None


def find_images(root: Path) -> list[tuple[Path, str]]:
    """Return the images by path, each with its first-level subfolder's name or "".

    Raises UserError if there are none.
    """
    from PIL import Image

    known = Image.registered_extensions()
    endings = {ending for ending, form in known.items() if form in Image.OPEN}
    found = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = filter(_is_seen, subfolders)
        inside = Path(folder).relative_to(root).parts
        found += [
            (Path(folder, name), inside[0] if inside else "")
            for name in filter(_is_seen, names)
            if Path(name).suffix.lower() in endings
        ]
    if not found:
        raise UserError(f"{root} holds no images, such as .png or .jpg files")
    return sorted(found)


def _is_seen(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _labelled(files: list[tuple[Path, str]], classes: tuple[str, ...]) -> _Files:
    number = {"": -1, **{name: i for i, name in enumerate(classes)}}
    for path, name in files:
        if name not in number:
            known = ", ".join(classes) or "no classes"
            raise UserError(
                f"{path}: class {name!r} is not in train, which has {known}"
            )
    return _Files([path for path, _ in files], [number[name] for _, name in files])


def read_file(path: Path) -> EncodedImage:
    """Read an encoded image. Raises UserError if it cannot be read."""
    try:
        return EncodedImage(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


SOURCE = Source(describe, load, where="DIR")
