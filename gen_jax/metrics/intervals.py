"""Confidence intervals: over the examples behind a number, and over trainings.

The bootstrap (Efron 1979) draws as many examples as there are, with replacement, and
computes the number again. Its scatter shows how far chance may have moved the number.
The jackknife (Tukey 1958) leaves out one of g groups at a time, so no example is
duplicated:

    variance = (g - 1) / g sum_i (d_i - mean d)^2

Neither covers another training. For that take Student's t interval over seeds:

    mean +- t_{n-1} s / sqrt(n)
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from gen_jax.errors import UserError, choose

_BLOCK = 2**22  # indices drawn at a time
_METHODS = {"percentile": "percentile", "bca": "BCa"}


class Interval(NamedTuple):
    """A number and the ends of its interval: floats, or arrays of equal shape."""

    value: Any
    low: Any
    high: Any


def bootstrap_interval(
    statistic: Callable[..., float],
    *examples: np.ndarray,
    level: float = 0.95,
    draws: int = 2000,
    method: str = "percentile",
    seed: int = 0,
) -> Interval:
    """Return statistic(*examples) and its interval by bootstrap over examples.

    statistic: maps arrays [N, ...] to a number.
    examples: arrays [N, ...] of one N >= 2; entries of one index stay together.
    level: coverage, in (0, 1).
    draws: number of resamples.
    method: "percentile"; or "bca" (Efron 1987), which is also right for skewed
        statistics, with N more calls of the statistic.

    Use it for means, fractions and the like, not for distances of sets (Fréchet,
    kernel, precision and recall). These see an example that is drawn twice as a copy,
    which moves the whole interval. Use `jackknife_interval` for them.

    Raises UserError if lengths differ, there are fewer than two examples, or an option
    is out of range. Also raises it if the statistic has no finite interval.
    """
    sizes = sorted({len(x) for x in examples})
    if len(sizes) != 1 or sizes[0] < 2:
        raise UserError(
            f"a bootstrap needs two examples or more, equally many in each array, "
            f"not {sizes}"
        )
    _check_level(level)
    if draws < 1:
        raise UserError(f"a bootstrap needs draws=1 or more, not {draws}")

    def of_places(places: np.ndarray) -> float:
        return statistic(*(x[places] for x in examples))

    places = np.arange(sizes[0])
    kind = choose("method", method, _METHODS)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the error below replaces SciPy's warnings
        low, high = stats.bootstrap(
            (places,),
            of_places,
            n_resamples=draws,
            batch=max(1, _BLOCK // len(places)),
            vectorized=False,
            confidence_level=level,
            method=kind,
            random_state=np.random.default_rng(seed),
        ).confidence_interval
    interval = Interval(*map(float, (of_places(places), low, high)))
    if not np.isfinite(interval).all():
        raise UserError(
            f"the {method} bootstrap has no finite interval of this statistic: "
            f"[{low}, {high}] about {interval.value}; check for NaN and for examples "
            "that are all equal"
        )
    return interval


def jackknife_interval(
    statistic: Callable[..., float | Sequence[float]],
    *sets: np.ndarray,
    level: float = 0.95,
    groups: int = 10,
    seed: int = 0,
) -> Interval:
    """Return statistic(*sets) and its interval by leaving out groups of each set.

    statistic: gives a number, or K numbers at once; the interval's parts are then [K].
    sets: independent sets, [N, ...] and [M, ...], each of at least `groups` examples.
        Their variances add up.
    level: coverage, in (0, 1).
    groups: number of groups per set.

    Use it for distances of sets. The interval is about the mean of the number over sets
    of these sizes, bias included. So it says how far chance moved the number, not how
    far it lies from its value for infinite sets. The interval is conservative:
    interactions among k examples are counted k times (Efron & Stein 1981, "The
    jackknife estimate of variance"). `experiments.truth` measures by how much.

    Raises UserError if there are fewer examples than groups, fewer than two groups, or
    the level is outside (0, 1).
    """
    _check_level(level)
    if groups < 2 or min(map(len, sets)) < groups:
        raise UserError(
            f"a jackknife needs at least two groups, and at least as many examples as "
            f"groups; there are {groups} groups and {min(map(len, sets))} examples"
        )
    value = np.asarray(statistic(*sets), np.float64)[()]  # a scalar stays one
    variance = np.zeros_like(value)
    for place, points in enumerate(sets):
        # In a random order, since the examples may be sorted by class.
        order = np.random.default_rng(seed + place).permutation(len(points))
        without = [np.delete(points, part, 0) for part in np.array_split(order, groups)]
        each = [statistic(*sets[:place], x, *sets[place + 1 :]) for x in without]
        variance = variance + (groups - 1) * np.var(each, axis=0)
    half_width = np.sqrt(variance) * float(stats.t.ppf((1 + level) / 2, groups - 1))
    return Interval(value, value - half_width, value + half_width)


def fraction_interval(fraction: float, number: int, level: float = 0.95) -> Interval:
    """Return the interval of a fraction of `number` examples (Clopper & Pearson 1934).

    Its length is positive for a fraction of 0 and 1 too. Raises UserError if there are
    no examples or the level is outside (0, 1).
    """
    _check_level(level)
    if number < 1:
        raise UserError(f"a fraction needs at least one example, not {number}")
    found = stats.binomtest(round(fraction * number), number)
    low, high = found.proportion_ci(level, method="exact")
    return Interval(fraction, min(fraction, float(low)), max(fraction, float(high)))


def seeds_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of one number per training, and its t interval.

    values: two numbers or more.

    Raises UserError if there are fewer, one is not finite, or the level is outside (0,
    1).
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.isfinite(numbers).all():
        raise UserError(
            f"an interval over seeds needs at least two finite numbers, not "
            f"{list(values)}"
        )
    _check_level(level)
    mean = float(numbers.mean())
    error = numbers.std(ddof=1) / math.sqrt(len(numbers))
    half_width = float(error * stats.t.ppf((1 + level) / 2, len(numbers) - 1))
    return Interval(mean, mean - half_width, mean + half_width)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level={level} is out of range: give one between 0 and 1")
