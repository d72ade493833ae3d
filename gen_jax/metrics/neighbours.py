"""The nearest training images of samples, and a test for memorized samples.

A sample counts as memorized if it lies nearer to a training image than any other
training image does. With x the training image nearest to the sample s,

    memorized(s) = |s - x| < min over training images x' != x of |x' - x|

Alaa et al. (2022), "How faithful is your synthetic data?", call the others authentic.
Many new points of the same distribution count as memorized by coincidence. Their
fraction is 2 / 3 on a line and 0.62 in a plane (Schilling 1986, "Mutual and shared
neighbor probabilities"). It is 0.49 for held-out digits. It is lower if a few training
images are nearest to most points: 0.1 for Gaussians in 200 dimensions. So compare the
fraction of samples with that of held-out real images. Distances are Euclidean, in
pixels or features as given.
"""

import math
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import numpy as np

from gen_jax import progress
from gen_jax.errors import UserError
from gen_jax.metrics.checks import as_float, check_finite

_BLOCK = 2**22  # numbers in a block of images
_MORE = 4  # further candidates, since rounding may have put them in the wrong order


class Images(Protocol):
    """Images or features [M, ...]: an array, or a store that reads parts of one."""

    def __len__(self) -> int:
        """Return M."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return [M, ...]."""

    def __getitem__(self, places: Any) -> np.ndarray:
        """Return those at a slice or at int [B]: [B, ...]."""


class Neighbours(NamedTuple):
    """The k nearest of M for N points: place int [N, k], distance float64 [N, k]."""

    place: np.ndarray
    distance: np.ndarray


def nearest(points: np.ndarray, train: Images, k: int = 1) -> Neighbours:
    """Find the k of train [M, ...] nearest to each of points [N, ...], in order.

    The inputs are images or features; uint8 counts as [-1, 1]. If two are equally far,
    the first comes first. Distances are exact: 0 for equal points. `train` is read in
    blocks, twice at most, so memory is bounded for any M. Ten thousand points among
    sixty thousand of 784 numbers take a minute.

    Raises UserError if shapes do not match, k is not in 1..M, or a value is not finite.
    """
    if not len(points) or not len(train) or points.shape[1:] != train.shape[1:]:
        raise UserError(
            f"no neighbours for {list(points.shape)} in {list(train.shape)}: give "
            "points and training images of one shape, at least one of each"
        )
    check_finite(sampled=points)
    if not 1 <= k <= len(train):
        raise UserError(
            f"k={k} is invalid for {len(train)} images: give 1 to {len(train)}"
        )
    flat = points.reshape(len(points), -1)
    rows = max(1, min(2048, _BLOCK // max(1, flat.shape[1])))
    place = _candidates(flat, train, min(k + _MORE, len(train)), rows)
    exact = _distances(flat, train, place, rows)
    order = np.lexsort((place, exact))[:, :k]
    return Neighbours(
        np.take_along_axis(place, order, 1), np.take_along_axis(exact, order, 1)
    )


def memorized(points: np.ndarray, train: Images) -> np.ndarray:
    """Return for each of points [N, ...] whether it is memorized from train: bool [N].

    Equal images of train [M, ...] count as one. Raises UserError as `nearest` does, and
    if fewer than two training images differ.
    """
    rows = max(1, min(2048, _BLOCK // max(1, math.prod(train.shape[1:]))))
    digests: dict[bytes, int] = {}
    for start, stop in progress.blocks("different training images", len(train), rows):
        block = train[start:stop]
        found = (blake2b(x.tobytes(), digest_size=16).digest() for x in block)
        digests |= {digest: start + n for n, digest in enumerate(found)}
    if len(digests) < 2:
        raise UserError(
            f"memorized samples cannot be found among {len(train)} equal training "
            "images: give at least two different training images"
        )
    different = _Part(train, np.fromiter(digests.values(), np.int64))
    place, distance = nearest(points, different)
    used, where = np.unique(place[:, 0], return_inverse=True)
    # The first is the image itself.
    own = nearest(different[used], different, 2).distance[:, 1]
    return distance[:, 0] < own[where]


class _Part:
    """The images of a set [M, ...] at `places`, int [N]."""

    def __init__(self, images: Images, places: np.ndarray):
        self._images, self._places = images, places
        self.shape = (len(places), *images.shape[1:])

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, places: Any) -> np.ndarray:
        return self._images[self._places[places]]


def _candidates(
    points: np.ndarray, train: Images, number: int, rows: int
) -> np.ndarray:
    """Find the `number` of train nearest to points [N, D], up to rounding: int [N, k].

    By |a|^2 - 2ab + |b|^2, which is fast but loses digits to a large mean.
    """
    centre = None
    place = np.zeros((len(points), number), np.int64)
    squared = np.full((len(points), number), np.inf)
    for start, stop in progress.blocks("nearest training images", len(train), rows):
        block = train[start:stop]
        check_finite(training=block)
        block = as_float(block).reshape(len(block), -1)
        centre = block.mean(0) if centre is None else centre
        for first in range(0, len(points), rows):
            part = slice(first, first + rows)
            near = _squared(points[part], centre, block - centre)
            here = np.broadcast_to(np.arange(start, stop), near.shape)
            near = np.concatenate([squared[part], near], 1)
            here = np.concatenate([place[part], here], 1)
            kept = np.argpartition(near, number - 1, axis=1)[:, :number]
            squared[part] = np.take_along_axis(near, kept, 1)
            place[part] = np.take_along_axis(here, kept, 1)
    return place


def _squared(points: np.ndarray, centre: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return squared distances of points [N, D] to b [M, D], moved by `centre`."""
    a = as_float(points) - centre
    return (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T


def _distances(
    points: np.ndarray, train: Images, place: np.ndarray, rows: int
) -> np.ndarray:
    """Return the exact distances of points [N, D] to train at place [N, k]: [N, k]."""
    exact = np.zeros(place.shape)
    used = np.unique(place)
    for start in range(0, len(used), rows):
        part = used[start : start + rows]
        block = train[part].reshape(len(part), -1)
        i, j = np.nonzero((place >= part[0]) & (place <= part[-1]))
        for first in range(0, len(i), rows):
            n, m = i[first : first + rows], j[first : first + rows]
            others = block[np.searchsorted(part, place[n, m])]
            gap = as_float(points[n]) - as_float(others)
            exact[n, m] = np.linalg.norm(gap, axis=1)
    return exact
