"""A dataset at a glance: a row of real images for each class, and its counts.

It draws what a training would read: images as they are cropped and resized, the split
and the classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from gen_jax import images
from gen_jax.data.class_names import shown
from gen_jax.data.dataset import Dataset, Info, Split
from gen_jax.data.summary import Summary, labels, lines, summarize
from gen_jax.figures import lettering

MAX_ROWS = 24  # classes that are drawn
_PLAIN_ROWS = 5  # of data without classes
_TRAIN, _TEST = 8, 3  # examples in a row, at most
_ROOM = 760, 250  # pixels of a row for training and for held-out examples
_TALL, _WIDE = 80, 160  # the limits of a tile
_MARGIN, _GAP, _BETWEEN = 20, 4, 28
_QUIET, _PAPER = 110, 242  # grey
_POINTS = 1000  # in a tile

Tiles = list[np.ndarray]  # uint8 [h, w, 3]


class _Row(NamedTuple):
    """A line of the overview: its head, then training and held-out examples."""

    name: str
    counts: str
    train: Tiles
    test: Tiles


def overview(dataset: Dataset, title: str) -> np.ndarray:
    """Draw a dataset as a picture, uint8 [H, W, 3].

    Only the examples that are shown are decoded. Those of each class are spread evenly
    over its training and its held-out examples. Points in a plane are drawn as scatter
    plots, other points not at all.

    Raises UserError if an image that is shown is broken.
    """
    summary = summarize(dataset)
    about = [line for line in lines(summary) if line]
    groups = _groups(dataset, summary)
    if groups:
        rows = [
            _Row(name, counts, *_of_both(dataset, places))
            for name, counts, places in groups
        ]
    else:
        rows = _plain_rows(dataset)
    more = len(summary.drawn_classes) - MAX_ROWS if groups else 0
    last = f"and {more} more classes" if more > 0 else ""
    sides = ": input and target" if dataset.info.target_shape else ""
    return _drawn(title, about, (f"training{sides}", f"held out{sides}"), rows, last)


def _groups(
    dataset: Dataset, summary: Summary
) -> list[tuple[str, str, tuple[np.ndarray, np.ndarray]]]:
    """Return (name, counts, places in both splits) of each class; [] if not known."""
    y_train, y_test = labels(dataset.train), labels(dataset.test)
    if not summary.classes or y_train is None or y_test is None:
        return []
    drawn = [(label, summary.classes[label]) for label in summary.drawn_classes]
    drawn = drawn[:MAX_ROWS]
    if summary.unlabelled:
        drawn.append((-1, summary.unlabelled))
    return [
        (
            lettering.head(label, count.name),
            f"{count.train} + {count.test}",
            (np.flatnonzero(y_train == label), np.flatnonzero(y_test == label)),
        )
        for label, count in drawn
    ]


def _plain_rows(dataset: Dataset) -> list[_Row]:
    """Return rows without heads, of examples spread over both splits."""
    splits = dataset.train, dataset.test
    rows = 1 if len(dataset.info.shape) == 1 else _PLAIN_ROWS
    tiles = _of_both(dataset, [np.arange(len(split)) for split in splits], rows)
    pieces = [
        [each[i * most : (i + 1) * most] for i in range(rows)]
        for each, most in zip(tiles, _columns(dataset.info), strict=True)
    ]
    found = [_Row("", "", *both) for both in zip(*pieces, strict=True)]
    return [row for row in found if row.train or row.test]


def _of_both(
    dataset: Dataset, places: Sequence[np.ndarray], rows: int = 1
) -> list[Tiles]:
    """Return the tiles that fit in some rows, of examples at places in both splits."""
    info, splits = dataset.info, (dataset.train, dataset.test)
    each = zip(splits, places, _columns(info), strict=True)
    return [_tiles(split, where, info, most * rows) for split, where, most in each]


def _columns(info: Info) -> list[int]:
    """Return how many training and how many held-out examples fit in a row."""
    if len(info.shape) != 3:
        return [1, 1]
    height, width, _ = info.shape
    width += 1 + info.target_shape[1] if info.target_shape else 0
    width = _scaled(height, width)[1] + _GAP
    return [
        max(1, min(most, room // width))
        for most, room in zip((_TRAIN, _TEST), _ROOM, strict=True)
    ]


def _tiles(split: Split, places: np.ndarray, info: Info, most: int) -> Tiles:
    """Return tiles of at most `most` examples, spread evenly over those at `places`."""
    is_image = len(info.shape) == 3
    if not len(places) or not (is_image or info.shape == (2,)):
        return []
    count = min(len(places), most if is_image else _POINTS)
    spread = np.linspace(0, len(places) - 1, count).astype(np.int64)
    batch = split.read(places[spread])
    if not is_image:
        finite = batch["x"][np.isfinite(batch["x"])]
        limit = max(1.5, float(np.abs(finite).max(initial=0)))
        return [images.scatter(batch["x"], limit, side=_WIDE)]
    parts = ("x", "y") if info.target_shape else ("x",)
    return [_tile([batch[part][i] for part in parts]) for i in range(count)]


def _tile(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return an image, or a pair next to each other, as a tile."""
    width = sum(x.shape[1] + 1 for x in parts) - 1
    tile = np.full((max(map(len, parts)), width, 3), _PAPER, np.uint8)
    left = 0
    for x in map(images.to_uint8, parts):
        channels = 1 if x.shape[2] < 3 else 3
        tile[: len(x), left : left + x.shape[1]] = x[..., :channels]
        left += x.shape[1] + 1
    height, width = _scaled(*tile.shape[:2])
    resampling = Image.Resampling
    how = resampling.NEAREST if height >= len(tile) else resampling.LANCZOS
    return np.asarray(Image.fromarray(tile).resize((width, height), how))


def _scaled(height: int, width: int) -> tuple[int, int]:
    """Return the height and width of a tile; small images grow by a whole factor."""
    factor = min(_TALL / height, _WIDE / width)
    factor = int(factor) if factor >= 1 else factor
    return max(1, round(height * factor)), max(1, round(width * factor))


def _drawn(
    title: str, about: list[str], heads: Sequence[str], rows: list[_Row], last: str
) -> np.ndarray:
    """Arrange everything on a page."""
    names = [
        16 + max(lettering.length(row.name, 14), lettering.length(row.counts, 12))
        for row in rows
        if row.name
    ]
    left = _MARGIN + (max(90, min(190, max(names))) if names else 0)
    each = [row.train for row in rows], [row.test for row in rows]
    train, test = (
        max([lettering.length(head, 12) + _GAP, *map(_width, tiles)])
        for head, tiles in zip(heads, each, strict=True)
    )
    starts = left, left + train + _BETWEEN
    width = max(640, starts[1] + test + _MARGIN)
    room = width - 2 * _MARGIN
    text = [part for line in about for part in lettering.wrapped(line, room, 14)]
    top = _MARGIN + 64 + 19 * len(text)
    height = top + sum(map(_height, rows)) + (24 if last else 0) + _MARGIN
    page = Image.new("RGB", (width, height), (_PAPER,) * 3)
    lettering.draw(page, (_MARGIN, _MARGIN), shown(title), 18, width=room)
    for number, line in enumerate(text):
        lettering.draw(page, (_MARGIN, _MARGIN + 30 + 19 * number), line)
    for start, head in zip(starts, heads, strict=True):
        lettering.draw(page, (start, top - 21), head if rows else "", 12, _QUIET)
    for row in rows:
        _draw_row(page, row, top, starts)
        top += _height(row)
    lettering.draw(page, (_MARGIN, top + 2), last, 14, _QUIET)
    return np.asarray(page)


def _width(tiles: Tiles) -> int:
    return sum(tile.shape[1] + _GAP for tile in tiles)


def _height(row: _Row) -> int:
    tiles = [len(tile) for tile in (*row.train, *row.test)]
    return max([40 if row.name else 0, *tiles]) + _GAP


def _draw_row(
    page: "Image.Image", row: _Row, top: int, starts: tuple[int, int]
) -> None:
    """Draw the head and the tiles of a row."""
    middle = top + (_height(row) - _GAP) // 2
    room = starts[0] - _MARGIN - 12
    if row.name:
        lettering.draw(page, (_MARGIN, middle - 18), row.name, 14, width=room)
        lettering.draw(page, (_MARGIN, middle + 1), row.counts, 12, _QUIET, width=room)
    for left, tiles in zip(starts, (row.train, row.test), strict=True):
        for tile in tiles:
            page.paste(Image.fromarray(tile), (left, top))
            left += tile.shape[1] + _GAP
