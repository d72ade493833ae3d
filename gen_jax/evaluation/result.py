"""The numbers of an evaluation: values with intervals, results of measures, records.

A measure returns a `Result`. A `Record` is the content of evaluation.json, the file
that `record.py` writes and that reports read.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gen_jax import typed_json
from gen_jax.errors import UserError
from gen_jax.files import write_json


@dataclasses.dataclass(frozen=True)
class Value:
    """A number with its 95 % interval.

    value: None in a file if it was not finite, as JSON has no NaN.
    low, high: the interval; None if there is none. interval: how it was computed.
    real_baseline: the same metric of real images in place of the samples.
    fraction: whether value and interval lie in [0, 1] by definition.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    real_baseline: float | None = None
    unit: str = ""
    fraction: bool = False


class Result(NamedTuple):
    """The result of one measure.

    context: everything that the values depend on apart from the run.
    by_class: class -> name -> number. pictures: uint8 [H, W, C] by file name.
    captions: one for each picture. left_out: a line for each number that could not be
    computed, with the reason.
    """

    values: Mapping[str, Value]
    context: Mapping[str, Any]
    by_class: Mapping[str, Mapping[str, float]] = {}
    note: str | None = None
    pictures: Mapping[str, np.ndarray] = {}
    captions: Mapping[str, str] = {}
    left_out: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Measured:
    """A measure's entry in evaluation.json.

    description: one line on the measure. pictures: file names. captions: by file name.
    seconds: the time that it took. key: a hash of everything that it depends on.
    left_out: a line for each number that could not be computed; without values, for
    the measure.
    """

    values: dict[str, Value]
    description: str = ""
    context: dict[str, Any] = dataclasses.field(default_factory=dict)
    by_class: dict[str, dict[str, float | None]] = dataclasses.field(
        default_factory=dict
    )
    note: str | None = None
    pictures: list[str] = dataclasses.field(default_factory=list)
    captions: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    key: str = ""
    left_out: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Record:
    """The content of evaluation.json.

    run: folder, experiment, data and training_seed. environment: the machine and the
    versions of libraries. left_out: a line for each seed, or file, that is missing.
    """

    measures: dict[str, Measured] = dataclasses.field(default_factory=dict)
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    left_out: list[str] = dataclasses.field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        """Return a line for each requested number that is left out."""
        named = [
            f"{name}: {line}"
            for name, m in self.measures.items()
            for line in m.left_out
        ]
        return [*self.left_out, *named]

    def write(self, path: Path) -> None:
        """Write the record as JSON; numbers that are not finite become null."""
        write_json(path, _finite(dataclasses.asdict(self)))


def read(path: Path) -> Record:
    """Return the record in a file; without the measures that are missing or damaged.

    Raises UserError if the file is there and may not be read.
    """
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return Record()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return typed_json.read(Record, content, []) or Record()


def with_interval(
    interval: tuple[float, float, float],
    how: str,
    *,
    real_baseline: float | None = None,
    unit: str = "",
) -> Value:
    """Return a value from (value, low, high)."""
    return Value(*interval, interval=how, real_baseline=real_baseline, unit=unit)


def mean_of(
    x: np.ndarray, *, real_baseline: float | None = None, unit: str = ""
) -> Value:
    """Return the mean of one number per image, [N], with a bootstrap interval."""
    from gen_jax.metrics.intervals import bootstrap_interval

    if len(x) < 2:
        return Value(float(np.mean(x)), real_baseline=real_baseline, unit=unit)
    interval = bootstrap_interval(np.mean, np.asarray(x, np.float64))
    how = f"bootstrap over {len(x)} images"
    return with_interval(interval, how, real_baseline=real_baseline, unit=unit)


def fraction_of(hits: np.ndarray, *, real_baseline: float | None = None) -> Value:
    """Return the fraction of true elements of bool [N], with an exact interval."""
    from gen_jax.metrics.intervals import fraction_interval

    interval = fraction_interval(float(np.mean(hits)), len(hits))
    how = f"Clopper-Pearson, of {len(hits)} examples"
    value = with_interval(interval, how, real_baseline=real_baseline)
    return dataclasses.replace(value, fraction=True)


def as_fraction(value: Value, number: int) -> Value:
    """Return a fraction with its interval cut to [0, 1].

    The interval is made at least as long as that of `number` independent examples.
    """
    from gen_jax.metrics.intervals import fraction_interval

    assert value.value is not None  # as in a file only
    _, low, high = fraction_interval(value.value, number)
    return dataclasses.replace(
        value,
        low=max(0.0, min(value.low, low)),
        high=min(1.0, max(value.high, high)),
        interval=f"{value.interval}; within [0, 1], at least as long as that of "
        f"{number} independent examples",
        fraction=True,
    )


def _finite(x: Any) -> Any:
    """Return a tree of JSON with None in place of numbers that are not finite."""
    if isinstance(x, Mapping):
        return {key: _finite(each) for key, each in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(each) for each in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
