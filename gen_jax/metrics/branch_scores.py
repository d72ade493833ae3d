"""Seeing through foliage: are the hidden branches found, and do they hang together?

Masks are bool [N, H, W]: of the true branches, of those predicted, and of `behind`, the
pixels where the input shows leaves (`gen_jax.data.branches` makes all three).

    IoU = |truth & predicted & behind| / |(truth | predicted) & behind|
    recall = |truth & predicted & behind| / |truth & behind|

The branch graph is that of the pixels, each a neighbour of the eight around it. With
J(m) the pairs of m's pixels that lie in one component of it,

    joined = |J(truth) & J(predicted)| / |J(truth)|

Recall and joined forgive what is too much: a picture that is branch all over has 1 in
both, and one component, as has a tree that is drawn in one piece. IoU and the F1 of
joined pairs do not forgive it, being symmetric in truth and prediction.
"""

from typing import NamedTuple

import numpy as np


def iou(truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Intersection over union where `behind`: float [N], NaN where both are empty."""
    return _ratio(truth & predicted & behind, (truth | predicted) & behind)


def recall(truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """The share of true pixels found where `behind`: float [N], NaN where none is."""
    return _ratio(truth & predicted & behind, truth & behind)


def components(mask: np.ndarray) -> np.ndarray:
    """Which pixels hang together: int [N, H, W], 0 off the mask.

    Pixels of one 8-connected component bear one number, 1 + the place of its first
    pixel in the flattened image; those of others bear others.
    """
    count, height, width = mask.shape
    place = np.arange(1, height * width + 1).reshape(1, height, width)
    labels = np.where(mask, place, 0)
    nothing = height * width + 1  # larger than every label
    while True:
        # Take the least label around, then that label's own label, till nothing moves.
        around = np.pad(
            np.where(mask, labels, nothing),
            ((0, 0), (1, 1), (1, 1)),
            constant_values=nothing,
        )
        rows = np.minimum(np.minimum(around[:, :-2], around[:, 1:-1]), around[:, 2:])
        least = np.minimum(np.minimum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
        flat = np.where(mask, least, 0).reshape(count, -1)
        own = np.pad(flat, ((0, 0), (1, 0)))  # label -> label; 0 stays 0
        new = np.take_along_axis(own, flat, 1).reshape(mask.shape)
        if np.array_equal(new, labels):
            return labels
        labels = new


def count_components(mask: np.ndarray, least: int = 1) -> np.ndarray:
    """How many components of `least` pixels or more there are: int [N]."""
    sizes = [np.unique(image, return_counts=True) for image in components(mask)]
    return np.array([np.sum(size[label > 0] >= least) for label, size in sizes], int)


class Joined(NamedTuple):
    """Of pairs of pixels that hang together, float [N], NaN where there is none.

    recall: the share of the truth's that the prediction joins too; a pixel that is
    missing is joined to none. precision: of the prediction's that the truth joins.
    f1: their harmonic mean, 2 |both| / (|truth's| + |prediction's|).
    """

    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray


def joined(truth: np.ndarray, predicted: np.ndarray) -> Joined:
    """How far truth and prediction join the same pairs of pixels."""
    labels = zip(components(truth), components(predicted), strict=True)
    counts = [
        (_pairs(true[true > 0]), _pairs(found[found > 0]), _pairs(_both(true, found)))
        for true, found in labels
    ]
    before, after, both = np.array(counts, float).reshape(-1, 3).T
    return Joined(
        _fraction(both, before),
        _fraction(both, after),
        _fraction(2 * both, before + after),
    )


def of_each(
    truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray, least: int = 4
) -> dict[str, np.ndarray]:
    """All of the above of each image: float [N] by name, NaN where undefined.

    hidden_iou, hidden_recall, joined, joined_precision, joined_f1, and same_count:
    whether the prediction has as many components as the truth, specks below `least`
    pixels aside.
    """
    counts = count_components(truth, least), count_components(predicted, least)
    pairs = joined(truth, predicted)
    return {
        "hidden_iou": iou(truth, predicted, behind),
        "hidden_recall": recall(truth, predicted, behind),
        "joined": pairs.recall,
        "joined_precision": pairs.precision,
        "joined_f1": pairs.f1,
        "same_count": (counts[0] == counts[1]).astype(float),
    }


def scores(
    truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray, least: int = 4
) -> dict[str, float]:
    """The means of `of_each` over images, those without a value left out."""
    each = of_each(truth, predicted, behind, least)
    defined = {name: value[~np.isnan(value)] for name, value in each.items()}
    return {
        name: float(value.mean()) if len(value) else float("nan")
        for name, value in defined.items()
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return _fraction(part.sum((1, 2)), whole.sum((1, 2)))


def _fraction(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _both(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The two labels, [M, 2], of each pixel that is on both masks."""
    on_both = (true > 0) & (found > 0)
    return np.stack([true[on_both], found[on_both]], 1)


def _pairs(labels: np.ndarray) -> int:
    """How many pairs of places bear the same label: [N] or [N, K]."""
    _, sizes = np.unique(labels, axis=0, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())
