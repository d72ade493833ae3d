"""The one exception for a user's mistake: what is wrong, and what is allowed."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """One clear line for standard error; the commands exit with code 2 on it."""

    exit_code = 2


class DivergedError(UserError):
    """A state or a loss that is no longer finite; the commands exit with code 3."""

    exit_code = 3


def nearest(word: str, words: Iterable[str] | Mapping[str, str]) -> str:
    """' Did you mean ...?' with the name most like `word`, or an empty string.

    words: names; or name -> how to write it.
    """
    shown = words if isinstance(words, Mapping) else {each: each for each in words}
    known = {name.lower(): text for name, text in shown.items()}
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f" Did you mean {known[close[0]]}?" if close else ""


def hint(
    word: str, words: Iterable[str] | Mapping[str, str], lead: str = "There are"
) -> str:
    """The nearest name as `nearest` says it; where none is near, all after `lead`.

    A long list would drown the one name that was meant.
    """
    shown = words.values() if isinstance(words, Mapping) else words
    return nearest(word, words) or f" {lead}: {', '.join(shown)}"


def choose(what: str, name: str, options: Mapping[str, T]) -> T:
    """options[name], or a UserError that says what `name` was for and what is allowed.

    what: what is being chosen, such as "sampler".
    """
    if name not in options:
        raise UserError(f"{what} {name!r} is not one of: {', '.join(options)}")
    return options[name]
