"""JSON read into dataclasses, with one line about each value that does not fit.

    problems = []
    record = typed_json.read(Record, json.loads(text), problems)

Kinds: dataclasses, dict[str, K], list[K], K | None, str, bool, int, float and Any.
"""

import dataclasses
import functools
import json
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from gen_jax.errors import UserError

_T = TypeVar("_T")
_INVALID = object()
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def at_least(minimum: float, **options: Any) -> Any:
    """Return a dataclass field whose number, or each number in it, has a minimum."""
    return dataclasses.field(metadata={"minimum": minimum}, **options)


def read(kind: type[_T], x: Any, problems: list[str], where: str = "") -> _T | None:
    """Return x, a value of JSON, as `kind`; None if it does not fit as a whole.

    An invalid element of an object or a list is left out. An invalid field of a
    dataclass becomes its default; without a default, the dataclass is left out.

    problems: gets a line for everything invalid. where: the name of x in these lines.
    """
    found = _read(kind, x, where, problems, None)
    return None if found is _INVALID else found


def parse(kind: type[_T], x: Any) -> _T:
    """Return x as `kind`. Raises UserError with the first problem if there is one."""
    problems: list[str] = []
    found = _read(kind, x, "", problems, None)
    if problems:
        raise UserError(problems[0])
    return found


def load(kind: type[_T], path: Path) -> _T:
    """Read a file of JSON as `kind`. Raises UserError with the first misfit."""
    try:
        return parse(kind, json.loads(path.read_text()))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None


def _read(
    kind: Any, x: Any, where: str, problems: list[str], minimum: float | None
) -> Any:
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind is Any:
        return x
    if origin in (types.UnionType, typing.Union):
        [other] = [each for each in arguments if each is not types.NoneType]
        return None if x is None else _read(other, x, where, problems, minimum)
    is_object = dataclasses.is_dataclass(kind)
    expected = dict if is_object else origin
    # A bool is not a number of JSON, but a whole number is a float too.
    if type(x) not in ((int, float) if expected is float else (expected,)):
        problems.append(f"{where or 'it'} is not {_NAMES[expected]}")
        return _INVALID
    if is_object:
        return _object(kind, x, where, problems)
    if origin in (dict, list):
        pairs = x.items() if origin is dict else enumerate(x)
        found = {
            key: _read(arguments[-1], each, _join(where, key), problems, minimum)
            for key, each in pairs
        }
        kept = {key: each for key, each in found.items() if each is not _INVALID}
        return kept if origin is dict else list(kept.values())
    if origin in (int, float):
        return _number(origin, x, where, problems, minimum)
    return x


def _number(
    kind: type, x: Any, where: str, problems: list[str], minimum: float | None
) -> Any:
    least = -math.inf if minimum is None else minimum
    if least <= x < math.inf and abs(x) < 1e308:
        return kind(x)
    limit = "" if minimum is None else f" and at least {minimum:g}"
    problems.append(f"{where} is {str(x)[:20]}; it has to be finite{limit}")
    return _INVALID


def _object(kind: type, x: dict, where: str, problems: list[str]) -> Any:
    hints, values = _hints(kind), {}
    for field in dataclasses.fields(kind):
        minimum = field.metadata.get("minimum")
        name = _join(where, field.name)
        value = _INVALID
        if field.name in x:
            value = _read(hints[field.name], x[field.name], name, problems, minimum)
        elif _is_required(field):
            problems.append(f"{where or 'it'} lacks {field.name}")
        if value is not _INVALID:
            values[field.name] = value
        elif _is_required(field):
            return _INVALID
    return kind(**values)


def _is_required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _join(where: str, name: Any) -> str:
    return f"{where}.{name}" if where else str(name)
