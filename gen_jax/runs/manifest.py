"""Check that the files of a folder have not changed since they were written.

A folder's manifest is a JSON file with the SHA-256 of every other file in it.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from gen_jax.errors import UserError
from gen_jax.files import write_json

_MANIFEST = "manifest.json"


class DamagedError(UserError):
    """A file is missing, or has changed since it was written."""


def write_manifest(directory: Path) -> None:
    """Write the SHA-256 of each file of a folder into the folder's manifest."""
    hashes = {name: _sha256(directory / name) for name in _files(directory)}
    write_json(directory / _MANIFEST, hashes)


def verify(directory: Path, only: str = "") -> None:
    """Compare the files of a folder with its manifest.

    only: the name of one file to compare. By default all files in the manifest are
        compared, and it has to name every file in `state/`.

    Raises DamagedError if a file is missing, unknown or differs; UserError if the
    operating system refuses to read one.
    """
    with refusals(directory):
        hashes = read_manifest(directory)
        if hashes is None:
            raise DamagedError(f"{_MANIFEST} is missing or damaged")
        arrays = [] if only else _visible(_files(directory, "state"))
        if not only and not arrays:
            raise DamagedError("the files of state are missing")
        for name in [only] if only else sorted({*hashes, *arrays}):
            if not (directory / name).exists():
                raise DamagedError(f"{name} is missing")
            if not (directory / name).is_file():  # a pipe would never end
                raise DamagedError(f"{name} is not a file")
            if _sha256(directory / name) != hashes.get(name):
                raise DamagedError(f"{name} has changed since it was written")


@contextlib.contextmanager
def refusals(directory: Path) -> Iterator[None]:
    """Raise UserError if the operating system refuses to read a file of a folder.

    A file that cannot be read is not damaged, and may be read another time.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        name = Path(error.filename or directory).name
        raise DamagedError(f"{name} is missing") from error
    except OSError as error:
        raise UserError(
            f"{error.filename or directory} cannot be read: {error.strerror}; "
            "check its permissions and its disk, then try again"
        ) from error


def read_manifest(directory: Path) -> dict[str, str] | None:
    """Return the hashes by name; None if it is missing or has another form."""
    path = directory / _MANIFEST
    if not path.is_file():
        return None
    try:
        hashes = json.loads(path.read_text())
    except (ValueError, RecursionError):
        return None
    if not isinstance(hashes, dict) or not hashes:
        return None
    is_ours = all(isinstance(each, str) and len(each) == 64 for each in hashes.values())
    return hashes if is_ours else None


def _files(directory: Path, below: str = "") -> list[str]:
    """Return the names of the files of a folder, in alphabetical order."""
    found = sorted((directory / below).rglob("*"))
    return [str(path.relative_to(directory)) for path in found if path.is_file()]


def _visible(names: list[str]) -> list[str]:
    """Return the names without hidden files, which file managers and NFS leave."""
    return [name for name in names if not name.rpartition("/")[2].startswith(".")]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
