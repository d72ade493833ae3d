"""How often 95 % intervals over examples hold what they are about.

`evaluate` says of a distance of sets how far chance moved it about its mean over sets
of their sizes. Of densities that are known sets can be drawn again and again, so that
the mean is known, and the share of intervals that hold it is counted. Beside it, of the
Frechet distance, the share that hold the exact distance, which they do not claim.

Of precision and its like, whose intervals are by halves, the jackknife's are counted
too: what they hold, and how long they are beside 1.96 deviations over repetitions.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

from gen_jax.evaluation import distances
from gen_jax.metrics.intervals import Interval, halves_interval, jackknife_interval
from gen_jax.truth.finding import Finding, Row, markdown
from gen_jax.truth.frechet import draws, exact_distance, pairs

_LEVEL = 0.95
_TOLERANCE = 0.03


def check(dim: int = 16, number: int = 200, repetitions: int = 200) -> Finding:
    """Of sets of `number` draws in `dim` dimensions, `repetitions` times."""
    rows, shares, lines = [], {}, []
    for name, pair in pairs(dim).items():
        sets = list(draws(pair, number, repetitions))
        of = f"{name}, N = {number}: intervals that hold"
        found = _intervals(distances.frechet, jackknife_interval, sets)
        exact = np.array([exact_distance(*pair)])
        rows += [
            _row(f"Frechet, {of} the mean", _held(found, found[:, 0].mean(0))[0]),
            _row(f"Frechet, {of} the exact one", _held(found, exact)[0]),
        ]
        by_halves, by_jackknife = (
            _intervals(distances.manifold, interval, sets)
            for interval in (halves_interval, jackknife_interval)
        )
        held = _held(by_halves, by_halves[:, 0].mean(0))
        rows += [
            _row(f"{metric}, {of} the mean", each)
            for metric, each in zip(distances.MANIFOLD, held, strict=True)
        ]
        for label, found in (("halves", by_halves), ("jackknife", by_jackknife)):
            shares[f"{label}, {name}"] = _held(found, found[:, 0].mean(0)).mean(1)
            lines.append((f"{label}, {name}", found))
    plots = {"95 % intervals that hold the mean": _plot(shares)}
    return Finding(rows, plots, _table(lines))


def _intervals(statistic: Callable, interval: Callable, sets: list) -> np.ndarray:
    """Value, low and high in each repetition: [R, 3, K] of K numbers at once."""
    found = np.array([np.array(interval(statistic, *x)) for x in sets])
    return found.reshape(len(sets), 3, -1)


def _held(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Which intervals [R, 3, K] hold the truth [K]: bool [K, R]."""
    return ((found[:, 1] <= truth) & (truth <= found[:, 2])).T


def _row(what: str, held: np.ndarray) -> Row:
    """The share that hold, with Clopper and Pearson's interval."""
    share = binomtest(int(held.sum()), len(held))
    low, high = share.proportion_ci(0.95)
    estimate = Interval(share.statistic, low, high)
    return Row(what, estimate, _LEVEL, tolerance=_TOLERANCE)


def _table(lines: list[tuple[str, np.ndarray]]) -> str:
    """In Markdown: shares that hold, and lengths beside those that just would."""
    head = ["intervals", *(f"{name}: held, length" for name in distances.MANIFOLD)]
    table = [head]
    for label, found in lines:
        held = _held(found, found[:, 0].mean(0)).mean(1)
        length = (found[:, 2] - found[:, 1]).mean(0) / (2 * 1.96 * found[:, 0].std(0))
        columns = zip(held, length, strict=True)
        table.append([label, *(f"{h:.3f}, {n:.2f}" for h, n in columns)])
    return markdown(table)


def _plot(shares: dict[str, np.ndarray]):
    def draw(axes):
        for label, values in shares.items():
            marker = "o" if label.startswith("halves") else "x"
            axes.plot(distances.MANIFOLD, values, marker, label=label)
        axes.axhline(_LEVEL, color="grey", linewidth=1)
        axes.set(ylabel="share", ylim=(0.75, 1.01))
        axes.legend(frameon=False, fontsize=8, loc="lower right")

    return draw
