"""The fields of a published configuration: each known, and what it may be here."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from gen_jax.errors import UserError

Config = Mapping[str, Any]


def read_json(path: Path) -> Config:
    """The fields in a file. Raises UserError where it is missing or holds none."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no configuration: it has no fields")
    return content


def refuse(config: Config, name: str, allowed: str) -> NoReturn:
    """Raises the UserError of a field that is not what it may be."""
    raise UserError(f"{name}={json.dumps(config[name])}; allowed: {allowed}")


def check_one_way(config: Config, one_way: Mapping[str, tuple[Any, tuple]]) -> None:
    """Raises UserError for a field that is none of the few things it may be.

    one_way: the default, where the field is not given, and what is allowed.
    """
    for name, (default, allowed) in one_way.items():
        value = config.get(name, default)
        if value not in allowed:
            refuse({name: value}, name, " or ".join(map(json.dumps, allowed)))


def check_known(config: Config, known: Iterable[str]) -> None:
    """Raises UserError for a field that is not known, and so might mean anything."""
    known = set(known)
    for name in config:
        if name not in known and not name.startswith("_"):
            raise UserError(f"{name} is no field that is known here")


def wholes(config: Config, name: str) -> list[int]:
    """A field's list of whole numbers, each at least 1."""
    numbers = config[name]
    if not isinstance(numbers, list) or not numbers or not all(map(_is_whole, numbers)):
        refuse(config, name, "a list of whole numbers from 1 on")
    return numbers


def whole(config: Config, name: str) -> int:
    """A field's whole number, at least 1."""
    if not _is_whole(config[name]):
        refuse(config, name, "a whole number from 1 on")
    return config[name]


def fraction(config: Config, name: str) -> float:
    """A field's number, at least 0 and less than 1."""
    number = config[name]
    if type(number) not in (int, float) or not 0 <= number < 1:
        refuse(config, name, "a number from 0 to below 1")
    return float(number)


def _is_whole(number: Any) -> bool:
    return type(number) is int and number >= 1
