"""Precision, recall, density, coverage and diversity of samples, on features [N, D].

Kynkaanniemi et al. (2019), "Improved precision and recall metric for assessing
generative models", equations 1 and 2. A set is surrounded by balls. The ball about each
of its points reaches to the point's k-th nearest neighbour in the set.

    precision = fraction of samples that lie in a ball of the real images
    recall = fraction of real images that lie in a ball of the samples

Both depend on the sizes of the sets, so compare only numbers from equal sizes. A single
real outlier has a wide ball, which lets unrealistic samples count as real. Naeem et al.
(2020), "Reliable fidelity and diversity metrics for generative models", use only the
balls of real images:

    density = mean number of real balls in which a sample lies / k
    coverage = fraction of real balls in which a sample lies

For N samples distributed like M real images, density is 1 on average (it may exceed 1).
Coverage is then 1 - prod_{i=1..k} (M - i) / (M + N - i).

    diversity = mean distance of two samples / mean distance of two real images

It is 1 for samples as diverse as real images and 0 for one image repeated. It detects a
class that has collapsed. Recall detects a few images repeated, which diversity cannot.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from gen_jax.errors import UserError
from gen_jax.metrics.checks import check_features
from gen_jax.metrics.networks.classifier import Classifier

NEIGHBOUR = 3  # k in Kynkaanniemi et al.
_BLOCK = 1000  # points per block of distances to all others


def precision_recall(
    real: np.ndarray, samples: np.ndarray, k: int = NEIGHBOUR
) -> tuple[float, float]:
    """Compute precision and recall of samples [N, D] against real [M, D], in [0, 1].

    k: the number of the neighbour that a ball reaches; its edge counts as inside.

    Raises UserError if a set has no k-th neighbours or the sets do not match.
    """
    check_features(real=real, sampled=samples)
    _check_k("precision and recall", k, real=real, sampled=samples)
    return _covered(samples, real, k), _covered(real, samples, k)


def density_coverage(
    real: np.ndarray, samples: np.ndarray, k: int = 5
) -> tuple[float, float]:
    """Compute density, 0 or more, and coverage, in [0, 1].

    real, samples: features, [M, D] and [N, D].
    k: the number of the neighbour that a ball reaches; its edge counts as inside.

    Raises UserError if real images have no k-th neighbours or the sets do not match.
    """
    check_features(real=real, sampled=samples)
    _check_k("density and coverage", k, real=real)
    radius = _radii(real, k)
    count, reached = 0, np.zeros(len(real), bool)
    for distance in _distances(samples, real):
        inside = distance <= radius[None]
        count += int(inside.sum())
        reached |= inside.any(0)
    return count / (k * len(samples)), float(reached.mean())


def diversity(real: np.ndarray, samples: np.ndarray) -> float:
    """Return the samples' mean pairwise distance over the real images' one, 0 or more.

    real, samples: features [M, D] and [N, D], two or more each. A point is not paired
        with itself.

    Raises UserError if there are fewer, the sets do not match or real points are equal.
    """
    check_features(real=real, sampled=samples)
    if min(len(real), len(samples)) < 2:
        raise UserError(
            f"diversity needs at least two images of each kind; {len(real)} are real "
            f"and {len(samples)} sampled"
        )
    if not (of_real := _mean_distance(real)):
        raise UserError(
            f"diversity is undefined, because all {len(real)} real images are equal: "
            "give different ones"
        )
    return _mean_distance(samples) / of_real


class Classified(NamedTuple):
    """Images with a classifier's opinion of them.

    label: the classes asked for, or the true ones, int [N].
    found: the classes that the classifier predicts, int [N].
    features: of its penultimate layer or any other, [N, D].
    """

    label: np.ndarray
    found: np.ndarray
    features: np.ndarray


def classified(classifier: Classifier, x: np.ndarray, label: np.ndarray) -> Classified:
    """Classify images x float32 [N, ...] in [-1, 1] of classes label [N].

    On digits the penultimate layer and plain pixels agree in most cases. Both give real
    images a recall of 0.9, and ten images of a class, repeated, a recall of 0.1. They
    differ for the mean of a class plus a little noise: precision is 0.94 in pixels and
    0.62 in the penultimate layer.
    """
    return Classified(
        label, classifier.probabilities(x).argmax(1), classifier.features(x)
    )


def by_class(
    samples: Classified, real: Classified, *, k: int = NEIGHBOUR
) -> dict[str, dict[str, float]]:
    """Compare samples with real images, class by class.

    samples, real: classified images. Real images of other classes are ignored.
    k: as for `precision_recall`.

    A class's real images are split into two halves. Samples are compared with the first
    half, and so is the second half. The values of the second, named `real_*`, are what
    a perfect model would reach. A model that repeats the real images would reach them
    too, which `neighbours.memorized` detects. Samples and second half are cut
    to equal numbers.

    Returns a dictionary by class number, and "mean" for the mean over classes. Each
    holds label_accuracy (fraction of samples that the classifier assigns to the class
    asked for), precision, recall and diversity. real_label_accuracy is that of all real
    images of the class. real_precision, real_recall and real_diversity are those of the
    second half.

    Raises UserError if a class has at most k samples or 2 k real images.
    """
    table: dict[str, dict[str, float]] = {}
    for label in np.unique(samples.label):
        mine, yours = samples.label == label, real.label == label
        try:
            scores = _compared(real.features[yours], samples.features[mine], k)
        except UserError as error:
            raise UserError(f"class {label}: {error}") from None
        table[str(label)] = {
            "label_accuracy": float(np.mean(samples.found[mine] == label)),
            "real_label_accuracy": float(np.mean(real.found[yours] == label)),
            **scores,
        }
    if not table:
        raise UserError("there are no samples to compare: give at least one")
    names = next(iter(table.values()))
    means = {n: float(np.mean([row[n] for row in table.values()])) for n in names}
    return {"mean": means, **table}


def _compared(real: np.ndarray, samples: np.ndarray, k: int) -> dict[str, float]:
    """Compare samples and one half of the real points, each with the other half."""
    reference, rest = real[::2], real[1::2]
    size = min(len(rest), len(samples))
    scores = {}
    for prefix, points in (("", samples[:size]), ("real_", rest[:size])):
        precision, recall = precision_recall(reference, points, k)
        scores[f"{prefix}precision"], scores[f"{prefix}recall"] = precision, recall
        scores[f"{prefix}diversity"] = diversity(reference, points)
    return scores


def _check_k(what: str, k: int, **sets: np.ndarray) -> None:
    for name, points in sets.items():
        if not 1 <= k < len(points):
            raise UserError(
                f"{what} with k={k} need a k of at least 1 and more than k images; "
                f"{len(points)} are {name}: lower k or give more images"
            )


def _covered(points: np.ndarray, of: np.ndarray, k: int) -> float:
    """Return the fraction of `points` that lie in a ball of the set `of`."""
    radius = _radii(of, k)
    inside = [(d <= radius[None]).any(1) for d in _distances(points, of)]
    return float(np.mean(np.concatenate(inside)))


def _radii(points: np.ndarray, k: int) -> np.ndarray:
    """Return the distance of each point's k-th nearest neighbour: [N]."""
    # A point is its own nearest neighbour, so the k-th other has index k.
    radii = [np.partition(d, k, axis=1)[:, k] for d in _distances(points, points)]
    return np.concatenate(radii)


def _mean_distance(points: np.ndarray) -> float:
    total = sum(d.sum() for d in _distances(points, points))
    return float(total) / (len(points) * (len(points) - 1))


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    """Compute Euclidean distances, float64 [at most 1000, len(b)], block by block of a.

    By differences, not by |a|^2 - 2ab + |b|^2, so that equal points are exactly at 0.
    Otherwise rounding would decide whether repeated images lie in their own balls.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for start in range(0, len(a), _BLOCK):
        yield cdist(a[start : start + _BLOCK], b)
