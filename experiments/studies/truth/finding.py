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
        bound; "moved up" or "moved down", by a fault from where it was without.
    tolerance: by how much it may differ, where it is an error rather than an estimate.
    """

    what: str
    estimate: Interval
    exact: float
    unit: str = ""
    claim: Literal["equal", "below", "moved up", "moved down"] = "equal"
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the claim agrees with the interval: that it moved, beyond chance."""
        return {
            "equal": self._is_near or self._is_inside,
            "below": self.estimate.low <= self.exact,
            "moved up": self.estimate.low > self.exact,
            "moved down": self.estimate.high < self.exact,
        }[self.claim]

    @property
    def verdict(self) -> str:
        """In words, with the difference where there is one."""
        difference = f"{self.estimate.value - self.exact:+.3g}"
        if self.claim.startswith("moved"):
            if self._is_inside:
                return "may be chance"
            return f"moved {'' if self.holds else 'the wrong way '}by {difference}"
        if not self.holds:
            return f"off by {difference}"
        if self._is_near:
            return f"within {self.tolerance:g}"
        if not self._is_inside:
            return f"below: {difference}"
        is_bound = self.claim == "below"
        return f"{'not above' if is_bound else 'agrees'}, within its interval"

    @property
    def _is_near(self) -> bool:
        apart = abs(self.estimate.value - self.exact)
        return self.tolerance > 0 and apart <= self.tolerance

    @property
    def _is_inside(self) -> bool:
        return self.estimate.low <= self.exact <= self.estimate.high

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
