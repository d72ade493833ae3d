"""Files that are written completely or not at all, whenever a process is killed."""

import contextlib
import errno
import fcntl
import glob
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gen_jax.errors import UserError

_being_written: set[Path] = set()
_LONGEST = "checkpoints/" + "0" * 100  # about the longest path below a run's folder


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON so that a crash leaves either the old file or the new one."""
    with written_whole(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path; move it to `path` if the body raises nothing.

    Temporary files that killed processes left are removed first. An OSError names
    `path`; NumPy's of a full disk has neither a number nor a path.
    """
    remove_unfinished(path.parent, path.name)
    unfinished = _unfinished(path)
    _being_written.add(unfinished)
    try:
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        number = error.errno or errno.ENOSPC
        raise OSError(number, os.strerror(number), str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)  # nothing is left there after a success
        _being_written.discard(unfinished)


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


def remove_own_unfinished() -> None:
    """Remove the temporary files of this process, which is about to end."""
    for path in [*_being_written]:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove the temporary files of processes that have ended.

    name: name of the final file; by default any.
    """
    pattern = f".{glob.escape(name) or '*'}.*.tmp"
    with contextlib.suppress(OSError):
        for left in folder.glob(pattern):
            written_by = re.fullmatch(r".*\.([0-9]+)\.tmp", left.name)
            if written_by and not _is_running(int(written_by[1])):
                left.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        pass
    return True


def checked_folder(folder: str | Path, name: str = "--workdir") -> Path:
    """Return the absolute path of a folder below which files can be written.

    The folder is tried, or the one in which it will be made. Nothing is left there.

    name: the flag or argument that names it, for errors. ~ is the user's home.

    Raises UserError if files cannot be written there: for a URL, for a name that is too
    long or not UTF-8, and if permissions or the disk do not allow it.
    """
    given = str(folder)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", given):
        raise UserError(
            f"{name}={given} is a URL: checkpoints are written to local folders only; "
            "mount it, or choose a local folder and copy that"
        )
    try:
        given.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{name}={given!a} is not UTF-8, in which checkpoints are named: choose "
            "another name"
        ) from None
    path = Path(given).expanduser().absolute()
    wrong = "made"
    try:
        existing = next(each for each in (path, *path.parents) if os.path.lexists(each))
        wrong = "written to" if existing == path else wrong
        with contextlib.suppress(FileNotFoundError):
            os.stat(path / _LONGEST)  # fails if the path cannot be followed
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0")
    except OSError as error:
        raise UserError(
            f"the folder {path} cannot be {wrong}: {error.strerror}; choose another "
            f"{name}"
        ) from error
    return path
