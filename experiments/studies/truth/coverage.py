"""The coverage of 95 % intervals over examples: how often they contain the true value.

`evaluate` gives a distance of sets an interval for its mean over sets of these sizes.
Sets of a known density can be drawn again and again. So the mean is known, and the
fraction of intervals that contain it is counted. For the Fréchet distance the fraction
that contains the exact distance is given too, which the intervals do not claim.

The jackknife is conservative: interactions among k examples are counted k times (Efron
& Stein 1981, "The jackknife estimate of variance"). Neighbours interact a lot. Halves
of a set share no examples. Let a and b be the metric of the two halves of a set. Each
has twice the variance of the metric of the whole set, so

    variance = mean over splits of (a - b)^2 / 4

This is tried here. `evaluate` does not use it. If a few real images with wide balls
decide, as for blurred images, halves scatter too little.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.ndimage import gaussian_filter

from experiments.studies.truth import densities
from experiments.studies.truth.finding import Finding, Plot, Row, markdown
from experiments.studies.truth.frechet import draws, exact_distance, pairs
from gen_jax.evaluation import distances
from gen_jax.metrics.intervals import Interval, fraction_interval, jackknife_interval

_LEVEL = 0.95
_TOLERANCE = 0.02  # of a fraction
_SPLITS = 20
_BLUR = 0.7  # pixels
_METRICS = ("Frechet", *distances.MANIFOLD)


class _Case(NamedTuple):
    """Pairs of sets, the metrics and their statistic, the exact Fréchet distance."""

    sets: list[tuple[np.ndarray, np.ndarray]]
    metrics: tuple[str, ...]
    statistic: Callable[..., tuple[float, ...]]
    exact: float | None = None


def check(dim: int = 16, number: int = 200, repetitions: int = 200) -> Finding:
    """Count the intervals that hold, for sets of `number` Gaussians and digits.

    The count is over `repetitions` pairs of sets; Gaussians have `dim` dimensions.
    """
    rows, fractions = [], {}
    table = [["intervals", *(f"{metric}: held, length" for metric in _METRICS)]]
    for name, case in _cases(dim, number, repetitions).items():
        for interval in (jackknife_interval, halves_interval):
            found = np.array(
                [np.array(interval(case.statistic, *x)) for x in case.sets]
            )
            held = dict(zip(case.metrics, _held(found), strict=True))
            label = f"{interval.__name__.removesuffix('_interval')}, {name}"
            fractions[label] = {metric: each.mean() for metric, each in held.items()}
            table.append([label, *_cells(case.metrics, held, found)])
            if interval is jackknife_interval:
                rows += _rows(f"{name}, N = {number}", case, held, found)
    plots = {"95 % intervals that hold the mean": _plot(fractions)}
    return Finding(rows, plots, markdown(table))


def _cases(dim: int, number: int, repetitions: int) -> dict[str, _Case]:
    def both(real, x):
        return (distances.frechet(real, x), *distances.manifold(real, x))

    cases = {
        name: _Case(
            list(draws(pair, number, repetitions)),
            _METRICS,
            both,
            exact_distance(*pair),
        )
        for name, pair in pairs(dim).items()
    }
    digits = densities.digits_mixture()
    sets = draws((digits, digits), number, repetitions)
    blurred = [(real, _blurred(x)) for real, x in sets]
    cases["blurred digits"] = _Case(blurred, distances.MANIFOLD, distances.manifold)
    return cases


def halves_interval(statistic: Callable, *sets: np.ndarray) -> Interval:
    """Return statistic(*sets), [K], and its interval by halving the sets [N, ...]."""
    value, rng = np.float64(statistic(*sets)), np.random.default_rng(0)
    variance = np.zeros_like(value)
    for _ in range(_SPLITS):
        pairs = [np.array_split(x[rng.permutation(len(x))], 2) for x in sets]
        first, second = (np.float64(statistic(*h)) for h in zip(*pairs, strict=True))
        variance = variance + (first - second) ** 2 / (4 * _SPLITS)
    half_width = np.sqrt(variance) * stats.t.ppf((1 + _LEVEL) / 2, _SPLITS)
    return Interval(value, value - half_width, value + half_width)


def _blurred(x: np.ndarray) -> np.ndarray:
    """Blur digits [N, 64] with a Gaussian."""
    images = x.reshape(-1, 8, 8)
    return gaussian_filter(images, (0, _BLUR, _BLUR)).reshape(x.shape)


def _held(found: np.ndarray, truth: float | None = None) -> np.ndarray:
    """Return which intervals [R, 3, K] contain the truth: bool [K, R].

    found: value, low and high of each of R repetitions.
    truth: the true value; by default the mean of the values over the repetitions, [K].
    """
    target = found[:, 0].mean(0) if truth is None else truth
    return ((found[:, 1] <= target) & (target <= found[:, 2])).T


def _rows(of: str, case: _Case, held: dict, found: np.ndarray) -> list[Row]:
    rows = [
        _row(f"{metric}, {of}: intervals that hold the mean", held[metric])
        for metric in ("Frechet", "precision", "recall")
        if metric in held
    ]
    if case.exact is not None:
        exact = _held(found, case.exact)[0]
        rows.append(_row(f"Frechet, {of}: intervals that hold the exact one", exact))
    return rows


def _row(what: str, held: np.ndarray) -> Row:
    """Return the fraction that hold, with Clopper and Pearson's interval."""
    estimate = fraction_interval(held.mean(), len(held))
    return Row(what, estimate, _LEVEL, tolerance=_TOLERANCE)


def _cells(
    metrics: tuple[str, ...], held: dict[str, np.ndarray], found: np.ndarray
) -> list[str]:
    """Format the fractions that hold, and the lengths relative to 1.96 deviations."""
    lengths = (found[:, 2] - found[:, 1]).mean(0)
    needed = 2 * 1.96 * found[:, 0].std(0)
    ratios = dict(zip(metrics, lengths / np.maximum(needed, 1e-9), strict=True))
    return [
        f"{held[m].mean():.3f}, {ratios[m]:.2f}" if m in held else "" for m in _METRICS
    ]


def _plot(fractions: dict[str, dict[str, float]]) -> Plot:
    def draw(axes):
        for number, (label, by) in enumerate(fractions.items()):
            marker = "o" if label.startswith("jackknife") else "x"
            shift = 0.12 * (number - (len(fractions) - 1) / 2)
            places = [_METRICS.index(metric) + shift for metric in by]
            axes.plot(places, list(by.values()), marker, label=label, markersize=5)
        axes.set_xticks(range(len(_METRICS)), _METRICS, fontsize=8)
        axes.axhline(_LEVEL, color="grey", linewidth=1)
        axes.set(ylabel="fraction", ylim=(0, 1.03))
        axes.legend(frameon=False, fontsize=8, loc="lower left")

    return draw
