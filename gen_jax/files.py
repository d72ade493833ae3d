"""Files that are written completely or not at all, whenever a process is killed."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gen_jax.errors import UserError


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a crash leaves either the old file or the new one."""
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path; move it to `path` if the body raises nothing."""
    unfinished = _unfinished(path)
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(folder: Path, busy: str = "") -> Iterator[None]:
    """Hold the lock of a folder, made if missing; wait while another process holds it.

    Hold it while a file in the folder is read, changed and written again: otherwise the
    changes of one of two processes are lost. Without locks in the file system, nothing
    is locked.

    busy: instead of waiting, raise UserError with this line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise UserError(busy) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def try_to_write(path: Path) -> None:
    """Check that a file can be written to `path`, and leave no trace.

    Call it before a long computation whose result goes there. Its folder need not be
    there yet.

    Raises OSError, with the path, if it cannot be written.
    """
    unfinished, made = _unfinished(path), []
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        for folder in (*reversed(path.parents),):
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
        unfinished.write_bytes(b"0")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # another process may write there
                folder.rmdir()


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
