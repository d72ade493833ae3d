"""Tell whether the files of a folder are as they were written.

A folder's manifest is a JSON file with the SHA-256 of every other file in it.
"""

import hashlib
import json
from pathlib import Path

from gen_jax.errors import UserError
from gen_jax.files import write_json

_MANIFEST = "manifest.json"


class DamagedError(UserError):
    """A file is missing, or is not as it was written."""


def write_manifest(directory: Path) -> None:
    """Write the SHA-256 of each file of a folder into the folder's manifest."""
    hashes = {
        str(path.relative_to(directory)): _sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    write_json(directory / _MANIFEST, hashes)


def verify(directory: Path, only: str = "") -> None:
    """Compare the files of a folder with its manifest.

    only: the name of one file to compare; all of them by default.

    Raises DamagedError if a file is missing or differs, UserError if the operating
    system refuses to read one.
    """
    try:
        hashes = _read_manifest(directory)
        for name in [only] if only else hashes:
            if not (directory / name).exists():
                raise DamagedError(f"{name} is missing")
            if _sha256(directory / name) != hashes.get(name):
                raise DamagedError(f"{name} is not as it was written")
    except OSError as error:
        raise UserError(
            f"{error.filename or directory} cannot be read: {error.strerror}; "
            "check its permissions and its disk, then try again"
        ) from error


def _read_manifest(directory: Path) -> dict[str, str]:
    try:
        hashes = json.loads((directory / _MANIFEST).read_text())
    except FileNotFoundError:
        raise DamagedError(f"{_MANIFEST} is missing") from None
    except (ValueError, RecursionError):
        raise DamagedError(f"{_MANIFEST} is not as it was written") from None
    if not isinstance(hashes, dict):
        raise DamagedError(f"{_MANIFEST} is not as it was written")
    return hashes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
