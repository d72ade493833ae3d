"""Whether files are as they were written: in one piece, and hashes to compare.

The manifest of a folder is a file of the SHA-256 of every other file in it.
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


def write_manifest(directory: Path) -> None:
    """Writes the SHA-256 of each file of a folder beside them."""
    hashes = {
        str(path.relative_to(directory)): _sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    write_json(directory / _MANIFEST, hashes)


def verify(directory: Path, below: str = "") -> None:
    """Raises UserError where a file is not as it was written.

    below: only those in this folder of the directory.

    A run that was killed between commit and manifest left none: then all that can be
    said is what reading says.
    """
    manifest = directory / _MANIFEST
    if not manifest.exists():
        return
    for name, expected in json.loads(manifest.read_text()).items():
        path = directory / name
        if not path.is_relative_to(directory / below):
            continue
        if not path.exists():
            raise UserError(f"{name} is missing")
        if _sha256(path) != expected:
            raise UserError(f"{name} is not as it was written")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON so that a crash leaves the old file or the new one."""
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write what is to lie at `path`: it is moved there if all goes well."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
