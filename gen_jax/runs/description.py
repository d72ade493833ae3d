"""The types of a checkpoint's meta: a seal tells damage, not who wrote the file."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from gen_jax import typed_json
from gen_jax.data.dataset import Info
from gen_jax.errors import UserError
from gen_jax.typed_json import at_least


@dataclasses.dataclass(frozen=True)
class _Any:
    """The entries of every meta; `fit` may be given any others."""

    format: int
    batch: Any
    frozen: dict[str, str]


@dataclasses.dataclass(frozen=True)
class _Info:
    shape: list[int] = dataclasses.field(metadata={"minimum": 1})
    num_classes: int = at_least(0)
    target_shape: list[int] = dataclasses.field(
        default_factory=list, metadata={"minimum": 1}
    )
    class_names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Data:
    train: int
    test: int
    digest: str


@dataclasses.dataclass(frozen=True)
class _OfExperiment:
    """The entries by which a registered experiment is rebuilt and resumed."""

    experiment: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    info: _Info | None = None
    data: _Data | None = None
    began_from: str | None = None


def problem(meta: Any) -> str:
    """Return a line on the first entry of a meta that does not fit; "" if all do."""
    problems: list[str] = []
    own = typed_json.read(_Any, meta, problems)
    if own is not None and meta.get("experiment") is not None:
        typed_json.read(_OfExperiment, meta, problems)
    if problems or own is None:
        return problems[0]
    digests = own.frozen.values()
    if wrong := [x for x in digests if not re.fullmatch("[0-9a-f]{64}", x)]:
        return f"frozen has {wrong[0]!r:.80}, which is not a SHA-256"
    return ""


def info_of(meta: Mapping[str, Any]) -> Info:
    """Return the description of the data in a checkpoint's meta.

    Raises UserError if it has none that fits.
    """
    found = typed_json.read(_Info, meta.get("info"), [])
    if found is None:
        raise UserError("the checkpoint's meta does not describe the data")
    of_info = {name: _tuples(x) for name, x in dataclasses.asdict(found).items()}
    return Info(**of_info)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
