"""The picture of a dataset: its rows, its tiles, and names that are hard to draw."""

import numpy as np
import pytest

from gen_jax.data.dataset import Dataset, Info, MemorySplit
from gen_jax.figures import charts, lettering
from gen_jax.figures.overview import _PAPER, overview

NAMES = ("猫", "<b>&amp;</b>", "a name " * 30, "$x_1$", "a\nb\x1b[31m", "caf\udce9")


def dataset(x, y, info, test=2):
    """The last examples are held out."""
    train, held = slice(None, -test), slice(-test, None)
    splits = [MemorySplit(x[part], y[part]) for part in (train, held)]
    return Dataset(info, *splits)


def colours(picture):
    return {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}


def test_each_class_has_a_row_of_its_own_images():
    """Classes are single colours; the empty one, of label 1, is not drawn."""
    ink = np.array([[200, 0, 0], [0, 0, 200], [0, 200, 0]], np.uint8)
    y = np.array([0, 2] * 6 + [0, 2], np.int32)
    x = np.broadcast_to(ink[y][:, None, None], (14, 8, 8, 3)).copy()
    info = Info((8, 8, 3), 3, class_names=("cat", "ghost", "dog"))
    picture = overview(dataset(x, y, info), "folder:pets")
    tops = {}
    for label in (0, 2):
        rows = np.nonzero((picture == ink[label]).all(-1))[0]
        tops[label] = rows.min()
        assert len(rows) == 7 * 80 * 80  # six training and one held-out tile
        assert rows.max() - rows.min() == 79
    assert tops[2] > tops[0] + 79
    assert tuple(ink[1]) not in colours(picture)


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((8, 8, 1), ()),
        ((2, 300, 3), ()),
        ((300, 2, 3), ()),
        ((9, 5, 2), ()),
        ((9, 5, 7), ()),
        ((600, 400, 3), ()),
        ((8, 6, 3), (8, 6, 1)),
    ],
)
def test_images_of_all_shapes(shape, target):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (5, *shape), np.uint8)
    y = rng.integers(0, 200, (5, *target), np.uint8) if target else -np.ones(5, int)
    picture = overview(dataset(x, y, Info(shape, 0, target)), "npz:x.npz")
    assert picture.dtype == np.uint8
    assert picture.shape[1] < 1300
    assert (picture != _PAPER).any()


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_points_are_drawn_in_the_plane_only(dimensions):
    x = np.random.default_rng(0).normal(0, 3, (50, dimensions)).astype(np.float32)
    found = dataset(x, np.arange(50) % 2, Info((dimensions,), 2))
    blue = [c for c in colours(overview(found, "ring")) if c[2] > c[0] + 30]
    assert bool(blue) == (dimensions == 2)


def test_names_that_are_hard_to_draw():
    y = np.arange(18) % 6
    x = np.zeros((18, 8, 8, 1), np.uint8)
    info = Info((8, 8, 1), 6, class_names=NAMES)
    assert overview(dataset(x, y, info, 6), "folder:" + "x" * 300).shape[1] < 1300


def test_only_some_of_many_classes_are_drawn():
    y = np.arange(400) % 100
    x = np.zeros((400, 8, 8, 1), np.uint8)
    picture = overview(dataset(x, y, Info((8, 8, 1), 100), 100), "npz:x.npz")
    assert picture.shape[0] < 2300


def test_heads_stand_next_to_their_rows_and_above_their_columns():
    grid = np.zeros((64, 96, 1), np.uint8)
    columns = lettering.with_column_heads(grid, ["a", "a very long name", ""])
    assert columns.shape == (86, 96, 3)
    ink = (columns[:22] < 255).any((0, 2))
    assert ink[:32].any()
    assert ink[32:64].any()
    assert not ink[64:].any()
    rows = lettering.with_row_heads(grid, ["a", "", "word " * 20, ""])
    assert rows.shape[0] == 64
    assert 96 + 100 < rows.shape[1] <= 96 + 140
    ink = (rows[:, :-96] < 255).any((1, 2))
    assert [bool(ink[16 * i : 16 * i + 16].any()) for i in range(4)] == [1, 0, 1, 0]


def test_a_name_in_no_font_becomes_its_label(monkeypatch):
    only = lettering._fonts(12)[-1:]  # Pillow's own, which has no accents
    monkeypatch.setattr(lettering, "_fonts", lambda size: only)
    assert lettering.head(3, "cat") == "cat"
    assert lettering.head(3, "猫") == "label 3"
    assert lettering.head(-1, "") == "no label"


def test_charts_take_any_name_without_a_warning():
    """Warnings are errors here: one is matplotlib's of a missing letter."""
    heights = dict.fromkeys(NAMES, 0.5)
    charts.bars(heights, "fraction", level=0.2)
    charts.bars({str(k): 1.0 for k in range(300)}, "fraction")
    y = np.array([-1, *range(6)])
    charts.by_class(np.random.default_rng(0).normal(size=(7, 2)), y, "a", "b", NAMES)
