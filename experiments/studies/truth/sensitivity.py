"""Which metric sees which fault: digits with known faults, beside perfect ones.

A perfect model draws digits that are neither those of the reference nor those of the
training set. Each fault, at several strengths, must move the metrics that claim to see
it, and the way that they claim (`CLAIMS`). All is repeated with other digits in each
part: of the differences from the perfect model's numbers, of the same digits,

    mean +- t_{R-1} s sqrt(1 + 1 / R)

is where the next one lies, 95 % of the time. A fault whose interval has 0 in it cannot
be told from chance by one evaluation. The digits are few and each is drawn again and
again, so that the scatter is rather too small: of a mean s is by an eighth.
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
    "memorised": {"memorized": "up"},
}
# Of a Gaussian, in pixels; of noise, in units of x; classes; a share of samples.
STRENGTHS = {
    "blur": (0.4, 0.6, 1.0),
    "noise": (0.1, 0.2, 0.4),
    "dropped": (1, 2, 5),
    "memorised": (0.25, 0.5, 1.0),
}
_SHARES = ("precision", "recall", "coverage", "memorized")
_LEVEL = 0.95
_TRAIN = 0.4  # of the digits; of the others, five classes are enough for a set
_MAX_SHOWN = 10.0  # half-lengths, at which the map's colours end


class _Digits(NamedTuple):
    """Training images, of which the first are the reference; fresh ones, and labels.

    seed: of what else is drawn.
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
    """Every fault at its strengths, on a network's features; `size` images a set."""
    dataset = data.load(data.DataConfig("digits"))
    compare = functools.partial(_compared, features.network(network, dataset), size)
    faults = [(fault, s) for fault in strengths for s in strengths[fault]]
    real_baseline, apart = [], {each: [] for each in faults}
    for repetition in range(repetitions):
        digits = _drawn(dataset, repetition)
        real_baseline.append(compare(digits, digits.fresh[:size]))
        for each in faults:
            found = compare(digits, _faulty(*each, digits, size))
            apart[each].append(found - real_baseline[-1])
    moved = {each: _of_the_next(np.array(x)) for each, x in apart.items()}
    rows = {
        each: _rows(*each, moved[each], np.mean(real_baseline, 0)) for each in faults
    }
    strongest = [row for f in strengths for row in rows[f, max(strengths[f])]]
    fractions = {
        each: x.value / np.maximum(x.high - x.value, 1e-9) for each, x in moved.items()
    }
    said = [
        f"Each number is a fault's mean movement over {repetitions} repetitions, in "
        "half-lengths of the interval in which that of another one lies: within 1 one "
        "evaluation cannot tell it from chance. Bold: what the metric claims to see. "
        "In the table above intervals of shares are clipped, so that no share leaves "
        "[0, 1].",
        _exceptions([row for each in rows.values() for row in each]),
        _table(fractions),
    ]
    title = "Faults: movement in half-lengths of chance"
    return Finding(strongest, {title: _plot(fractions)}, "\n\n".join(said))


def _drawn(dataset: data.Dataset, repetition: int) -> _Digits:
    order = np.random.default_rng((1, 6, repetition)).permutation(len(dataset.train))
    x, y = dataset.train.read(order).values()
    most, x = round(_TRAIN * len(x)), images.from_uint8(x)
    return _Digits(x[:most], x[most:], y[most:], (1, 7, repetition))


def _faulty(fault: str, strength: float, digits: _Digits, size: int) -> np.ndarray:
    """Samples [size, 8, 8, 1] of a model that is perfect but for one fault."""
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
    """`METRICS` of samples x in [-1, 1], as `evaluate` takes them."""
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
    """The mean of numbers [R, K], and where another repetition's lie: parts [K]."""
    mean, reach = x.mean(0), x.std(0, ddof=1) * np.sqrt(1 + 1 / len(x))
    reach *= stats.t.ppf((1 + _LEVEL) / 2, len(x) - 1)
    return Interval(mean, mean - reach, mean + reach)


def _rows(
    fault: str, strength: float, moved: Interval, real_baseline: np.ndarray
) -> list[Row]:
    """A row of every metric that claims to see the fault; no share leaves [0, 1]."""
    rows = []
    for metric, way in CLAIMS[fault].items():
        at = METRICS.index(metric)
        perfect = f"{real_baseline[at]:.3g}"
        what = f"digits, {fault} {strength:g}: {metric} - a perfect one's {perfect}"
        estimate = Interval(*(float(part[at]) for part in moved))
        if metric in _SHARES:
            low, high = np.clip(estimate[1:], -real_baseline[at], 1 - real_baseline[at])
            estimate = Interval(estimate.value, float(low), float(high))
        rows.append(Row(what, estimate, 0.0, claim=f"moved {way}"))
    return rows


def _exceptions(rows: list[Row]) -> str:
    """The claims that do not hold, in Markdown, a line each."""
    failed = [f"- {row.what}: {row.verdict}" for row in rows if not row.holds]
    if not failed:
        return "Every claim holds."
    return "\n".join([f"Of {len(rows)} claims {len(failed)} do not hold:\n", *failed])


def _table(moved: dict) -> str:
    """In Markdown: a fault a row, a metric a column; what is claimed is bold."""
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
