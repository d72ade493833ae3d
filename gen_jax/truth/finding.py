"""What a check finds: estimates beside exact values, and how to draw them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gen_jax.evaluation.result import mean_of
from gen_jax.metrics.intervals import Interval

Plot = Callable[[Any], None]  # draws on matplotlib's axes


class Row(NamedTuple):
    """An estimate, its 95 % interval, and the exact value.

    bound: whether the estimate is one from below, which may lie anywhere under it.
    tolerance: by how much it may differ, where it is an error rather than an estimate.
    """

    what: str
    estimate: Interval
    exact: float
    unit: str = ""
    bound: bool = False
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the interval allows what the estimate claims of the exact value."""
        low, high = self.estimate.low, self.estimate.high
        above = self.bound or self.exact <= high + self.tolerance
        return above and low - self.tolerance <= self.exact

    @property
    def verdict(self) -> str:
        """In words, with the difference where there is one."""
        difference = f"{self.estimate.value - self.exact:+.3g}"
        if not self.holds:
            return f"off by {difference}"
        if self.tolerance:
            return f"within {self.tolerance:g}"
        return f"holds, {difference}" if self.bound else "holds"

    def as_json(self) -> dict[str, Any]:
        """Plain numbers and strings."""
        estimate = self.estimate._asdict()
        found = self._replace(estimate={k: float(v) for k, v in estimate.items()})
        return {**found._asdict(), "exact": float(self.exact), "verdict": self.verdict}


class Finding(NamedTuple):
    """Rows, plots by their titles, and what is said below them in Markdown."""

    rows: list[Row]
    plots: Mapping[str, Plot] = {}
    text: str = ""


def mean(x: np.ndarray) -> Interval:
    """The mean of a number of each example [N], with the interval that `evaluate` has.

    N is 2 or more.
    """
    found = mean_of(x)
    return Interval(found.value, found.low, found.high)
