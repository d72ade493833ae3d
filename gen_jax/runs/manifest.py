"""Tell whether the files of a folder are as they were written.

A folder's manifest is a JSON file with the SHA-256 of every other file in it.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gen_jax.errors import UserError

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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a crash leaves either the old file or the new one."""
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path; move it to `path` if the body raises nothing."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
