"""Which training images are samples nearest to, and are samples copies of them?

A sample counts as memorized where it lies nearer to a training image than any other
training image does. With x the training image nearest to the sample s,

    memorized(s) = |s - x| < min over training images x' != x of |x' - x|

Alaa et al. (2022), "How faithful is your synthetic data?", call what is not memorized
authentic. Chance copies many too: of new points like the others 2 / 3 on a line, 0.62
in a plane (Schilling 1986, "Mutual and shared neighbor probabilities"), 0.49 of
held-out digits; fewer where a few training images are nearest to most, 0.1 of
Gaussians in 200 dimensions. So the share of samples is read beside that of held-out
real images. Distances are Euclidean, in what is handed in: pixels or features.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from gen_jax.errors import UserError
from gen_jax.metrics.checks import as_float, check_finite

_BLOCK = 2**23  # numbers of a block of points, or of a matrix of distances
_MORE = 4  # candidates beside the k nearest; rounding may have put them in wrong order


class Neighbours(NamedTuple):
    """Of N points the k nearest of M: places int [N, k], distances float64 [N, k]."""

    place: np.ndarray
    distance: np.ndarray


def nearest(points: np.ndarray, train: np.ndarray, k: int = 1) -> Neighbours:
    """The k of train [M, ...] that are nearest to each of points [N, ...], in order.

    Images, or features: uint8 counts as [-1, 1]. Where two are equally far, the first
    comes first. Distances are exact: 0 for equal points. Memory is bounded, whatever N
    and M are; ten thousand points among sixty thousand of 784 numbers take a minute.

    Raises UserError where shapes do not match, k is not in 1 .. M, or a value is not
    finite.
    """
    if not len(points) or not len(train) or points.shape[1:] != train.shape[1:]:
        raise UserError(
            f"neighbours are sought among points of one shape, not for "
            f"{list(points.shape)} in {list(train.shape)}"
        )
    check_finite(drawn=points, training=train)
    if not 1 <= k <= len(train):
        raise UserError(f"k={k} neighbours of {len(train)} were asked for")
    points, train = (x.reshape(len(x), -1) for x in (points, train))
    rows = max(1, min(2048, _BLOCK // max(1, points.shape[1])))
    found = [
        _nearest(points[start : start + rows], train, k, rows)
        for start in range(0, len(points), rows)
    ]
    return Neighbours(*map(np.concatenate, zip(*found, strict=True)))


def memorized(points: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Which of points [N, ...] are memorized from train [M, ...]: bool [N].

    Training images that are equal count as one.

    Raises UserError as `nearest` does, and for fewer than two different ones.
    """
    digests = {_digest(x): place for place, x in enumerate(train)}
    if len(digests) < 2:
        raise UserError("copies are judged by two different training images at least")
    train = train[list(digests.values())]
    place, distance = nearest(points, train)
    used, where = np.unique(place[:, 0], return_inverse=True)
    own = nearest(train[used], train, 2).distance[:, 1]  # the first is itself
    return distance[:, 0] < own[where]


def memorized_fractions(
    samples: np.ndarray, train: np.ndarray, held_out: np.ndarray
) -> dict[str, float]:
    """The fractions `memorized`: of samples and, as real_memorized, of held-out images.

    Raises UserError as `memorized` does.
    """
    fractions = {"memorized": samples, "real_memorized": held_out}
    return {name: float(memorized(x, train).mean()) for name, x in fractions.items()}


def _nearest(
    points: np.ndarray, train: np.ndarray, k: int, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of one block of points. Candidates by products, which are fast, then exactly."""
    points = as_float(points)
    centre = as_float(train[:rows]).mean(0)  # |a|^2 - 2ab + |b|^2 loses to a large mean
    a = points - centre
    most = min(k + _MORE, len(train))
    place, squared = np.zeros((len(a), 0), int), np.zeros((len(a), 0))
    for start in range(0, len(train), rows):
        b = as_float(train[start : start + rows]) - centre
        near = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
        here = np.broadcast_to(np.arange(start, start + len(b)), near.shape)
        place = np.concatenate([place, here], 1)
        squared = np.concatenate([squared, near], 1)
        if squared.shape[1] > most:
            kept = np.argpartition(squared, most - 1, axis=1)[:, :most]
            place = np.take_along_axis(place, kept, 1)
            squared = np.take_along_axis(squared, kept, 1)
    exact = np.stack([_gap(points, train[places]) for places in place.T], 1)
    order = np.lexsort((place, exact))[:, :k]
    return np.take_along_axis(place, order, 1), np.take_along_axis(exact, order, 1)


def _gap(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - as_float(others), axis=1)


def _digest(x: np.ndarray) -> bytes:
    return hashlib.blake2b(x.tobytes(), digest_size=16).digest()
