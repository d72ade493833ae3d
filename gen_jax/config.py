"""Typed configurations: frozen dataclasses, set by field name and saved as JSON.

The limits and the choices of a field stand on the field itself, as its metadata:

    z_dim: int = within(1, None, default=100)
    gan_loss: str = choice(GAN_LOSSES, default="non_saturating")
    network: Denoiser = nested(DENOISERS, default="auto")

A nested field holds one of several dataclasses, such as a network with its own fields.
`network` is then the name of its kind, and `network.dropout` a field of that kind.

A misspelt name, a value of the wrong type or a value out of range raises UserError,
with one line that names the allowed values. `experiments/flags.py` reads the command
line.
"""

import ast
import dataclasses
import functools
import math
import re
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gen_jax.errors import UserError, nearest

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
    declared = {**limits, "may_change_on_resume": may_change_on_resume}
    return dataclasses.field(default=default, metadata=declared)


def choice(options: Iterable[Any], *, default: Any) -> Any:
    """Return a field whose value is one of `options`, such as the keys of a table.

    None is allowed too if the field's type is optional.
    """
    return dataclasses.field(default=default, metadata={"options": options})


def nested(kinds: Mapping[str, type], *, default: str) -> Any:
    """Return a field that holds an instance of one of several frozen dataclasses.

    kinds: name -> the dataclass, whose fields all have defaults.
    default: the name of the kind.
    """
    declared = {"options": kinds, "nested": True}
    return dataclasses.field(default=kinds[default](), metadata=declared)


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """The length of a training, and the intervals at which it is recorded.

    steps: in total; may be raised later.
    log_every_steps: the first and the last step are logged too.
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
        own: Any = type(self)
        for name, kind in _hints(own).items():
            value = getattr(self, name)
            if isinstance(value, np.generic):  # JSON has no NumPy numbers
                value = value.item()
                object.__setattr__(self, name, value)
            if not dataclasses.is_dataclass(value) and kind is not Any:
                _typed(value, kind, name)
        for path, value in flat(self).items():
            check(self, path, value)


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def metadata(config: Any, path: str) -> dict[str, Any]:
    """Return the metadata of the field at a dotted path.

    A subclass that gives a field another default need not declare it again.
    """
    *parents, name = path.split(".")
    owner = functools.reduce(getattr, parents, config)
    declared: dict[str, Any] = {}
    for cls in reversed(type(owner).__mro__):
        field = getattr(cls, "__dataclass_fields__", {}).get(name)
        declared |= field.metadata if field else {}
    return declared


def check(config: Any, path: str, value: Any, name: str | None = None) -> None:
    """Raise UserError if a value is not allowed for the field at a dotted path.

    name: the field's name in the error, such as a flag's; by default the path.
    """
    declared, name = metadata(config, path), name or path
    if value is None:
        return
    options = declared.get("options")
    if options is not None and value not in options:
        raise UserError(f"{name}={value} is not one of {', '.join(map(str, options))}")
    if "min_length" not in declared:
        return
    value = sides(value, name) if isinstance(value, str) else value
    numbers = value if isinstance(value, tuple) else (value,)
    if len(numbers) < declared["min_length"]:
        least = declared["min_length"]
        raise UserError(f"{name}={value} is too short: at least {least} in the list")
    low = -math.inf if declared["low"] is None else declared["low"]
    for number in numbers:
        high = declared["high"]
        if high is None:
            high = _MAX_INT if isinstance(number, int) else math.inf
        if not low <= number <= high:
            bound = f"at least {low}" if number < low else f"at most {high}"
            raise UserError(f"{name}={value} is out of range: {bound}")


def sides(size: int | str, name: str = "size") -> tuple[int, int]:
    """Return (height, width) of N or "HxW" pixels; raise UserError for other text."""
    if isinstance(size, int):
        return size, size
    if not (found := re.fullmatch("([1-9][0-9]{0,8})x([1-9][0-9]{0,8})", size)):
        raise UserError(f"{name}={size} is neither a number of pixels nor HxW: 48x64")
    return int(found[1]), int(found[2])


def flat(config: Any) -> dict[str, Any]:
    """Return all values by dotted name; a nested field's own value is its kind."""
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not dataclasses.is_dataclass(value):
            values[field.name] = value
            continue
        if kind := kind_of(config, field.name):
            values[field.name] = kind
        values |= {f"{field.name}.{path}": x for path, x in flat(value).items()}
    return values


def kind_of(config: Any, name: str) -> str | None:
    """Return the name of a nested field's kind, None for another field.

    Raises UserError for a value of any other class.
    """
    declared, value = metadata(config, name), getattr(config, name)
    if not declared.get("nested"):
        return None
    for kind, cls in declared["options"].items():
        if type(value) is cls:
            return kind
    allowed = ", ".join(declared["options"])
    raise UserError(f"{name}={value!r:.40} is not one of the kinds {allowed}")


def override(config: Any, path: str, text: str) -> Any:
    """Return `config` with the field at a dotted path set to the value in `text`.

    Raises UserError for an unknown field or a text that is not of the field's type.
    """
    if path not in flat(config):
        raise UserError(_unknown(config, path))
    return _override(config, path.split("."), path, text)


def override_all(config: Any, texts: Iterable[tuple[str, str]]) -> Any:
    """Return `config` with several fields set: (dotted path, text), in any order.

    A field is set after the field that decides whether it exists, such as a kind.
    """
    left = sorted(texts, key=lambda each: each[0].count("."))
    while left:
        known = flat(config)
        ready = next((each for each in left if each[0] in known), left[0])
        config = override(config, *ready)
        left.remove(ready)
    return config


def _override(config: Any, names: list[str], path: str, text: str) -> Any:
    name, *rest = names
    if rest:
        value = _override(getattr(config, name), rest, path, text)
    elif kind_of(config, name):
        value = _of_kind(config, name, text, path)
    else:
        try:
            value = parse(text, typing.get_type_hints(type(config))[name], path)
        except UserError as error:
            hint = metadata(config, name).get("hint", "")  # such as another field
            raise UserError(f"{error}{hint}") from error
        config = _adapted(config, {name: value})
    return dataclasses.replace(config, **{name: value})


def _adapted(config: Any, values: Mapping[str, Any]) -> Any:
    """Return `config` in the class that its method `adapted` chooses for `values`.

    A `DataConfig` then has the options of the source that values["spec"] names.
    """
    return config.adapted(values) if hasattr(config, "adapted") else config


def _of_kind(config: Any, name: str, kind: Any, path: str) -> Any:
    """Return the nested value, or a new one with defaults if it is of another kind."""
    kinds = metadata(config, name)["options"]
    if kind not in kinds:
        raise UserError(f"{path}={kind} is not one of {', '.join(kinds)}")
    return getattr(config, name) if kind == kind_of(config, name) else kinds[kind]()


def _unknown(config: Any, path: str) -> str:
    """Return the error for an unknown dotted path, with a path to write instead."""
    known = flat(config)
    parent, _, name = path.rpartition(".")
    kinds = metadata(config, parent) if parent in known else {}
    kinds = kinds["options"] if kinds.get("nested") else {}
    having = [kind for kind, cls in kinds.items() if name in _names(cls)]
    if having:
        flags = " or ".join(f"--config.{parent}={kind}" for kind in having)
        return f"{parent}={known[parent]} has no field {name!r}; to set it, add {flags}"
    others = [f"{parent}.{each}" for cls in kinds.values() for each in _names(cls)]
    if any(each.startswith(f"{parent}.") for each in known):
        others = []  # the chosen kind has fields of its own
    near = nearest(path, [*known, *others]) or f" It has: {', '.join(known)}"
    return f"the configuration has no field {path!r}.{near}"


def _names(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def parse(text: str, kind: Any, path: str) -> Any:
    """Convert `text`, with or without quotes, to a value of type `kind`.

    Lists are written as 1,2 or (1, 2).

    path: name of the value in errors.
    """
    if kind is str or typing.get_origin(kind) is typing.Literal:
        return _typed(text, kind, path)
    if {int, str} <= {*typing.get_args(kind)} and not text.lstrip("-").isdecimal():
        return text  # HEIGHTxWIDTH, which `check` looks at
    written = {"true": "True", "false": "False"}.get(text.lower(), text)
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text
        if text.lower().lstrip("+-") in ("inf", "infinity", "nan"):
            value = float(text)
    return _typed(value, kind, path)


def _typed(value: Any, kind: Any, path: str) -> Any:
    """Return `value` as a `kind`: int, float, bool, str, Literal, tuple or optional."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    fits = False
    if origin is typing.Literal:
        fits = value in arguments
    elif origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        if isinstance(value, str) and str in arguments:
            return value
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
    names = {int: "a whole number", float: "a number", str: "a text"}
    names[bool] = "true or false"
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def to_dict(config: Any) -> dict[str, Any]:
    """Return the values as JSON can keep them; a nested one with its kind."""
    saved = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            kind = kind_of(config, field.name)
            value = ({"kind": kind} if kind else {}) | to_dict(value)
        saved[field.name] = value
    return saved


def from_dict(config: Any, saved: Any, prefix: str = "") -> Any:
    """Return `config` with the values that `to_dict` returned and JSON kept.

    Fields that were not saved keep their defaults, so that older runs load.

    Raises UserError for a saved field or kind that the class does not have, or for a
    value of another type.
    """
    if not isinstance(saved, Mapping):
        where = prefix.removesuffix(".") or "the configuration"
        raise UserError(f"{where} was saved as {saved!r:.40}, which has no fields")
    config = _adapted(config, saved)
    hints, values = typing.get_type_hints(type(config)), {}
    for name, value in saved.items():
        if name not in _names(config):
            from gen_jax import __version__  # a cycle at import time

            raise UserError(
                f"the saved run has the field {prefix}{name}, which gen_jax "
                f"{__version__} lacks: install the version that wrote it"
            )
        old = getattr(config, name)
        if dataclasses.is_dataclass(old):
            if kind_of(config, name) and isinstance(value, Mapping):
                old = _of_kind(config, name, value.get("kind"), f"{prefix}{name}.kind")
                value = {key: x for key, x in value.items() if key != "kind"}
            values[name] = from_dict(old, value, f"{prefix}{name}.")
        else:
            values[name] = _typed(value, hints[name], prefix + name)
    return dataclasses.replace(config, **values)


def differences(config: Any, other: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of the fields whose values differ in `other`.

    Fields that `other` lacks, such as those of another kind, are compared with their
    defaults.
    """
    paths = []
    for name in _names(config):
        mine = getattr(config, name)
        theirs = getattr(other if hasattr(other, name) else type(config)(), name)
        has_fields = dataclasses.is_dataclass(mine)
        if not has_fields:
            paths += [prefix + name] if mine != theirs else []
            continue
        if kind_of(config, name) and type(mine) is not type(theirs):
            paths, theirs = [*paths, prefix + name], type(mine)()
        paths += differences(mine, theirs, f"{prefix}{name}.")
    return paths


def may_change_on_resume(config: Any, path: str) -> bool:
    """Return whether a resumed run may have another value at a dotted path."""
    return metadata(config, path).get("may_change_on_resume", False)
