"""A folder of pictures, in subfolders or not, of any format that Pillow reads."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from gen_jax.data.dataset import DataConfig, Dataset, Info, Source
from gen_jax.data.encoded import (
    Picture,
    Record,
    encoded_dataset,
    first_shape,
)
from gen_jax.errors import UserError

TESTS = ("test", "val", "valid", "validation")


@dataclasses.dataclass(frozen=True, eq=False)
class _Files:
    """Pictures as files, in the order of their paths."""

    paths: list[Path]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Sequence[int]) -> list[Record]:
        return [Record((picture(self.paths[i]),), self.labels[i]) for i in indices]


def open_folder(config: DataConfig, path: str) -> Source:
    """All pictures under a folder; the first-level subfolders are the classes.

    Without subfolders there are no labels. A folder whose only subfolders are `train`
    and `test` (or `val`) is taken as two such folders; otherwise a tenth is held out.
    The first picture decides between grey and RGB, if config.channels does not.

    Raises UserError where there is no folder, no picture, or a class only in `test`.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"folder:{path}: there is no such folder")
    train_root, test_root = splits(root)
    train_files = find_images(train_root)
    classes = sorted({name for _, name in train_files if name})
    train = _labelled(train_files, classes)
    test = _labelled(find_images(test_root), classes) if test_root else None
    info = Info(first_shape(train, config), len(classes))

    def load() -> Dataset:
        return encoded_dataset(info, config, train, test)

    return Source(info, load)


def splits(root: Path) -> tuple[Path, Path | None]:
    """The folders to train on and to hold out, (`root`, None) where there are none."""
    names = {entry.name for entry in root.iterdir() if _is_seen(entry.name)}
    folders = {name for name in names if (root / name).is_dir()}
    tests = [name for name in TESTS if name in folders]
    if tests and "train" in folders and folders <= {"train", *TESTS}:
        return root / "train", root / tests[0]
    return root, None


def find_images(root: Path) -> list[tuple[Path, str]]:
    """Pictures by path, each with its first-level subfolder's name or "".

    Raises UserError where there is none.
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


def _labelled(files: list[tuple[Path, str]], classes: list[str]) -> _Files:
    number = {"": -1, **{name: i for i, name in enumerate(classes)}}
    for path, name in files:
        if name not in number:
            known = ", ".join(classes) or "no classes"
            raise UserError(
                f"{path}: class {name!r} is not in train, which has {known}"
            )
    return _Files([path for path, _ in files], [number[name] for _, name in files])


def picture(path: Path) -> Picture:
    """A file, named by its path. Raises UserError where it cannot be read."""
    try:
        return Picture(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
