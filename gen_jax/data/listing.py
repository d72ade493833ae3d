"""The images in a folder, and everything in it that is not read."""

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path
from typing import Literal

from gen_jax.data import decoding
from gen_jax.data.encoded import EncodedImage
from gen_jax.data.labels import natural
from gen_jax.errors import UserError

TRAINS = ("train", "training")
TESTS = ("test", "testing", "val", "valid", "validation")

_MAX_BYTES = 2**32  # of a file; no image that fits in memory is larger
_HIDDEN = (".", "__MACOSX")
_MAX_LISTED = 8  # endings, and names of folders

# Names that look like those of splits, such as train2017 or test_images.
_AFTER = r"([ ._-]?(set|data|images?|split|[ab]))?[ ._-]?[0-9]*"
_LIKE_TRAIN = re.compile(f"(trn|train(ing)?){_AFTER}", re.IGNORECASE)
_LIKE_TEST = re.compile(
    "(tst|test(ing)?|val(id(ation)?)?|dev(el(opment)?)?|eval(uation)?"
    f"|h[eo]ld[ ._-]?out){_AFTER}",
    re.IGNORECASE,
)
_KNOWN = f"{TRAINS[0]} with {', '.join(TESTS[:-1])} or {TESTS[-1]}"

_NEEDS = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "pillow-heif"),
    **dict.fromkeys((".avif", ".avifs"), "pillow-avif-plugin"),
    ".jxl": "pillow-jxl-plugin",
}


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of a folder and of those below it.

    images: sorted by path, each with the name of its first-level subfolder or "".
    folders: the first-level subfolders. unread: ending -> files that are not images.
    irregular: pipes, devices, links that lead nowhere. repeated: links to folders that
    are read under another name.
    """

    root: Path
    images: list[tuple[Path, str]]
    folders: list[str]
    unread: Counter[str]
    irregular: list[Path]
    repeated: list[Path]


def left_out(listings: Sequence[Listing]) -> tuple[str, ...]:
    """Return texts that name everything that is not read of folders, and why."""
    texts = list(_of_endings(sum((each.unread for each in listings), Counter())))
    if irregular := [path for each in listings for path in each.irregular]:
        texts.append(
            f"{_number(irregular, 'file')} that cannot be read as a file (a pipe, a "
            f"device or a link to nothing), such as {irregular[0]}"
        )
    if repeated := [path for each in listings for path in each.repeated]:
        texts.append(
            f"{_number(repeated, 'link')} to folders that are read under another name, "
            f"such as {repeated[0]}"
        )
    known = {
        (each.root, name)
        for each in listings
        for name in [name for _, name in each.images] + [p.name for p in each.repeated]
    }
    below = {(each.root, name) for each in listings for name in each.folders}
    if empty := sorted((name for _, name in below - known), key=natural):
        names = _listed(empty)
        texts.append(f"{_number(empty, 'folder')} without images: {names}")
    return tuple(texts)


def walk(root: Path) -> Listing:
    """Return the files below `root`; folders are entered once, links last.

    Names that begin with a dot are passed over.

    Raises OSError if a folder cannot be read.
    """
    listing, entered = Listing(root, [], [], Counter(), [], []), set()
    endings = decoding.endings()
    links = [root]
    for link in links:  # grows meanwhile
        folders = [link]
        for folder in folders:  # grows too
            if (identity := _identity(folder)) in entered:
                listing.repeated.append(folder)
                continue
            entered.add(identity)
            [inside, *_] = (*folder.relative_to(root).parts, "")
            for entry in _entries(folder):
                path = folder / entry.name
                if _is(entry, "dir"):
                    (links if entry.is_symlink() else folders).append(path)
                    listing.folders.extend([] if inside else [entry.name])
                elif not _is(entry, "file"):
                    listing.irregular.append(path)
                elif path.suffix.lower() in endings:
                    listing.images.append((path, inside))
                else:
                    listing.unread[path.suffix.lower()] += 1
    listing.images.sort()
    return listing


def _entries(folder: Path) -> list[os.DirEntry]:
    """Return what a folder holds, by name, without hidden entries."""
    with os.scandir(folder) as found:
        seen = [each for each in found if not each.name.startswith(_HIDDEN)]
    return sorted(seen, key=lambda each: each.name)


def _is(entry: os.DirEntry, kind: Literal["dir", "file"]) -> bool:
    """Return whether an entry, or a link's target, is a folder or a regular file."""
    if entry.is_symlink():  # which may lead nowhere, or to itself
        return {"dir": os.path.isdir, "file": os.path.isfile}[kind](entry.path)
    return entry.is_dir() if kind == "dir" else entry.is_file()


def images_of(root: Path) -> Listing:
    """Return the files below `root`. Raises UserError if no image is among them."""
    listing = walk(root)
    if not listing.images:
        unread = "".join(f"; {text}" for text in left_out([listing]))
        raise UserError(f"{root} holds no images, such as .png or .jpg files{unread}")
    return listing


def subfolders(root: Path, known: Iterable[str] = (*TRAINS, *TESTS)) -> dict[str, Path]:
    """Return the folders in `root` by their names in lower case.

    known: names in lower case that have a meaning, whatever their capitals.

    Raises UserError if two folders have one known name. Other names may differ in
    capitals alone, such as those of letters as classes.
    """
    found: dict[str, Path] = {}
    for name in [each.name for each in _entries(root) if _is(each, "dir")]:
        if name.lower() in found and name.lower() in known:
            raise UserError(
                f"{root} holds both {found[name.lower()].name} and {name}: join them"
            )
        found.setdefault(name.lower(), root / name)
    return found


def first(folders: dict[str, Path], names: Iterable[str]) -> Path | None:
    """Return the folder of the first name that is there, None if none is."""
    return next((folders[name] for name in names if name in folders), None)


def splits(root: Path) -> tuple[Path, Path | None]:
    """Return the folders to train on and to hold out; (`root`, None) without them.

    `train` with `test`, or another name of `TRAINS` and `TESTS`, are splits in capitals
    or not, and next to any other folder. `train` alone is one if nothing lies next to
    it. Otherwise a flat folder of such a name is a class.

    Raises UserError if names look like splits and are not known as such.
    """
    folders = subfolders(root)
    train, test = first(folders, TRAINS), first(folders, TESTS)
    if train and test:
        if train.samefile(test):
            raise UserError(f"{train} and {test} are one folder: nothing is held out")
        return train, test
    if looks := _like_splits(path.name for path in folders.values()):
        raise UserError(
            f"{root} holds {_listed(looks)}, which look like splits; known are "
            f"{_KNOWN}, in capitals or not: rename them"
        )
    if train and len(folders) == 1:
        return train, None
    if test and all(name in TESTS for name in folders):
        raise UserError(
            f"{root} holds {test.name} and no folder train: name {test} itself, or "
            f"rename it; known splits are {_KNOWN}"
        )
    if (one := train or test) and (
        (train and len(folders) == 2) or any(name for _, name in walk(one).images)
    ):
        raise UserError(
            f"{one} lies next to "
            f"{_listed([p.name for p in folders.values() if p != one])}: if it is a "
            f"split, call the other one {'test' if train else 'train'}, or name {one} "
            "itself; if it is a class, rename it"
        )
    return root, None


def _like_splits(names: Iterable[str]) -> list[str]:
    """Return names like those of splits; [] without one to train and to hold out."""
    names = list(names)
    train, test = (
        list(filter(like.fullmatch, names)) for like in (_LIKE_TRAIN, _LIKE_TEST)
    )
    return [*train, *test] if train and test else []


def check_below(listing: Listing) -> None:
    """Raise UserError if folders below the first level look like splits.

    They would be read as one, and the images to hold out would be trained on.
    """
    inside: dict[Path, set[str]] = {}
    for path in {path.parent for path, _ in listing.images}:
        parts = path.relative_to(listing.root).parts
        for depth in range(1, len(parts)):
            parent = listing.root.joinpath(*parts[:depth])
            inside.setdefault(parent, set()).add(parts[depth])
    for folder, names in sorted(inside.items()):
        if looks := _like_splits(sorted(names, key=natural)):
            train, test = (listing.root / x / folder.name for x in ("train", "test"))
            cure = f"move the images, such as into {train} and {test}"
            if len({name for _, name in listing.images}) == 1:
                cure = f"name {folder} itself, or {cure}"
            raise UserError(
                f"{folder} holds {_listed(looks)}, which look like splits: {cure}"
            )


def beside(root: Path, read: Iterable[Path | None]) -> tuple[str, ...]:
    """Return texts that name what lies in `root` next to the folders in `read`.

    Other folders are named, and not entered: they may be huge.
    """
    parts = {path for path in read if path is not None and path != root}
    if not parts:
        return ()
    images, folders = [], []
    for path in [root / each.name for each in _entries(root)]:
        if not path.is_dir():
            images += [path] if path.suffix.lower() in decoding.endings() else []
        elif not any(path == part or path in part.parents for part in parts):
            folders.append(path.name)
    texts = []
    if folders:
        names = _listed(sorted(folders, key=natural))
        texts.append(
            f"{_number(folders, 'folder')} next to those that are read: {names}"
        )
    if images:
        texts.append(
            f"{_number(images, 'image')} next to the folders that are read, such as "
            f"{images[0]}"
        )
    return tuple(texts)


def read_file(path: Path) -> EncodedImage:
    """Read an encoded image. Raises UserError if it cannot be read."""
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise UserError(f"{path} holds {size} bytes, too many for an image")
        return EncodedImage(path.read_bytes(), str(path))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def sizes(paths: Iterable[Path]) -> list[int]:
    """Return the sizes of files in bytes; 0 for one that is gone, as reading tells."""
    found = []
    for path in paths:
        try:
            found.append(path.stat().st_size)
        except OSError:
            found.append(0)
    return found


def _identity(folder: Path) -> tuple[int, int | str]:
    """Return the device and the inode; the path on systems without inodes."""
    found = folder.stat()
    return found.st_dev, found.st_ino or os.path.realpath(folder)


def _of_endings(unread: Counter[str]) -> Iterable[str]:
    """Yield a text for each of the most frequent endings, and one for the others."""
    for ending, count in unread.most_common(_MAX_LISTED):
        files = _number(range(count), "file")
        end = "that ends in" if count == 1 else "that end in"
        if package := _NEEDS.get(ending):
            reason = f"no reader is installed (pip install {package})"
            yield f"{files} {end} {ending}: {reason}"
        elif ending:
            yield f"{files} {end} {ending}: not a format that Pillow decodes"
        else:
            yield f"{files} without an ending"
    others = unread.total() - sum(n for _, n in unread.most_common(_MAX_LISTED))
    if others:
        yield f"{_number(range(others), 'file')} with other endings"


def _number(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _listed(names: list[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
