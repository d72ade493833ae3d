"""How sure is a number? Over the examples that it was taken from, and over trainings.

The bootstrap (Efron 1979) draws as many examples as there are, some of them twice, and
takes the number again: how far it scatters is how far chance may have moved it. The
jackknife (Tukey 1958) leaves out one of g groups at a time, which copies nothing:

    variance = (g - 1) / g sum_i (d_i - mean d)^2

Neither says anything of another training, which the interval of Student's t over seeds
does:

    mean +- t_{n-1} s / sqrt(n)
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from gen_jax.errors import UserError, choose

_BLOCK = 2**22  # places that are drawn at a time
_METHODS = {"percentile": "percentile", "bca": "BCa"}


class Interval(NamedTuple):
    """A number, and the interval in which it lies: floats, or arrays of them."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    statistic: Callable[..., float],
    *examples: np.ndarray,
    level: float = 0.95,
    draws: int = 2000,
    method: str = "percentile",
    seed: int = 0,
) -> Interval:
    """statistic(*examples), and its interval by bootstrap over examples.

    examples: arrays [N, ...] of one N >= 2; what has one place stays together.
    method: "percentile"; or "bca" (Efron 1987), right for skewed ones too, at N more
        calls of the statistic.

    For means, shares and their like. A distance of sets (Fréchet, kernel, precision and
    recall) sees an example that is drawn twice as a copy, and its interval lies aside:
    those are `jackknife_interval`'s.

    Raises UserError for lengths that differ, fewer than two examples, another method, a
    level or number of draws that makes no sense, and where the statistic has no finite
    interval.
    """
    sizes = sorted({len(x) for x in examples})
    if len(sizes) != 1 or sizes[0] < 2:
        raise UserError(
            f"a bootstrap needs two examples at least, of one number in each array, "
            f"not {sizes}"
        )
    _check_level(level)
    if draws < 1:
        raise UserError(f"a bootstrap needs draws, not {draws}")

    def of_places(places: np.ndarray) -> float:
        return statistic(*(x[places] for x in examples))

    places = np.arange(sizes[0])
    kind = choose("method", method, _METHODS)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what has no interval, as is said below
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
            f"[{low}, {high}] about {interval.value}"
        )
    return interval


def jackknife_interval(
    statistic: Callable[..., float | Sequence[float]],
    *sets: np.ndarray,
    level: float = 0.95,
    groups: int = 10,
    seed: int = 0,
) -> Interval:
    """statistic(*sets), and its interval by leaving groups out of each set in turn.

    statistic: a number, or K of them at once; the interval's parts are then [K].
    sets: independent ones, [N, ...] and [M, ...], of `groups` examples at least. Their
        variances add up.

    For distances of sets. The interval is about what sets of these sizes give in the
    mean, bias included: it says how far chance moved the number, not how far it lies
    from that of endless sets. It is rather too long than too short, since what k
    examples do together is counted k times (Efron & Stein 1981, "The jackknife estimate
    of variance"): `experiments.truth` says by how much.

    Raises UserError for fewer examples or groups, and a level that makes no sense.
    """
    _check_level(level)
    if groups < 2 or min(map(len, sets)) < groups:
        raise UserError(
            f"a jackknife needs two groups at least, and as many examples as groups; "
            f"there are {groups} groups and {min(map(len, sets))} examples"
        )
    value = np.float64(statistic(*sets))
    variance = np.zeros_like(value)
    for place, points in enumerate(sets):
        # In no order of the examples', which may be by class.
        order = np.random.default_rng(seed + place).permutation(len(points))
        without = [np.delete(points, part, 0) for part in np.array_split(order, groups)]
        each = [statistic(*sets[:place], x, *sets[place + 1 :]) for x in without]
        variance = variance + (groups - 1) * np.var(each, axis=0)
    half_width = np.sqrt(variance) * float(stats.t.ppf((1 + level) / 2, groups - 1))
    return Interval(value, value - half_width, value + half_width)


def fraction_interval(fraction: float, number: int, level: float = 0.95) -> Interval:
    """A share of `number` independent examples (Clopper & Pearson 1934).

    It has a length at 0 and 1 too. Raises UserError for no examples, and a level that
    makes no sense.
    """
    _check_level(level)
    if number < 1:
        raise UserError(f"a fraction is of one example at least, not of {number}")
    found = stats.binomtest(round(fraction * number), number)
    low, high = found.proportion_ci(level, method="exact")
    return Interval(fraction, min(fraction, float(low)), max(fraction, float(high)))


def seeds_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The mean of one number of each training, two or more, and its t-interval.

    Raises UserError for fewer, values that are not finite, and a level outside (0, 1).
    """
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.isfinite(numbers).all():
        raise UserError(
            f"an interval over seeds needs two finite numbers at least, not "
            f"{list(values)}"
        )
    _check_level(level)
    mean = float(numbers.mean())
    error = numbers.std(ddof=1) / math.sqrt(len(numbers))
    half_width = float(error * stats.t.ppf((1 + level) / 2, len(numbers) - 1))
    return Interval(mean, mean - half_width, mean + half_width)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"an interval's level lies between 0 and 1, not at {level}")
