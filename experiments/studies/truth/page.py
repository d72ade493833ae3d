"""The findings as one page: a table in Markdown, and a picture of all plots."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.studies.truth.finding import Finding, Row, markdown
from gen_jax.figures import charts

_COLUMNS = 3
_WIDTH, _HEIGHT = 4.2, 3.4  # inches per plot


def text(findings: Mapping[str, Finding]) -> str:
    """Return all rows of all findings in one table, followed by the texts."""
    rows = [row for finding in findings.values() for row in finding.rows]
    head = ["what", "estimate", "95 % interval", "exact", "verdict"]
    parts = [markdown([head, *map(_cells, rows)])]
    parts += [
        f"## {name}\n\n{finding.text}"
        for name, finding in findings.items()
        if finding.text
    ]
    return "\n\n".join(parts) + "\n"


def picture(findings: Sequence[Finding]) -> np.ndarray:
    """Draw all plots of the findings, uint8 [H, W, 3].

    Raises UserError if matplotlib is missing.
    """
    plots = [item for finding in findings for item in finding.plots.items()]
    height = math.ceil(len(plots) / _COLUMNS)
    figure = charts.canvas(_COLUMNS * _WIDTH, height * _HEIGHT)
    for place, (title, draw) in enumerate(plots):
        axes = figure.add_subplot(height, _COLUMNS, place + 1)
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
    return charts.rendered(figure)


def _cells(row: Row) -> list[str]:
    value, low, high = (f"{x:.4g}" for x in row.estimate)
    unit = f" {row.unit}" if row.unit else ""
    exact = f"{row.exact:.4g}"
    return [row.what, value + unit, f"[{low}, {high}]", exact, row.verdict]
