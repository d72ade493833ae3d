"""Scores of hidden branches: are they found, and are they connected as in the truth?

Masks are bool [N, H, W]: true branches, predicted branches, and `behind`, the pixels
where the input shows leaves (`source` makes all three).

    IoU = |truth & predicted & behind| / |(truth | predicted) & behind|
    recall = |truth & predicted & behind| / |truth & behind|

In the branch graph each pixel is a neighbour of the eight around it. Let J(m) be the
pairs of pixels of m in one component of that graph:

    joined = |J(truth) & J(predicted)| / |J(truth)|

Recall and joined do not count false branches: an image that is all branch has 1 in
both, and one component like the truth. IoU and the F1 of joined pairs do count them,
since they are symmetric in truth and prediction.
"""

from typing import NamedTuple

import numpy as np
import scipy.ndimage


def iou(truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Return intersection over union on `behind`: float [N], NaN if both are empty."""
    return _ratio(truth & predicted & behind, (truth | predicted) & behind)


def recall(truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Return the fraction of true pixels found on `behind`: float [N], NaN if none."""
    return _ratio(truth & predicted & behind, truth & behind)


def components(mask: np.ndarray) -> np.ndarray:
    """Return the number of each pixel's component: int [N, H, W], 0 off the mask.

    The pixels of one 8-connected component have one number, different from those of
    all other components and images.
    """
    connected = np.zeros((3, 3, 3), bool)
    connected[1] = True  # neighbours in the same image only
    return scipy.ndimage.label(mask, connected)[0]


def count_components(mask: np.ndarray, min_pixels: int = 1) -> np.ndarray:
    """Return how many components of at least `min_pixels` there are: int [N]."""
    sizes = [np.bincount(image[image > 0]) for image in components(mask)]
    return np.array([np.sum(size >= min_pixels) for size in sizes], int)


class Joined(NamedTuple):
    """Agreement on connected pairs of pixels, float [N], NaN if there are no pairs.

    recall: fraction of the truth's pairs that the prediction connects too; a missing
    pixel is connected to none. precision: fraction of the prediction's pairs that the
    truth connects. f1: their harmonic mean, 2 |both| / (|truth's| + |prediction's|).
    """

    recall: np.ndarray
    precision: np.ndarray
    f1: np.ndarray


def joined(truth: np.ndarray, predicted: np.ndarray) -> Joined:
    """Compare the pairs of pixels that truth and prediction connect, [N, H, W] each."""
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


def per_image(
    truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray, min_pixels: int = 4
) -> dict[str, np.ndarray]:
    """Return all scores of each image: float [N] by name, NaN if undefined.

    hidden_iou, hidden_recall, joined, joined_precision, joined_f1, and same_count: 1 if
    the prediction has as many components of at least `min_pixels` as the truth, else 0.
    """
    counts = [count_components(mask, min_pixels) for mask in (truth, predicted)]
    pairs = joined(truth, predicted)
    return {
        "hidden_iou": iou(truth, predicted, behind),
        "hidden_recall": recall(truth, predicted, behind),
        "joined": pairs.recall,
        "joined_precision": pairs.precision,
        "joined_f1": pairs.f1,
        "same_count": (counts[0] == counts[1]).astype(float),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return _fraction(part.sum((1, 2)), whole.sum((1, 2)))


def _fraction(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _both(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the two labels, [M, 2], of each pixel that is on both masks."""
    on_both = (true > 0) & (found > 0)
    return np.stack([true[on_both], found[on_both]], 1)


def _pairs(labels: np.ndarray) -> int:
    """Count the pairs of entries with equal labels, [N] or [N, K]."""
    _, sizes = np.unique(labels, axis=0, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())
