"""Charts by matplotlib: as pictures, or as SVG for a web page."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gen_jax.data.class_names import shown
from gen_jax.errors import UserError
from gen_jax.figures import lettering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_NAME, _MAX_TICKS = 20, 40  # letters of a name; names below an axis
_LETTERS = 75  # that fit next to each other below an axis
_GREY = "#7d7c78"  # can be read on white and on black paper


def lines(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x_label: str,
    y_label: str,
    level: float | None = None,
) -> np.ndarray:
    """Draw curves (x [N], y [N]) by name: uint8 [H, W, 3]; level: a dashed line."""
    figure, axes = chart(6.4, 4.0)
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=name, linewidth=1.5)
    if level is not None:
        axes.axhline(level, color="grey", linestyle="--", linewidth=1)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.legend(frameon=False)
    return rendered(figure)


def by_class(
    points: np.ndarray,
    y: np.ndarray,
    x_label: str,
    y_label: str,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw points [N, 2] coloured by their class y [N]: uint8 [H, W, 3].

    names: of the classes; by default their numbers.
    """
    heads = class_heads(names or list(map(str, range(int(y.max(initial=-1)) + 1))))
    figure, axes = chart(6.0, 5.4)
    for label in np.unique(y):
        x_1, x_2 = points[y == label].T
        name = heads[label] if label >= 0 else "no label"
        axes.scatter(x_1, x_2, s=9, alpha=0.8, label=name, linewidths=0)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.legend(
        frameon=False, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return rendered(figure)


def bars(
    heights: Mapping[str, float], y_label: str, level: float | None = None
) -> np.ndarray:
    """Draw a bar per class, by name: uint8 [H, W, 3]; level: a dashed line."""
    figure, axes = chart(6.4, 4.0)
    axes.bar(range(len(heights)), list(heights.values()))
    every = -(-len(heights) // _MAX_TICKS)
    heads, places = class_heads(list(heights))[::every], range(0, len(heights), every)
    room = sum(map(len, heads)) + 2 * len(heads) <= _LETTERS
    axes.set_xticks(places, heads, rotation=0 if room else 90)
    if level is not None:
        axes.axhline(level, color="grey", linestyle="--", linewidth=1)
    axes.set(xlabel="class", ylabel=y_label)
    return rendered(figure)


def class_heads(names: Sequence[str]) -> list[str]:
    """Return names of classes as matplotlib draws them: short, and no formulas."""
    heads = [lettering.head(label, name, fonts=1) for label, name in enumerate(names)]
    return [shown(head, _MAX_NAME).replace("$", r"\$") for head in heads]


def canvas(
    width_inches: float,
    height_inches: float,
    margins: Mapping[str, float] | None = None,
) -> "Figure":
    """Return a matplotlib Figure that needs no window.

    margins: left, right, bottom and top of the axes, fractions of the figure. None
        measures all texts for it, which draws the figure twice.

    Raises UserError if matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "charts need matplotlib: pip install 'gen_jax[figures]'"
        ) from None
    size = width_inches, height_inches
    if margins is None:
        return Figure(figsize=size, dpi=110, layout="constrained")
    figure = Figure(figsize=size, dpi=110)
    figure.subplots_adjust(**margins)
    return figure


def chart(
    width_inches: float,
    height_inches: float,
    margins: Mapping[str, float] | None = None,
) -> "tuple[Figure, Axes]":
    """Return a matplotlib Figure with one set of axes, and the axes; see `canvas`."""
    figure = canvas(width_inches, height_inches, margins)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def rendered(figure: "Figure") -> np.ndarray:
    """Return the picture of a matplotlib Figure: uint8 [H, W, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def svg(figure: "Figure") -> bytes:
    """Return a matplotlib Figure as SVG without a background, axes and text in grey.

    Equal figures give equal bytes.
    """
    import matplotlib

    for axes in figure.axes:
        axes.tick_params(colors=_GREY, labelsize=8)
        axes.spines[:].set_color(_GREY)
        axes.xaxis.label.set(color=_GREY, size=8)
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gen_jax"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()
