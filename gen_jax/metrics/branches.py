"""Seeing through foliage: are the hidden branches found, and do they hang together?

Masks are bool [N, H, W]: of the true branches, of those predicted, and of `behind`, the
pixels where the input shows leaves (`gen_jax.data.branches` makes all three).

    IoU = |truth & predicted & behind| / |(truth | predicted) & behind|
    recall = |truth & predicted & behind| / |truth & behind|

The branch graph is that of the pixels, each a neighbour of the eight around it.
"""

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


def joined(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The share of joined pairs that stay joined: float [N], NaN where there is none.

    Of all pairs of true pixels that lie in one component of the truth, those that lie
    in one component of the prediction too; a pixel that is missing is joined to none.
    """
    shares = []
    pairs = zip(components(truth), components(predicted), strict=True)
    for true, found in pairs:
        true, found = true[true > 0], found[true > 0]
        before = _pairs(true)
        both = np.stack([true, found], 1)[found > 0]
        shares.append(_pairs(both) / before if before else np.nan)
    return np.array(shares, float)


def scores(
    truth: np.ndarray, predicted: np.ndarray, behind: np.ndarray, least: int = 4
) -> dict[str, float]:
    """The means over images of all of the above, images without a value left out.

    hidden_iou, hidden_recall, joined, and same_count: the share of images whose
    prediction has as many components as the truth, specks below `least` pixels aside.
    """
    counts = count_components(truth, least), count_components(predicted, least)
    values = {
        "hidden_iou": iou(truth, predicted, behind),
        "hidden_recall": recall(truth, predicted, behind),
        "joined": joined(truth, predicted),
        "same_count": (counts[0] == counts[1]).astype(float),
    }
    defined = {name: value[~np.isnan(value)] for name, value in values.items()}
    return {
        name: float(value.mean()) if len(value) else float("nan")
        for name, value in defined.items()
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = part.sum((1, 2)), whole.sum((1, 2))
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _pairs(labels: np.ndarray) -> int:
    """How many pairs of places bear the same label: [N] or [N, K]."""
    _, sizes = np.unique(labels, axis=0, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())
