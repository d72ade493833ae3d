"""The result of a check: estimates next to exact values, and how to plot them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from gen_jax.evaluation.result import mean_of
from gen_jax.metrics.intervals import Interval

Claim = Literal["equal", "below", "moved up", "moved down"]
Plot = Callable[[Any], None]  # draws on matplotlib's axes


class Row(NamedTuple):
    """An estimate, its 95 % interval, and the exact value.

    what: name of the quantity.
    claim: relation of the estimate to the exact value. It is "equal"; "below", for a
        bound; or "moved up" or "moved down", for a fault's effect on a perfect model's
        number.
    tolerance: maximum difference, if the estimate is an error; else 0.
    """

    what: str
    estimate: Interval
    exact: float
    unit: str = ""
    claim: Claim = "equal"
    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Return whether the interval agrees with the claim."""
        return {
            "equal": self._is_near or self._is_inside,
            "below": self.estimate.low <= self.exact,
            "moved up": self.estimate.low > self.exact,
            "moved down": self.estimate.high < self.exact,
        }[self.claim]

    @property
    def verdict(self) -> str:
        """The result in words, with the difference if there is one."""
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
        residual = abs(self.estimate.value - self.exact)
        return self.tolerance > 0 and residual <= self.tolerance

    @property
    def _is_inside(self) -> bool:
        return self.estimate.low <= self.exact <= self.estimate.high

    def as_json(self) -> dict[str, Any]:
        """Return the row as plain numbers and strings."""
        estimate = {k: float(v) for k, v in self.estimate._asdict().items()}
        own = {"estimate": estimate, "exact": float(self.exact)}
        return {**self._asdict(), **own, "verdict": self.verdict}


class Finding(NamedTuple):
    """Rows, plots by their titles, and a text in Markdown that follows them."""

    rows: list[Row]
    plots: Mapping[str, Plot] = {}
    text: str = ""


def mean(x: np.ndarray) -> Interval:
    """Return the mean of one number per example [N], with the interval of `evaluate`.

    N is 2 or more.
    """
    found = mean_of(x)
    return Interval(found.value, found.low, found.high)


def draw_band(axes: Any, found: Mapping[float, Interval]) -> None:
    """Draw a line of values in a band of their intervals; x are the keys."""
    values = np.array(list(found.values()))
    axes.fill_between(list(found), values[:, 1], values[:, 2], alpha=0.3)
    axes.plot(list(found), values[:, 0], marker="o", markersize=3)


def draw_lines(
    axes: Any, x: Sequence[float], curves: Mapping[str, Sequence[float]]
) -> None:
    """Draw curves by their labels, each of as many values as x has."""
    for label, values in curves.items():
        axes.plot(x, values, marker="o", markersize=3, label=label)
    axes.legend(frameon=False)


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Format rows of cells as a table in Markdown; the first row is its head."""
    head, *rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
