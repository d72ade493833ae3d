"""Configurations: frozen, typed dataclasses, overridden by name and saved as JSON.

A name that is misspelt or a value of the wrong type raises UserError with one line
that says what is allowed. No absl here: the flags are `experiments/flags.py`.
"""

import ast
import dataclasses
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from gen_jax.data.dataset import MAX_PIXELS, DataConfig
from gen_jax.errors import UserError, hint

_MAX = 2**31 - 1


def free(default: Any) -> Any:
    """A field that may differ when a run goes on: learning does not depend on it."""
    return dataclasses.field(default=default, metadata={"free": True})


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How long to train, and what to record on the way."""

    seed: int = 0
    microbatches: int = 1  # pieces in which each gradient is accumulated
    steps: int = free(1000)  # the total; may be raised later
    steps_per_call: int = free(1)  # steps that the device takes in one go
    log_every_steps: int = free(50)
    sample_every_steps: int = free(500)  # 0: only at the end
    checkpoint_every_seconds: float = free(60.0)
    keep_every_steps: int = free(0)  # kept for good, beside the last 3; 0: none

    # The least and the most that a field, or each number in its list, may be; then the
    # fewest numbers in the list, if not none. A whole number is an int32's at most,
    # whatever this says but a limit of its own.
    LIMITS: ClassVar[dict[str, tuple[float, ...]]] = {
        "seed": (0, 2**32 - 1),
        "microbatches": (1, math.inf),
        "steps": (1, math.inf),
        "steps_per_call": (1, math.inf),
        "log_every_steps": (1, math.inf),
        "sample_every_steps": (0, math.inf),
        "checkpoint_every_seconds": (0, math.inf),
        "keep_every_steps": (0, math.inf),
    }

    def __post_init__(self):
        for name in self.LIMITS:
            self.check(name, getattr(self, name))

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        """Raises UserError for a value beyond the limits of the field `name`."""
        least, most, *fewest = cls.LIMITS[name]
        numbers = value if isinstance(value, tuple) else (value,)
        if fewest and len(numbers) < fewest[0]:
            raise UserError(
                f"{name}={value} is too short: it needs {fewest[0]} at least"
            )
        for number in numbers:
            _check_range(name, value, number, least, most)


def _check_range(name: str, value: Any, number: Any, least: float, most: float) -> None:
    if isinstance(number, int) and most == math.inf:
        most = _MAX  # NumPy and XLA overflow on sizes beyond, rather than refuse them
    if number is not None and not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise UserError(f"{name}={value} is out of range: {bound}")


@dataclasses.dataclass(frozen=True)
class RunConfig(FitConfig):
    """What every experiment has; a recipe is a subclass with fields of its own."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    batch_size: int = 128  # examples of all devices together
    flip: bool = False  # mirror training images left to right at random
    jitter: int = (
        0  # pixels that training images are enlarged by, and cut back at random
    )

    LIMITS: ClassVar = {
        **FitConfig.LIMITS,
        "batch_size": (1, 2**20),
        "jitter": (0, MAX_PIXELS),
    }


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
        config = _adapted(config, {name: value})
    return dataclasses.replace(config, **{name: value})


def _adapted(config, values: Mapping[str, Any]):
    """Return `config` in the class that `values` of its fields call for.

    A dataclass may have fields that depend on the value of another one: its method
    `adapted(values)` then returns an instance that has them, such as a `DataConfig`
    with the options of the source that values["spec"] names.
    """
    return config.adapted(values) if hasattr(config, "adapted") else config


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
    config = _adapted(config, saved)
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
    """Return the dotted names of the fields, of those in both, that differ."""
    both = set(field_paths(other))
    return [
        path
        for path in field_paths(config)
        if path in both and get(config, path) != get(other, path)
    ]


def is_free(config: Any, path: str) -> bool:
    """Whether a field may change when a run goes on.

    Declared once, where the field is: a recipe that gives it another default need not
    repeat it.
    """
    *parents, name = path.split(".")
    owner = get(config, ".".join(parents)) if parents else config
    declared = (getattr(c, "__dataclass_fields__", {}) for c in type(owner).__mro__)
    return any(c[name].metadata.get("free") for c in declared if name in c)
