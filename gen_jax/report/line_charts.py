"""Curves over training as charts in a page.

A long series is drawn in stretches: the line is the mean of each stretch, and the band
its range. So a spike stays visible, and the page small.
"""

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gen_jax.figures import charts

# As in page.css; dark enough on white paper, and light enough on black.
COLORS = ("#3b7dd8", "#cf6a1e", "#2f9560", "#9466bd", "#c94b83", "#8f8c2c")
_INCHES = 4.4, 2.6
_MARGINS = {"left": 0.14, "right": 0.95, "bottom": 0.18, "top": 0.97}  # fractions
_STRETCHES = 80
_LOG_FROM = 30.0  # ratio of large to small values above which the axis is logarithmic
_MAX = 1e100  # beyond it differences overflow
_STRAY = 6.0  # ratio of all values' range to that of the inner 98 %


class Series(NamedTuple):
    """A curve: x, y [N], finite, x in ascending order.

    color: its place in `COLORS`, or beyond, dashed.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    color: int


class Chart(NamedTuple):
    """A chart in a page. legend: (name, color, last value). uri: the picture."""

    title: str
    x_label: str
    legend: list[tuple[str, int, str]]
    uri: str
    note: str


def series(
    name: str, records: Iterable[Mapping[str, Any]], x: str, y: str, color: int
) -> Series | None:
    """Return the numbers `y` over the numbers `x` of records; None if there is none."""
    pairs = ((record.get(x), record.get(y)) for record in records)
    points = [
        (a, b)
        for a, b in pairs
        if a is not None and b is not None and max(abs(a), abs(b)) < _MAX
    ]
    if not points:
        return None
    along, values = np.asarray(sorted(points, key=lambda p: p[0]), np.float64).T
    return Series(name, along, values, color)


def chart(title: str, x_label: str, curves: list[Series]) -> Chart:
    """Draw curves, at least one of at least one point each, on common axes."""
    figure, axes = charts.chart(*_INCHES, _MARGINS)
    note = draw(axes, curves)
    axes.set_xlabel(x_label)
    uri = base64.b64encode(charts.svg(figure)).decode()
    legend = [(curve.name, curve.color, short(curve.y[-1])) for curve in curves]
    return Chart(title, x_label, legend, f"data:image/svg+xml;base64,{uri}", note)


def draw(axes: Any, curves: list[Series]) -> str:
    """Draw curves on matplotlib's axes; return a note on the axes, or ""."""
    for curve in curves:
        color = COLORS[curve.color % len(COLORS)]
        x, mean, low, high = _stretches(curve)
        style = {"linestyle": "--" if curve.color >= len(COLORS) else "-"}
        marker = "o" if len(x) == 1 else None
        axes.plot(x, mean, color=color, linewidth=1.4, marker=marker, **style)
        if len(x) < len(curve.x):
            axes.fill_between(x, low, high, color=color, alpha=0.22, linewidth=0)
    every = np.concatenate([curve.y for curve in curves])
    bottom, top, is_logarithmic = _range(every)
    if is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    axes.set_ylim(bottom, top)
    axes.locator_params("x", nbins=5)  # more labels of large steps would overlap
    axes.grid(axis="y", alpha=0.25)
    notes = ["logarithmic"] if is_logarithmic else []
    if strays := int(((every < bottom) | (every > top)).sum()):
        notes.append(f"{strays} of {every.size} values lie outside")
    return ", ".join(notes)


def _stretches(curve: Series) -> tuple[np.ndarray, ...]:
    """Return x, and mean, minimum and maximum of y, of each stretch of a curve."""
    size = curve.x.size
    starts = np.arange(0, size, math.ceil(size / _STRETCHES))
    sizes = np.diff([*starts, size])
    means = (np.add.reduceat(each, starts) / sizes for each in (curve.x, curve.y))
    ranges = (of.reduceat(curve.y, starts) for of in (np.minimum, np.maximum))
    return *means, *ranges


def _range(y: np.ndarray) -> tuple[float, float, bool]:
    """Return the limits of the y axis, and whether it is logarithmic."""
    low, high = float(y.min()), float(y.max())
    small, large = (float(q) for q in np.quantile(y, (0.02, 0.98)))
    if low > 0 and large / small > _LOG_FROM:
        return low / 1.1, high * 1.1, True
    inner = [float(q) for q in np.quantile(y, (0.01, 0.99))]
    if high - low > _STRAY * (inner[1] - inner[0]) > 0:
        low, high = inner
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin, False


def short(x: float) -> str:
    """Return a number as text: four digits, thousands separated."""
    if abs(x) >= 1e4 and abs(x) < 1e15:
        return f"{x:,.0f}"
    return f"{x:.4g}"
