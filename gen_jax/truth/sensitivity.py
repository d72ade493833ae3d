"""Which metric sees which fault: digits with known faults, beside perfect ones.

A perfect model draws digits that are neither those of the reference nor those of the
training set. Its numbers are the floor. Each fault, at several strengths, must move the
metrics that claim to see it (`CLAIMS`), and by how much is counted in half-lengths of
the floor's interval: within 1 a change may be chance.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from gen_jax import data, images
from gen_jax.evaluation import distances
from gen_jax.figures.sharpness import fine_energy
from gen_jax.metrics import features
from gen_jax.metrics.features import FeatureNetwork
from gen_jax.metrics.intervals import Interval, jackknife_interval
from gen_jax.metrics.kernel import squared_mmd
from gen_jax.metrics.neighbours import copied
from gen_jax.truth.finding import Finding, Row, markdown, mean

_DISTANCES = ("Frechet", "kernel")
_LOOKS = (*_DISTANCES, "precision", "density", "sharpness")
CLAIMS = {
    "blur": _LOOKS,
    "noise": _LOOKS,
    "dropped": (*_DISTANCES, "recall", "coverage"),
    "memorised": ("copied",),
}
# Of a Gaussian, in pixels; of noise, in units of x; classes; a share of samples.
STRENGTHS = {
    "blur": (0.4, 0.6, 1.0),
    "noise": (0.1, 0.2, 0.4),
    "dropped": (1, 2, 5),
    "memorised": (0.25, 0.5, 1.0),
}
_MOST_SHOWN = 10.0  # half-lengths, at which the map's colours end


class _Digits(NamedTuple):
    """Training images, of which the first are the reference; fresh ones, and labels."""

    train: np.ndarray
    fresh: np.ndarray
    y: np.ndarray


def check(
    network: str = "classifier",
    size: int = 400,
    strengths: Mapping[str, tuple[float, ...]] = STRENGTHS,
) -> Finding:
    """Every fault at its strengths, on a network's features; `size` images a set."""
    dataset = data.load(data.DataConfig("digits"))
    order = np.random.default_rng((1, 6)).permutation(len(dataset.train))
    x, y = dataset.train.read(order).values()
    half = len(x) // 2
    digits = _Digits(images.from_uint8(x[:half]), images.from_uint8(x[half:]), y[half:])
    compare = functools.partial(
        _compared, features.network(network, dataset), digits.train[:size], digits.train
    )
    floor = compare(digits.fresh[:size])
    rows, moved = [], {}
    for fault, strength in ((f, s) for f in strengths for s in strengths[f]):
        found = compare(_faulty(fault, strength, digits, size))
        moved[fault, strength] = {
            metric: (found[metric].value - at.value) / max(at.high - at.value, 1e-9)
            for metric, at in floor.items()
        }
        if strength == max(strengths[fault]):
            for metric in CLAIMS[fault]:
                what = (
                    f"digits, {fault} {strength:g}: {metric}, beside a perfect model's"
                )
                at = floor[metric].value
                rows.append(Row(what, found[metric], at, claim="other"))
    title = "Faults: half-lengths of the floor's interval"
    return Finding(rows, {title: _plot(moved)}, _table(moved))


def _faulty(fault: str, strength: float, digits: _Digits, size: int) -> np.ndarray:
    """Samples [size, 8, 8, 1] of a model that is perfect but for one fault."""
    x, rng = digits.fresh[:size], np.random.default_rng((1, 7))
    if fault == "blur":
        return gaussian_filter(x, (0, strength, strength, 0))
    if fault == "noise":
        return x + strength * rng.standard_normal(x.shape)
    if fault == "dropped":
        return digits.fresh[digits.y >= strength][:size]
    copies = rng.choice(len(digits.train), round(strength * size), replace=False)
    return np.concatenate([digits.train[copies], x[len(copies) :]])


def _compared(
    network: FeatureNetwork, reference: np.ndarray, train: np.ndarray, x: np.ndarray
) -> dict[str, Interval]:
    """Every metric of samples x, by what `evaluate` takes, in [-1, 1] all of them."""
    at_rest = images.to_uint8(x)
    sets = [network.features(each) for each in (images.to_uint8(reference), at_rest)]
    of_sets = {
        "Frechet": jackknife_interval(distances.frechet, *sets),
        "kernel": jackknife_interval(squared_mmd, *sets),
    }
    columns = zip(*jackknife_interval(distances.manifold, *sets), strict=True)
    neighbours = zip(distances.MANIFOLD, map(Interval._make, columns), strict=True)
    sharp = fine_energy(images.from_uint8(at_rest)) / fine_energy(reference).mean()
    is_copied = copied(at_rest, images.to_uint8(train))
    return {
        **of_sets,
        **dict(neighbours),
        "sharpness": mean(sharp),
        "copied": mean(is_copied),
    }


def _table(moved: dict) -> str:
    """In Markdown: a fault a row, a metric a column; what is claimed is bold."""
    metrics = list(next(iter(moved.values())))
    table = [["fault", *metrics]]
    for (fault, strength), by in moved.items():
        cells = [
            f"**{by[m]:+.1f}**" if m in CLAIMS[fault] else f"{by[m]:+.1f}"
            for m in metrics
        ]
        table.append([f"{fault} {strength:g}", *cells])
    return markdown(table)


def _plot(moved: dict):
    metrics = list(next(iter(moved.values())))
    numbers = np.array([[by[metric] for metric in metrics] for by in moved.values()])

    def draw(axes):
        axes.imshow(
            numbers, cmap="RdBu", vmin=-_MOST_SHOWN, vmax=_MOST_SHOWN, aspect="auto"
        )
        axes.set_xticks(range(len(metrics)), metrics, rotation=40, ha="right")
        axes.set_yticks(range(len(moved)), [f"{f} {s:g}" for f, s in moved], fontsize=8)
        for row, column in np.ndindex(*numbers.shape):
            value = numbers[row, column]
            colour = "white" if abs(value) > 0.6 * _MOST_SHOWN else "black"
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
