"""Checks of the values of a published configuration's fields."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gen_jax.errors import UserError

Config = Mapping[str, Any]


def read_json(path: Path) -> Config:
    """Read the fields in a file; UserError if it is missing or holds no fields."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{path}: there is no such file; download it to this folder"
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): download it again") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not a configuration, since it has no fields: download it again"
        )
    return content


def refuse(config: Config, name: str, allowed: str) -> NoReturn:
    """Raise the UserError of a field whose value is not allowed."""
    raise UserError(f"{name}={json.dumps(config[name])}; allowed: {allowed}")


def check_one_way(config: Config, one_way: Mapping[str, tuple[Any, tuple]]) -> None:
    """Check that each field has one of its few allowed values; UserError if not.

    one_way: field -> (default if it is not given, allowed values).
    """
    for name, (default, allowed) in one_way.items():
        value = config.get(name, default)
        if value not in allowed:
            refuse({name: value}, name, " or ".join(map(json.dumps, allowed)))


def wholes(config: Config, name: str) -> list[int]:
    """Return a field's list of whole numbers, each at least 1; UserError if invalid."""
    numbers = config[name]
    if not isinstance(numbers, list) or not numbers or not all(map(_is_whole, numbers)):
        refuse(config, name, "a list of whole numbers from 1 on")
    return numbers


def whole(config: Config, name: str) -> int:
    """Return a field's whole number, at least 1; UserError if invalid."""
    if not _is_whole(config[name]):
        refuse(config, name, "a whole number from 1 on")
    return config[name]


def fraction(config: Config, name: str) -> float:
    """Return a field's number, at least 0 and less than 1; UserError if invalid."""
    number = config[name]
    if type(number) not in (int, float) or not 0 <= number < 1:
        refuse(config, name, "a number from 0 to below 1")
    return float(number)


def _is_whole(number: Any) -> bool:
    return type(number) is int and number >= 1
