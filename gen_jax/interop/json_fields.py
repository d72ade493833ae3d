"""Checks of the values of a published configuration's fields."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gen_jax.errors import UserError

Config = Mapping[str, Any]

MAX_WHOLE = 1_000_000  # of times, the most that are allowed; of other things, plenty


_MAX_BYTES = 2**20  # of a file; the longest that is published has about a thousand


def read_json(path: Path) -> Config:
    """Read the fields in a file; UserError if it is missing or holds no fields."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; download it to this folder")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise UserError(
            f"{path} has {size:,} bytes, too many for a configuration: download it "
            "again"
        )
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): download it again") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not a configuration, since it has no fields: download it again"
        )
    return content


def refuse(config: Config, name: str, allowed: str) -> NoReturn:
    """Raise the UserError of a field whose value is not allowed."""
    given = json.dumps(config[name])
    given = given if len(given) <= 100 else f"{given[:99]}…"
    raise UserError(f"{name}={given}; allowed: {allowed}")


def check_one_way(config: Config, one_way: Mapping[str, tuple[Any, tuple]]) -> None:
    """Check that each field has one of its few allowed values; UserError if not.

    one_way: field -> (default if it is not given, allowed values).
    """
    for name, (default, allowed) in one_way.items():
        value = config.get(name, default)
        if value not in allowed:
            refuse({name: value}, name, " or ".join(map(json.dumps, allowed)))


def wholes(config: Config, name: str) -> list[int]:
    """Return a field's list of whole numbers, `whole` each; UserError if invalid."""
    numbers = config[name]
    if not isinstance(numbers, list) or not numbers or not all(map(_is_whole, numbers)):
        refuse(config, name, f"a list of whole numbers from 1 to {MAX_WHOLE:,}")
    return numbers


def whole(config: Config, name: str) -> int:
    """Return a field's whole number, 1 to `MAX_WHOLE`; UserError if invalid."""
    if not _is_whole(config[name]):
        refuse(config, name, f"a whole number from 1 to {MAX_WHOLE:,}")
    return config[name]


def fraction(config: Config, name: str) -> float:
    """Return a field's number, at least 0 and less than 1; UserError if invalid."""
    number = config[name]
    if type(number) not in (int, float) or not 0 <= number < 1:
        refuse(config, name, "a number from 0 to below 1")
    return float(number)


def _is_whole(number: Any) -> bool:
    return type(number) is int and 1 <= number <= MAX_WHOLE
