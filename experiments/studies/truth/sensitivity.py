"""The sensitivity of metrics: digits with known faults, compared with perfect ones.

A perfect model draws digits that are in neither the reference nor the training set.
Each fault, at several strengths, must move the metrics that claim to detect it, in the
direction that they claim (`CLAIMS`). Everything is repeated with other digits in each
set. The differences from the perfect model's numbers on the same digits give

    mean +- t_{R-1} s sqrt(1 + 1 / R)

The next difference lies in that interval with a probability of 95 %. If the interval
contains 0, one evaluation cannot tell the fault from chance. The digits are few and
each is drawn again and again. So the scatter is too small: for a mean, s is an eighth
too small.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.ndimage import gaussian_filter

from experiments.studies.truth.finding import Finding, Row, markdown
from gen_jax import data, images
from gen_jax.evaluation import distances
from gen_jax.figures.sharpness import fine_energy
from gen_jax.metrics.intervals import Interval
from gen_jax.metrics.kernel import squared_mmd
from gen_jax.metrics.neighbours import memorized
from gen_jax.metrics.networks import features
from gen_jax.metrics.networks.features import FeatureNetwork

METRICS = ("Frechet", "kernel", *distances.MANIFOLD, "sharpness", "memorized")
_DISTANCES = {"Frechet": "up", "kernel": "up"}
_LOOKS = {**_DISTANCES, "precision": "down", "density": "down"}
CLAIMS = {
    "blur": {**_LOOKS, "sharpness": "down"},
    "noise": {**_LOOKS, "sharpness": "up"},
    "dropped": {**_DISTANCES, "recall": "down", "coverage": "down"},
    "memorized": {"memorized": "up"},
}
# Standard deviations of the blur in pixels and of the noise in units of x; number of
# dropped classes; fraction of memorized samples.
STRENGTHS = {
    "blur": (0.4, 0.6, 1.0),
    "noise": (0.1, 0.2, 0.4),
    "dropped": (1, 2, 5),
    "memorized": (0.25, 0.5, 1.0),
}
_FRACTIONS = ("precision", "recall", "coverage", "memorized")
_LEVEL = 0.95
_TRAIN = 0.4  # fraction of the digits; five classes of the rest are enough for a set
_MAX_SHOWN = 10.0  # half-widths, at which the map's colours end


class _Digits(NamedTuple):
    """The digits of one repetition.

    train: training images; the first of them are the reference.
    fresh, y: further images and their labels.
    seed: seed of everything else that is drawn.
    """

    train: np.ndarray
    fresh: np.ndarray
    y: np.ndarray
    seed: tuple[int, ...]


def check(
    network: str = "classifier",
    size: int = 400,
    strengths: Mapping[str, tuple[float, ...]] = STRENGTHS,
    repetitions: int = 20,
) -> Finding:
    """Measure the effect of every fault at its strengths on every metric.

    network: name of the feature network.
    size: images in a set.
    strengths: fault -> strengths.
    repetitions: number of repetitions with other digits.
    """
    dataset = data.load(data.DataConfig("digits"))
    compare = functools.partial(_compared, features.network(network, dataset), size)
    faults = [(fault, s) for fault in strengths for s in strengths[fault]]
    real_baseline, residuals = [], {each: [] for each in faults}
    for repetition in range(repetitions):
        digits = _drawn(dataset, repetition)
        real_baseline.append(compare(digits, digits.fresh[:size]))
        for each in faults:
            found = compare(digits, _faulty(*each, digits, size))
            residuals[each].append(found - real_baseline[-1])
    moved = {each: _of_the_next(np.array(x)) for each, x in residuals.items()}
    rows = {
        each: _rows(*each, moved[each], np.mean(real_baseline, 0)) for each in faults
    }
    strongest = [row for f in strengths for row in rows[f, max(strengths[f])]]
    fractions = {
        each: x.value / np.maximum(x.high - x.value, 1e-9) for each, x in moved.items()
    }
    paragraphs = [
        f"Each number is a fault's mean movement over {repetitions} repetitions. Its "
        "unit is the half-width of the interval for the movement in another "
        "repetition. Below 1, one evaluation cannot tell the fault from chance. Bold: "
        "the faults that the metric claims to detect. In the table above, intervals "
        "of fractions are clipped, so that no fraction leaves [0, 1].",
        _exceptions([row for each in rows.values() for row in each]),
        _table(fractions),
    ]
    title = "Faults: movement in half-widths of chance"
    return Finding(strongest, {title: _plot(fractions)}, "\n\n".join(paragraphs))


def _drawn(dataset: data.Dataset, repetition: int) -> _Digits:
    order = np.random.default_rng((1, 6, repetition)).permutation(len(dataset.train))
    x, y = dataset.train.read(order).values()
    split, x = round(_TRAIN * len(x)), images.from_uint8(x)
    return _Digits(x[:split], x[split:], y[split:], (1, 7, repetition))


def _faulty(fault: str, strength: float, digits: _Digits, size: int) -> np.ndarray:
    """Return samples [size, 8, 8, 1] of a model that is perfect but for one fault."""
    x, rng = digits.fresh[:size], np.random.default_rng(digits.seed)
    if fault == "blur":
        return gaussian_filter(x, (0, strength, strength, 0))
    if fault == "noise":
        return x + strength * rng.standard_normal(x.shape)
    if fault == "dropped":
        return digits.fresh[digits.y >= strength][:size]
    copies = rng.choice(len(digits.train), round(strength * size), replace=False)
    return np.concatenate([digits.train[copies], x[len(copies) :]])


def _compared(
    network: FeatureNetwork, size: int, digits: _Digits, x: np.ndarray
) -> np.ndarray:
    """Compute `METRICS` of samples x in [-1, 1], as `evaluate` does."""
    reference = digits.train[:size]
    at_rest = images.to_uint8(x)
    sets = [network.features(each) for each in (images.to_uint8(reference), at_rest)]
    sharp = fine_energy(images.from_uint8(at_rest)).mean()
    return np.array(
        [
            distances.frechet(*sets),
            squared_mmd(*sets),
            *distances.manifold(*sets),
            sharp / fine_energy(reference).mean(),
            memorized(at_rest, images.to_uint8(digits.train)).mean(),
        ]
    )


def _of_the_next(x: np.ndarray) -> Interval:
    """Return the mean of numbers [R, K], and the interval of the next: parts [K]."""
    mean, half_width = x.mean(0), x.std(0, ddof=1) * np.sqrt(1 + 1 / len(x))
    half_width *= stats.t.ppf((1 + _LEVEL) / 2, len(x) - 1)
    return Interval(mean, mean - half_width, mean + half_width)


def _rows(
    fault: str, strength: float, moved: Interval, real_baseline: np.ndarray
) -> list[Row]:
    """Return a row per metric that claims to detect the fault.

    Intervals of fractions are clipped, so that no fraction leaves [0, 1].
    """
    rows = []
    for metric, way in CLAIMS[fault].items():
        at = METRICS.index(metric)
        perfect = f"{real_baseline[at]:.3g}"
        what = f"digits, {fault} {strength:g}: {metric} - a perfect model's {perfect}"
        estimate = Interval(*(float(part[at]) for part in moved))
        if metric in _FRACTIONS:
            low, high = np.clip(estimate[1:], -real_baseline[at], 1 - real_baseline[at])
            estimate = Interval(estimate.value, float(low), float(high))
        rows.append(Row(what, estimate, 0.0, claim=f"moved {way}"))
    return rows


def _exceptions(rows: list[Row]) -> str:
    """List the claims that do not hold, in Markdown, one per line."""
    failed = [f"- {row.what}: {row.verdict}" for row in rows if not row.holds]
    if not failed:
        return "Every claim holds."
    head = f"{len(failed)} of {len(rows)} claims do not hold:\n"
    return "\n".join([head, *failed])


def _table(moved: dict) -> str:
    """Format a table in Markdown: one row per fault, one column per metric.

    The faults that a metric claims to detect are bold.
    """
    table = [["fault", *METRICS]]
    for (fault, strength), by in moved.items():
        cells = [
            f"**{x:+.1f}**" if metric in CLAIMS[fault] else f"{x:+.1f}"
            for metric, x in zip(METRICS, by, strict=True)
        ]
        table.append([f"{fault} {strength:g}", *cells])
    return markdown(table)


def _plot(moved: dict):
    numbers = np.array(list(moved.values()))

    def draw(axes):
        axes.imshow(
            numbers, cmap="RdBu", vmin=-_MAX_SHOWN, vmax=_MAX_SHOWN, aspect="auto"
        )
        axes.set_xticks(range(len(METRICS)), METRICS, rotation=40, ha="right")
        axes.set_yticks(range(len(moved)), [f"{f} {s:g}" for f, s in moved], fontsize=8)
        for row, column in np.ndindex(*numbers.shape):
            value = numbers[row, column]
            colour = "white" if abs(value) > 0.6 * _MAX_SHOWN else "black"
            axes.text(
                column,
                row,
                f"{round(value)}",
                ha="center",
                va="center",
                color=colour,
                fontsize=7,
            )

    return draw
