"""The Fréchet distance of samples next to that of the densities they come from.

The exact distance follows from the known moments. That of N samples of each lies above
it on average, so numbers with different N cannot be compared.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import sqrtm

from experiments.studies.truth import densities
from experiments.studies.truth.densities import Mixture
from experiments.studies.truth.finding import Finding, Plot, Row, draw_lines
from gen_jax.evaluation import distances
from gen_jax.metrics.intervals import seeds_interval

Pair = tuple[Mixture, Mixture]


def pairs(dim: int) -> dict[str, Pair]:
    """Return pairs of densities: N(0, I) with itself, and with another Gaussian."""
    one = densities.round_mixture(np.zeros((1, dim)), 1.0)
    moved = densities.round_mixture(np.full((1, dim), 0.2), 1.2)
    return {f"equal, D = {dim}": (one, one), f"moved, D = {dim}": (one, moved)}


def draws(
    pair: Pair, number: int, repetitions: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a pair of sets of samples, [number, D] each, per repetition."""
    for repetition in range(repetitions):
        rng = np.random.default_rng((1, 4, repetition))
        p, q = pair
        yield densities.sample(p, number, rng), densities.sample(q, number, rng)


def check(
    dim: int = 16,
    numbers: tuple[int, ...] = (100, 300, 1000, 3000),
    repetitions: int = 20,
) -> Finding:
    """Compare the mean distance of N samples with the exact one.

    The pairs are Gaussians in `dim` dimensions, and digits with half of the parts
    dropped.
    """
    rows: list[Row] = []
    bias: dict[str, list[float]] = {}
    digits = densities.digits_mixture()
    weights, *parts = (x[:5] for x in digits)
    halved = Mixture(weights / weights.sum(), *parts)
    cases = {**pairs(dim), "half of the digits' parts": (digits, halved)}
    for name, pair in cases.items():
        exact = exact_distance(*pair)
        bias[name] = []
        for number in numbers:
            values = [distances.frechet(*x) for x in draws(pair, number, repetitions)]
            found = seeds_interval(values)
            what = f"Frechet, {name}: mean at N = {number}"
            rows.append(Row(what, found, exact))
            bias[name].append(found.value - exact)
    return Finding(rows, {"Frechet distance: bias": _plot(bias, numbers)})


def exact_distance(p: Mixture, q: Mixture) -> float:
    """Return the Fréchet distance of two densities, by SciPy's root of a matrix."""
    (mean_p, cov_p), (mean_q, cov_q) = densities.moments(p), densities.moments(q)
    gap = mean_p - mean_q
    root = sqrtm(cov_p @ cov_q).real
    return float(gap @ gap + np.trace(cov_p + cov_q - 2 * root))


def _plot(bias: dict[str, list[float]], numbers: tuple[int, ...]) -> Plot:
    def draw(axes):
        draw_lines(axes, numbers, bias)
        axes.set(xlabel="N", ylabel="mean - exact", xscale="log", yscale="log")

    return draw
