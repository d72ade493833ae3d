"""The bias of Parzen windows on samples of a known density.

With windows on N samples of p itself the estimate should be E log p(x) = -H(p). It is
lower, and more so in more dimensions. Windows wide enough to reach a test point blur
the density. Theis et al. (2016), section 3.3, show it for one set of images. Validation
data choose the width, once among the paper's ten and once among finer ones that start
lower.
"""

import math
from collections.abc import Sequence

import numpy as np

from experiments.studies.truth import densities
from experiments.studies.truth.densities import Mixture
from experiments.studies.truth.finding import Finding, Plot, Row, draw_lines
from gen_jax.metrics.intervals import Interval
from gen_jax.metrics.parzen import SIGMAS, parzen

_SCALE = 0.15  # of the Gaussians: the farthest of a million samples lies at 0.75
_FINER = tuple(np.logspace(-2, 0, 13).tolist())
_CONTRAST = 0.25  # at 0.3 some machines draw samples beyond 1


def check(
    dims: tuple[int, ...] = (2, 8, 32, 64),
    numbers: tuple[int, ...] = (100, 1000, 10_000),
    held_out: int = 500,
) -> Finding:
    """Measure the bias by dimension and number of samples, on Gaussians and digits."""
    rows, bias = [], {}
    for dim in dims:
        p = densities.round_mixture(np.zeros((1, dim)), _SCALE)
        for number in numbers:
            row = _row(p, f"N(0, s^2 I), D = {dim}", number, held_out, _FINER)
            bias[dim, number] = row.estimate.value - row.exact
            if dim in (dims[0], dims[-1]):
                rows.append(row)
    digits = densities.digits_mixture(contrast=_CONTRAST)
    for name, sigmas in (("finer widths", _FINER), ("the paper's widths", SIGMAS)):
        what = f"digits mixture, {name}"
        rows.append(_row(digits, what, numbers[-1], held_out, sigmas))
    return Finding(rows, {"Parzen windows: bias": _plot(bias, dims, numbers)})


def _row(
    p: Mixture, what: str, number: int, held_out: int, sigmas: Sequence[float]
) -> Row:
    """Compare windows on `number` samples of p with log p of the same test points.

    Points count as images in [-1, 1]; the estimate is for x in [0, 1].
    """
    rng = np.random.default_rng((1, 3))
    samples, validation, test = (
        densities.sample(p, n, rng) for n in (number, held_out, held_out)
    )
    found = parzen(samples, validation, test, sigmas)
    half_width = 1.96 * found.standard_error
    estimate = Interval(found.mean, found.mean - half_width, found.mean + half_width)
    exact = densities.log_density(p, test).mean() + p.means.shape[1] * math.log(2)
    return Row(f"Parzen, {what}, {number} samples: log p", estimate, exact, "nats")


def _plot(bias: dict, dims: tuple[int, ...], numbers: tuple[int, ...]) -> Plot:
    curves = {f"{n} samples": [bias[dim, n] for dim in dims] for n in numbers}

    def draw(axes):
        draw_lines(axes, dims, curves)
        axes.axhline(0, color="grey", linewidth=1)
        axes.set(xlabel="D", ylabel="estimate - log p, nats", xscale="log")
        axes.set_xticks(dims, [str(dim) for dim in dims])
        axes.minorticks_off()

    return draw
