"""The names of classes: one for each label, how they are shown, and found by name."""

import re
from collections.abc import Sequence

from gen_jax.data.dataset import Info
from gen_jax.errors import UserError, nearest

MAX_NAME = 40  # characters of a name in a line
_MAX_LISTED = 20  # names in a line


def class_names(info: Info) -> tuple[str, ...]:
    """Return a name for each label: the source's, or else the label itself.

    Names of a source that are equal get their labels too, since a name finds a class.
    """
    names = info.class_names
    if len(names) != info.num_classes:
        return tuple(map(str, range(info.num_classes)))
    if len({*names}) < len(names):
        return tuple(f"{name} ({label})" for label, name in enumerate(names))
    return names


def shown(text: str, limit: int | None = None) -> str:
    r"""Return a text that any terminal shows in one line, cut to `limit` characters.

    Line ends, escape sequences, direction marks and bytes that are not UTF-8 are
    written as \n, \x1b, \u202e or \udcff, for a folder may have any name.
    """
    plain = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return plain if limit is None or len(plain) <= limit else plain[: limit - 1] + "…"


def listed(names: Sequence[str]) -> str:
    """Return names as one line; of many only the first and the last."""
    short = [shown(name, MAX_NAME) for name in names]
    if len(short) > _MAX_LISTED:
        short = [*short[: _MAX_LISTED - 2], "...", short[-1]]
    return ", ".join(short)


def find_class(text: str, names: Sequence[str], flag: str) -> int:
    """Return the label of a class that is given by its name or its number.

    A name comes first. A number is a label only if no class has a number for a name:
    with classes 10, 20 and 30, label 1 would be a guess.

    flag: the name of the text in errors.

    Raises UserError, which lists the names, if there is no such class.
    """
    if text in names:
        return names.index(text)
    numbered = any(re.fullmatch(r"-?[0-9]+", name) for name in names)
    if not numbered and re.fullmatch("[0-9]+", text) and int(text) < len(names):
        return int(text)
    near = nearest(text, {name: shown(name, MAX_NAME) for name in names})
    raise UserError(
        f"{flag}={shown(text, MAX_NAME)} is not a class of this run.{near} "
        f"The classes are {listed(names)}"
    )
