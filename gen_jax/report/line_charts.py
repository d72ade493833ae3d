"""Curves over training as shapes that a template draws: paths, ticks, words.

A long series is drawn by stretches: the line is their mean, the band behind it their
range, so that neither a spike nor the file's size gets out of hand.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gen_jax.report.run_files import number

WIDTH, HEIGHT = 340, 170  # of the plot itself, in the units of the paths
_STRETCHES = 80
_LOG_FROM = 30.0  # of large to small values, above which logarithms show more
_MAX = 1e100  # beyond it differences overflow
_STRAY = 6.0  # all to the inner 98 %: above it single points squeeze the rest


class Series(NamedTuple):
    """A curve: x, y [N], finite; color: its number in the page's palette."""

    name: str
    x: np.ndarray
    y: np.ndarray
    color: int


class Line(NamedTuple):
    """A series as drawn: SVG paths, and its last value."""

    name: str
    color: int
    path: str
    band: str
    last: str


class Chart(NamedTuple):
    """Ticks are (place, text), from the left and from the top."""

    title: str
    x_label: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    note: str


def series(
    name: str, records: Iterable[Mapping[str, Any]], x: str, y: str, color: int
) -> Series | None:
    """The field `y` over the field `x` where both are numbers; None for nowhere."""
    pairs = ((number(record.get(x)), number(record.get(y))) for record in records)
    points = [
        (a, b) for a, b in pairs if None not in (a, b) and max(abs(a), abs(b)) < _MAX
    ]
    if not points:
        return None
    return Series(name, *np.asarray(points, np.float64).T, color)


def chart(title: str, x_label: str, curves: list[Series]) -> Chart:
    """Draws curves, at least one of at least one point each, on common axes."""
    x_most = max(curve.x.max() for curve in curves) or 1.0
    every = np.concatenate([curve.y for curve in curves])
    low, high, logarithmic = _range(every)
    inside = (every >= low) & (every <= high)

    def place(y):
        if logarithmic:
            fraction = np.log(y / low) / np.log(high / low)
        else:
            fraction = (y - low) / (high - low)
        return (1 - fraction) * HEIGHT

    lines = [_line(curve, x_most, place) for curve in curves]
    ticks = _log_ticks(low, high) if logarithmic else _ticks(low, high, 4)
    notes = ["logarithmic"] if logarithmic else []
    if strays := int((~inside).sum()):
        notes.append(f"{strays} of {every.size} values lie outside")
    return Chart(
        title,
        x_label,
        lines,
        [(x / x_most * WIDTH, _short(x)) for x in _ticks(0, x_most, 4)],
        [(float(place(y)), _short(y)) for y in ticks],
        ", ".join(notes),
    )


def _range(y: np.ndarray) -> tuple[float, float, bool]:
    """Least and most to be shown, and whether on a logarithmic axis."""
    low, high = float(y.min()), float(y.max())
    most = [float(q) for q in np.quantile(y, (0.02, 0.98))]
    if low > 0 and most[1] / most[0] > _LOG_FROM:
        return low / 1.1, high * 1.1, True
    inner = [float(q) for q in np.quantile(y, (0.01, 0.99))]
    if high - low > _STRAY * (inner[1] - inner[0]) > 0:
        low, high = inner
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin, False


def _line(curve: Series, x_most: float, place) -> Line:
    order = np.argsort(curve.x, kind="stable")
    length = math.ceil(order.size / _STRETCHES)
    parts = np.split(order, range(length, order.size, length))
    x = [curve.x[part].mean() / x_most * WIDTH for part in parts]
    mean, least, most = (
        [_within(place(of(curve.y[part]))) for part in parts]
        for of in (np.mean, np.min, np.max)
    )
    band = ""
    if length > 1:
        there, back = _path(x, most), _path(x[::-1], least[::-1])
        band = f"M{there}L{back}Z"
    if len(x) == 1:  # a path of one point would not be seen
        x, mean = [x[0] - 2, x[0] + 2], mean * 2
    return Line(
        curve.name, curve.color, f"M{_path(x, mean)}", band, short(curve.y[order[-1]])
    )


def _within(y: float) -> float:
    """What lies outside is drawn outside, but not where a browser gives up."""
    return min(max(float(y), -HEIGHT), 2 * HEIGHT)


def _path(x: list[float], y: list[float]) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in a range: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    if not raw > 0 or not math.isfinite(raw):
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in a range, thinned where they are many; with 2s and 5s if few."""
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    if len(exponents) < 3:
        first = math.floor(math.log10(low))
        grid = (m * 10.0**e for e in range(first, first + 4) for m in (1, 2, 5))
        return [y for y in grid if low <= y <= high]
    return [10.0**e for e in exponents[:: math.ceil(len(exponents) / 5)]]


def _short(x: float) -> str:
    """A tick: 20000 as 20k, and no rounding errors."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(x) >= size:
            return f"{x / size:.4g}{letter}"
    return f"{x:.4g}" if abs(x) > 1e-12 else "0"


def short(x: float) -> str:
    """A value to be read: four digits, thousands apart."""
    if abs(x) >= 1e4 and abs(x) < 1e15:
        return f"{x:,.0f}"
    return f"{x:.4g}"
