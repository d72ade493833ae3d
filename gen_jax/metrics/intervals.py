"""Confidence intervals of 95 %: over the examples behind a number, or over trainings.

The bootstrap (Efron 1979) draws as many examples as there are, with replacement, and
computes the number again. Its scatter shows how far chance may have moved the number.
The jackknife (Tukey 1958) leaves out one of g groups at a time, so no example is
duplicated:

    variance = (g - 1) / g sum_i (d_i - mean d)^2

Neither covers another training. For that take Student's t interval over seeds:

    mean +- t_{n-1} s / sqrt(n)
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from gen_jax.errors import UserError

_LEVEL = 0.95  # coverage of all intervals
_BLOCK = 2**22  # indices drawn at a time
GROUPS = 10  # of the jackknife, per set


class Interval(NamedTuple):
    """A number and the ends of its interval: floats, or arrays of equal shape."""

    value: Any
    low: Any
    high: Any


def bootstrap_interval(
    statistic: Callable[..., float],
    *examples: np.ndarray,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return statistic(*examples) and its percentile interval over resamples.

    statistic: maps arrays [N, ...] to a number.
    examples: arrays [N, ...] of one N >= 2; entries of one index stay together.
    draws: number of resamples.

    Use it for means, fractions and the like, not for distances of sets (Fréchet,
    kernel, precision and recall). These see an example that is drawn twice as a copy,
    which moves the whole interval. Use `jackknife_interval` for them.

    Raises UserError if lengths differ, there are fewer than two examples or no draws,
    or the statistic has no finite interval.
    """
    sizes = sorted({len(x) for x in examples})
    if len(sizes) != 1 or sizes[0] < 2:
        raise UserError(
            f"a bootstrap needs two examples or more, equally many in each array, "
            f"not {sizes}"
        )
    if draws < 1:
        raise UserError(f"a bootstrap needs draws=1 or more, not {draws}")

    def of_places(places: np.ndarray) -> float:
        return statistic(*(x[places] for x in examples))

    places = np.arange(sizes[0])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the error below replaces SciPy's warnings
        low, high = stats.bootstrap(
            (places,),
            of_places,
            n_resamples=draws,
            batch=max(1, _BLOCK // len(places)),
            vectorized=False,
            confidence_level=_LEVEL,
            method="percentile",
            random_state=np.random.default_rng(seed),
        ).confidence_interval
    interval = Interval(*map(float, (of_places(places), low, high)))
    if not np.isfinite(interval).all():
        raise UserError(
            f"the bootstrap has no finite interval of this statistic: [{low}, {high}] "
            f"about {interval.value}; check for NaN"
        )
    return interval


def jackknife_interval(
    statistic: Callable[..., float | Sequence[float]], *sets: np.ndarray
) -> Interval:
    """Return statistic(*sets) and its interval by leaving out groups of each set.

    statistic: gives a number, or K numbers at once; the interval's parts are then [K].
    sets: independent sets, [N, ...] and [M, ...], each of at least ten examples. Their
        variances add up.

    Use it for distances of sets. The interval is about the mean of the number over sets
    of these sizes, bias included. So it says how far chance moved the number, not how
    far it lies from its value for infinite sets. The interval is conservative:
    interactions among k examples are counted k times (Efron & Stein 1981, "The
    jackknife estimate of variance"). `experiments.truth` measures by how much.

    Raises UserError if a set has fewer than ten examples.
    """
    if (smallest := min(map(len, sets))) < GROUPS:
        raise UserError(
            f"a jackknife needs at least as many examples as groups: {GROUPS}, not "
            f"{smallest}"
        )
    value = np.asarray(statistic(*sets), np.float64)[()]  # a scalar stays one
    variance = np.zeros_like(value)
    for place, points in enumerate(sets):
        # In a random order, since the examples may be sorted by class.
        order = np.random.default_rng(place).permutation(len(points))
        parts = np.array_split(order, GROUPS)
        without = [np.delete(points, part, 0) for part in parts]
        each = [statistic(*sets[:place], x, *sets[place + 1 :]) for x in without]
        variance = variance + (GROUPS - 1) * np.var(each, axis=0)
    half_width = np.sqrt(variance) * float(stats.t.ppf((1 + _LEVEL) / 2, GROUPS - 1))
    return Interval(value, value - half_width, value + half_width)


def fraction_interval(fraction: float, number: int) -> Interval:
    """Return the interval of a fraction of `number` examples (Clopper & Pearson 1934).

    Its length is positive for a fraction of 0 and 1 too. Raises UserError if there are
    no examples.
    """
    if number < 1:
        raise UserError(f"a fraction needs at least one example, not {number}")
    found = stats.binomtest(round(fraction * number), number)
    low, high = found.proportion_ci(_LEVEL, method="exact")
    return Interval(fraction, min(fraction, float(low)), max(fraction, float(high)))


def seeds_interval(values: Sequence[float]) -> Interval:
    """Return the mean of one number per training, and its t interval.

    Raises UserError if there are fewer than two numbers, or one is not finite.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.isfinite(numbers).all():
        raise UserError(
            f"an interval over seeds needs at least two finite numbers, not "
            f"{list(values)}"
        )
    mean, error = float(numbers.mean()), stats.sem(numbers)
    half_width = float(error * stats.t.ppf((1 + _LEVEL) / 2, len(numbers) - 1))
    return Interval(mean, mean - half_width, mean + half_width)
