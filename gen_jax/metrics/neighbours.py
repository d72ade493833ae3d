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

from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from gen_jax.errors import UserError
from gen_jax.metrics.checks import as_float, check_finite

_BLOCK = 2**23  # numbers in a block of points, or in a matrix of distances
_MORE = 4  # further candidates, since rounding may have put them in the wrong order


class Neighbours(NamedTuple):
    """The k nearest of M for N points: place int [N, k], distance float64 [N, k]."""

    place: np.ndarray
    distance: np.ndarray


def nearest(points: np.ndarray, train: np.ndarray, k: int = 1) -> Neighbours:
    """Find the k of train [M, ...] nearest to each of points [N, ...], in order.

    The inputs are images or features; uint8 counts as [-1, 1]. If two are equally far,
    the first comes first. Distances are exact: 0 for equal points. Memory is bounded
    for any N and M. Ten thousand points among sixty thousand of 784 numbers take a
    minute.

    Raises UserError if shapes do not match, k is not in 1..M, or a value is not finite.
    """
    if not len(points) or not len(train) or points.shape[1:] != train.shape[1:]:
        raise UserError(
            f"no neighbours for {list(points.shape)} in {list(train.shape)}: give "
            "points and training images of one shape, at least one of each"
        )
    check_finite(sampled=points, training=train)
    if not 1 <= k <= len(train):
        raise UserError(
            f"k={k} neighbours of {len(train)} do not exist: give 1 to {len(train)}"
        )
    points, train = (x.reshape(len(x), -1) for x in (points, train))
    rows = max(1, min(2048, _BLOCK // max(1, points.shape[1])))
    found = [
        _nearest(points[start : start + rows], train, k, rows)
        for start in range(0, len(points), rows)
    ]
    return Neighbours(*map(np.concatenate, zip(*found, strict=True)))


def memorized(points: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return for each of points [N, ...] whether it is memorized from train: bool [N].

    Equal images of train [M, ...] count as one. Raises UserError as `nearest` does, and
    if fewer than two training images differ.
    """
    digests = {blake2b(x.tobytes()).digest(): n for n, x in enumerate(train)}
    if len(digests) < 2:
        raise UserError(
            f"memorized samples cannot be found among {len(train)} equal training "
            "images: give at least two different training images"
        )
    train = train[list(digests.values())]
    place, distance = nearest(points, train)
    used, where = np.unique(place[:, 0], return_inverse=True)
    own = nearest(train[used], train, 2).distance[:, 1]  # the first is the image itself
    return distance[:, 0] < own[where]


def _nearest(
    points: np.ndarray, train: np.ndarray, k: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the neighbours of one block of points: first candidates, then exactly."""
    points = as_float(points)
    # Candidates by |a|^2 - 2ab + |b|^2, which is fast but loses digits to a large mean.
    centre = as_float(train[:rows]).mean(0)
    a = points - centre
    max_kept = min(k + _MORE, len(train))
    place, squared = np.zeros((len(a), 0), int), np.zeros((len(a), 0))
    for start in range(0, len(train), rows):
        b = as_float(train[start : start + rows]) - centre
        near = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        here = np.broadcast_to(np.arange(start, start + len(b)), near.shape)
        place = np.concatenate([place, here], 1)
        squared = np.concatenate([squared, near], 1)
        if squared.shape[1] > max_kept:
            kept = np.argpartition(squared, max_kept - 1, axis=1)[:, :max_kept]
            place = np.take_along_axis(place, kept, 1)
            squared = np.take_along_axis(squared, kept, 1)
    exact = np.stack([_gap(points, train[places]) for places in place.T], 1)
    order = np.lexsort((place, exact))[:, :k]
    return np.take_along_axis(place, order, 1), np.take_along_axis(exact, order, 1)


def _gap(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - as_float(others), axis=1)
