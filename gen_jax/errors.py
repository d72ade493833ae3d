"""The one exception for a user's mistake: what is wrong, and what is allowed."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """One clear line for standard error; the commands exit with code 2 on it."""


def choose(what: str, name: str, options: Mapping[str, T]) -> T:
    """options[name], or a UserError that says what `name` was for and what is allowed.

    what: what is being chosen, such as "sampler".
    """
    if name not in options:
        raise UserError(f"{what} {name!r} is not one of: {', '.join(options)}")
    return options[name]
