"""Typed configurations: frozen dataclasses, set by field name and saved as JSON.

The limits and the choices of a field stand on the field itself, as its metadata:

    z_dim: int = within(1, None, default=100)
    gan_loss: str = choice(GAN_LOSSES, default="non_saturating")

A misspelt name, a value of the wrong type or a value out of range raises UserError,
with one line that says what is allowed. `experiments/flags.py` reads the command line.
"""

import ast
import dataclasses
import math
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gen_jax.errors import UserError, hint

_MAX_INT = 2**31 - 1


def within(
    low: float | None,
    high: float | None,
    *,
    default: Any,
    min_length: int = 0,
    may_change_on_resume: bool = False,
) -> Any:
    """Return a field for a number, or a list of numbers, each in [low, high].

    low, high: None for no bound. An int is at most 2**31 - 1 if `high` is None, since
        NumPy and XLA overflow on larger sizes instead of refusing them.
    min_length: of a list.
    may_change_on_resume: whether a resumed run may have another value, because
        learning does not depend on it.
    """
    limits = {"low": low, "high": high, "min_length": min_length}
    metadata = {**limits, "may_change_on_resume": may_change_on_resume}
    return dataclasses.field(default=default, metadata=metadata)


def choice(options: Iterable[Any], *, default: Any) -> Any:
    """Return a field whose value is one of `options`, such as the keys of a table.

    None is allowed too if the field's type is optional.
    """
    return dataclasses.field(default=default, metadata={"options": options})


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How long to train, and what to record meanwhile.

    steps: in total; may be raised later.
    microbatches: number of pieces in which each gradient is accumulated.
    steps_per_call: steps that one call of the compiled function takes.
    sample_every_steps: 0 for samples at the end only.
    keep_every_steps: checkpoints kept for good, next to the last 3; 0 for none.
    """

    seed: int = within(0, 2**32 - 1, default=0)
    microbatches: int = within(1, None, default=1)
    steps: int = within(1, None, default=1000, may_change_on_resume=True)
    steps_per_call: int = within(1, None, default=1, may_change_on_resume=True)
    log_every_steps: int = within(1, None, default=50, may_change_on_resume=True)
    sample_every_steps: int = within(0, None, default=500, may_change_on_resume=True)
    checkpoint_every_seconds: float = within(
        0, None, default=60.0, may_change_on_resume=True
    )
    keep_every_steps: int = within(0, None, default=0, may_change_on_resume=True)

    def __post_init__(self):
        for path in field_paths(self):
            check(self, path, get(self, path))


def metadata(config: Any, path: str) -> dict[str, Any]:
    """Return what is declared of the field at a dotted path.

    A subclass that gives a field another default need not declare it again.
    """
    *parents, name = path.split(".")
    owner = get(config, ".".join(parents)) if parents else config
    declared = {}
    for cls in reversed(type(owner).__mro__):
        field = getattr(cls, "__dataclass_fields__", {}).get(name)
        declared |= field.metadata if field else {}
    return declared


def check(config: Any, path: str, value: Any, name: str | None = None) -> None:
    """Raise UserError if the field at a dotted path may not have a value.

    name: what the error calls the field, such as a flag that stands for it.
    """
    declared, name = metadata(config, path), name or path
    if value is None:
        return
    options = declared.get("options")
    if options is not None and value not in options:
        raise UserError(f"{name}={value} is not one of {', '.join(map(str, options))}")
    if "min_length" not in declared:
        return
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) < declared["min_length"]:
        raise UserError(
            f"{name}={value} is too short: it needs at least {declared['min_length']}"
        )
    for number in numbers:
        _check_range(name, value, number, declared["low"], declared["high"])


def _check_range(
    name: str, value: Any, number: float, low: float | None, high: float | None
) -> None:
    low = -math.inf if low is None else low
    if high is None:
        high = _MAX_INT if isinstance(number, int) else math.inf
    if not low <= number <= high:
        bound = f"at least {low}" if number < low else f"at most {high}"
        raise UserError(f"{name}={value} is out of range: {bound}")


def field_paths(config: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of all fields, nested ones included."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from field_paths(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def override(config: Any, path: str, text: str) -> Any:
    """`config` with the field at the dotted `path` set to what `text` says.

    Raises UserError for an unknown field or a text that is not of the field's type.
    """
    if path not in (paths := list(field_paths(config))):
        raise UserError(
            f"the configuration has no field {path!r}.{hint(path, paths, 'It has')}"
        )
    return _override(config, path.split("."), path, text)


def _override(config, names, path, text):
    name, *rest = names
    if rest:
        value = _override(getattr(config, name), rest, path, text)
    else:
        value = parse(text, typing.get_type_hints(type(config))[name], path)
    return dataclasses.replace(config, **{name: value})


def parse(text: str, kind: Any, path: str) -> Any:
    """The value of type `kind` that `text` writes, as Python would or bare."""
    if kind is str or typing.get_origin(kind) is typing.Literal:
        return _typed(text, kind, path)
    written = {"true": "True", "false": "False"}.get(text.lower(), text)
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
        if text.lower().lstrip("+-") in ("inf", "infinity", "nan"):
            value = float(text)
    return _typed(value, kind, path)


def _typed(value: Any, kind: Any, path: str) -> Any:
    """`value` as a `kind`: int, float, bool, str, Literal, tuple[...] or None-able."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    fits = False
    if origin is typing.Literal:
        fits = value in arguments
    elif origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _typed(value, next(a for a in arguments if a is not type(None)), path)
    elif origin is tuple:
        if isinstance(value, (tuple, list)):
            return tuple(_typed(item, arguments[0], path) for item in value)
        if isinstance(value, (int, float)):
            return (_typed(value, arguments[0], path),)
    elif kind is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        if fits and not abs(value) <= sys.float_info.max:  # a NaN is not, either
            raise UserError(f"{path}={value} is not a finite number")
        value = float(value) if fits else value
    elif kind in (int, bool, str):
        fits = type(value) is kind
    if not fits:
        raise UserError(f"{path}={value} is not {_name(kind)}")
    return value


def _name(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(a) or "''" for a in arguments)
    if origin is tuple:
        return f"a list of {_name(arguments[0]).removeprefix('a ')}s, such as 1,2"
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def from_dict(config: Any, saved: Mapping[str, Any], prefix: str = "") -> Any:
    """`config` with the values that `dataclasses.asdict` once gave and JSON kept.

    A field that the saved values lack keeps its default, so that older runs load.

    Raises UserError for a saved field that the class no longer has, or of another type.
    """
    if not isinstance(saved, Mapping):
        where = prefix.removesuffix(".") or "the configuration"
        raise UserError(f"{where} was saved as {saved!r:.40}, which has no fields")
    hints, values = typing.get_type_hints(type(config)), {}
    names = {field.name for field in dataclasses.fields(config)}
    for name, value in saved.items():
        if name not in names:
            raise UserError(f"this version knows no field {prefix}{name}")
        old = getattr(config, name)
        if dataclasses.is_dataclass(old):
            values[name] = from_dict(old, value, f"{prefix}{name}.")
        else:
            values[name] = _typed(value, hints[name], prefix + name)
    return dataclasses.replace(config, **values)


def get(config: Any, path: str) -> Any:
    """The value at a dotted path."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def differences(config: Any, other: Any) -> list[str]:
    """The dotted names of the fields in which two configurations differ."""
    return [
        path for path in field_paths(config) if get(config, path) != get(other, path)
    ]


def may_change_on_resume(config: Any, path: str) -> bool:
    """Return whether a resumed run may have another value at a dotted path."""
    return metadata(config, path).get("may_change_on_resume", False)
