"""Classes: samples of each class, and how many samples a classifier finds in each."""

import numpy as np

from gen_jax import images
from gen_jax.data.class_names import class_names
from gen_jax.evaluation import measures, record
from gen_jax.evaluation.request import Evaluation
from gen_jax.figures import charts, lettering
from gen_jax.figures.figure import Figure

_ROWS, _COLUMNS = 16, 10  # at most, of the grid


def classes(evaluation: Evaluation) -> Figure:
    """Show samples of a conditional model, a row per class."""
    x = evaluation.samples.first_float(_COLUMNS * evaluation.game.num_classes)
    y = evaluation.labels(len(x))
    drawn = [label for label in evaluation.classes if (y == label).any()]
    columns = min(int((y == label).sum()) for label in drawn)
    rows = [x[y == label][:columns] for label in drawn[:_ROWS]]
    side = min(512, 64 * columns)  # of few columns, rows would be very high
    grid = images.grid(np.concatenate(rows), columns, side)
    names = class_names(evaluation.dataset.info)
    heads = [lettering.head(label, names[label]) for label in drawn[:_ROWS]]
    return Figure({"classes": lettering.with_row_heads(grid, heads)})


def class_fractions(evaluation: Evaluation) -> Figure:
    """Show the fraction of samples that a classifier finds in each class.

    The fractions are those of the measure of the same name (`evaluation/by_class.py`).
    """
    [measure] = [m for m in measures.MEASURES if m.name == "class_fractions"]
    table = record.measured(evaluation, measure).by_class
    heights = {label: row["fraction"] or 0.0 for label, row in table.items()}
    chart = charts.bars(heights, "fraction of samples", level=1 / len(heights))
    return Figure({"diversity": chart})
