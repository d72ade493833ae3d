"""What a check finds: estimates beside exact values, and how to draw them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gen_jax.evaluation.result import mean_of
from gen_jax.metrics.intervals import Interval

Plot = Callable[[Any], None]  # draws on matplotlib's axes


class Row(NamedTuple):
    """An estimate, its 95 % interval, and the exact value.

    claim: what the estimate is said to be of the exact value: "equal"; "below", of a
        bound; "other", of a metric of faulty samples beside that of perfect ones.
    tolerance: by how much it may differ, where it is an error rather than an estimate.
    """

    what: str
    estimate: Interval
    exact: float
    unit: str = ""
    claim: Literal["equal", "below", "other"] = "equal"
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the claim agrees with the interval."""
        low, high = self.estimate.low, self.estimate.high
        is_above = low - self.tolerance > self.exact
        is_below = high + self.tolerance < self.exact
        return {
            "equal": not (is_above or is_below),
            "below": not is_above,
            "other": is_above or is_below,
        }[self.claim]

    @property
    def verdict(self) -> str:
        """In words, with the difference where there is one."""
        difference = f"{self.estimate.value - self.exact:+.3g}"
        if self.claim == "other":
            return f"moved by {difference}" if self.holds else "not moved"
        if not self.holds:
            return f"off by {difference}"
        if self.tolerance:
            return f"within {self.tolerance:g}"
        return f"below: {difference}" if self.claim == "below" else "holds"

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


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table in Markdown of rows of cells, the first of which is its head."""
    head, *rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
