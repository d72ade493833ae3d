"""The one exception for a user's mistake, and the hints in its message.

A message says what was given, why it fails and what to type instead.
"""

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """A user's mistake as one line for standard error; commands then exit with 2."""

    exit_code = 2


class DivergedError(UserError):
    """A state or a loss that is no longer finite; the commands exit with code 3."""

    exit_code = 3


def one_line(error: BaseException) -> str:
    """Return an error's text in one line; its type's name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def why(error: Exception) -> str:
    """Return one line that says why a part of the work failed."""
    line = " ".join(str(error).split())
    if isinstance(error, UserError):
        return line
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in line:
        return f"out of memory: {line[:200]}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename or 'disk'}"
    return f"{type(error).__name__}: {line[:200]}"


@contextlib.contextmanager
def named(line: str, cure: str = "") -> Iterator[None]:
    """Raise any error of the body as UserError: `line`, the reason, then `cure`.

    For functions of the user's, which may raise anything. A UserError passes.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{line}: {why(error)}{cure}") from error


def nearest(word: str, words: Iterable[str] | Mapping[str, str]) -> str:
    """Return ' Did you mean ...?' with the name closest to `word`, or an empty string.

    words: the names, or a mapping from each name to how to write it.
    """
    shown = words if isinstance(words, Mapping) else {each: each for each in words}
    known = {name.lower(): text for name, text in shown.items()}
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f" Did you mean {known[close[0]]}?" if close else ""


def hint(
    word: str, words: Iterable[str] | Mapping[str, str], lead: str = "There are"
) -> str:
    """Return the closest name as `nearest` does; if none is close, the whole list.

    The list follows `lead`. It is left out if a name is close, because it would hide
    that name.

    words: as for `nearest`.
    """
    shown = words.values() if isinstance(words, Mapping) else words
    return nearest(word, words) or f" {lead}: {', '.join(shown)}"


def choose(what: str, name: str, options: Mapping[str, T]) -> T:
    """Return options[name].

    what: the name of the choice in the error, such as "sampler".

    Raises UserError if `name` is not an option; it lists the options.
    """
    if name not in [*options]:  # of a file it may be a list, which has no hash
        raise UserError(
            f"{what} {name!r} is unknown: choose one of {', '.join(options)}"
        )
    return options[name]
