"""What an evaluation says: numbers, each with its interval and its floor."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gen_jax.metrics.intervals import Interval, bootstrap_interval, fraction_interval


class Value(NamedTuple):
    """A number.

    low, high: its 95 % interval; interval: how that was got.
    floor: what the same metric says of real data in the model's place.
    share: whether it lies in [0, 1] by what it is, and so does its interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    real_baseline: float | None = None
    unit: str = ""
    fraction: bool = False


class Result(NamedTuple):
    """What one measure found.

    context: what it depends on beside the run. by_class: a row of numbers a class.
    pictures: uint8 [H, W, C] by the names of their files.
    """

    values: Mapping[str, Value]
    context: Mapping[str, Any]
    by_class: Mapping[str, Mapping[str, float]] | None = None
    note: str | None = None
    pictures: Mapping[str, np.ndarray] = {}

    def as_json(self) -> dict[str, Any]:
        """As evaluation.json has it; NaN and infinity, which JSON lacks, are None."""
        found: dict[str, Any] = {
            "context": dict(self.context),
            "values": {
                name: {key: _finite(x) for key, x in value._asdict().items()}
                for name, value in self.values.items()
            },
        }
        if self.by_class is not None:
            found["by_class"] = {
                name: {key: _finite(x) for key, x in row.items()}
                for name, row in self.by_class.items()
            }
        if self.note:
            found["note"] = self.note
        if self.pictures:
            found["pictures"] = [f"{name}.png" for name in self.pictures]
        return found


def with_interval(
    interval: Interval, how: str, *, real_baseline: float | None = None, unit: str = ""
) -> Value:
    """A number whose interval was computed."""
    return Value(*interval, interval=how, real_baseline=real_baseline, unit=unit)


def mean_of(
    x: np.ndarray, *, real_baseline: float | None = None, unit: str = ""
) -> Value:
    """The mean of a number of each image, [N], and its interval."""
    if len(x) < 2:
        return Value(float(np.mean(x)), real_baseline=real_baseline, unit=unit)
    interval = bootstrap_interval(np.mean, np.asarray(x, np.float64))
    how = f"bootstrap over {len(x)} images"
    return with_interval(interval, how, real_baseline=real_baseline, unit=unit)


def fraction_of(hits: np.ndarray, *, real_baseline: float | None = None) -> Value:
    """The share of examples, bool [N], that are what was asked, and its interval."""
    interval = fraction_interval(float(np.mean(hits)), len(hits))
    how = f"Clopper and Pearson's, of {len(hits)} examples"
    return with_interval(interval, how, real_baseline=real_baseline)._replace(
        fraction=True
    )


def as_fraction(value: Value, number: int) -> Value:
    """Its interval within [0, 1], and no shorter than that of `number` examples."""
    _, low, high = fraction_interval(value.value, number)
    return value._replace(
        low=max(0.0, min(value.low, low)),
        high=min(1.0, max(value.high, high)),
        interval=f"{value.interval}; within [0, 1], no shorter than of {number} "
        "independent ones",
        fraction=True,
    )


def _finite(x: Any) -> Any:
    return None if isinstance(x, float) and not np.isfinite(x) else x
