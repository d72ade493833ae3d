"""Do samples look real, and do they cover what is real? On features [N, D].

Kynkaanniemi et al. (2019), "Improved precision and recall metric for assessing
generative models", equations 1 and 2. A set is surrounded by balls: about each of its
points f', one that reaches to the point's k-th nearest neighbour in the set.

    precision = share of samples that lie in a ball of the real ones
    recall = share of real ones that lie in a ball of the samples

Both depend on the sizes of the sets: compare numbers of equal sizes only. One stray
real image, whose ball is wide, lets samples pass for real that are not. Naeem et al.
(2020), "Reliable fidelity and diversity metrics for generative models", use the balls
of real ones alone, and count in how many of them a sample lies:

    density = mean number of balls of real ones in which a sample lies / k
    coverage = share of balls of real ones in which a sample lies

Of samples like the real ones, N beside M, density is 1 on average (it may exceed 1) and
coverage 1 - prod_{i=1..k} (M - i) / (M + N - i).

    variety = mean distance of two samples / mean distance of two real ones

is 1 for samples as varied as real images and 0 for one image repeated. It sees a class
that has collapsed; recall sees what variety cannot, a few images repeated.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from gen_jax.errors import UserError
from gen_jax.metrics.checks import check_features
from gen_jax.metrics.networks.classifier import Classifier

NEIGHBOUR = 3  # to which a ball reaches, Kynkaanniemi et al.'s
_BLOCK = 1000  # points whose distances to all others are held at a time


def precision_recall(
    real: np.ndarray, samples: np.ndarray, k: int = NEIGHBOUR
) -> tuple[float, float]:
    """Precision and recall of samples [N, D] against real features [M, D], in [0, 1].

    k: the neighbour to which a ball reaches; a point on its edge lies in it.

    Raises UserError where a set has no k-th neighbours, or the sets do not match.
    """
    check_features(real=real, drawn=samples)
    _check_k("precision and recall", k, real=real, drawn=samples)
    return _covered(samples, real, k), _covered(real, samples, k)


def density_coverage(
    real: np.ndarray, samples: np.ndarray, k: int = 5
) -> tuple[float, float]:
    """Density, 0 or more, and coverage, in [0, 1], of samples [N, D] of real [M, D].

    k: the neighbour to which a ball reaches; a point on its edge lies in it.

    Raises UserError where real ones have no k-th neighbours, or sets do not match.
    """
    check_features(real=real, drawn=samples)
    _check_k("density and coverage", k, real=real)
    radius = _radii(real, k)
    count, reached = 0, np.zeros(len(real), bool)
    for distance in _distances(samples, real):
        inside = distance <= radius[None]
        count += int(inside.sum())
        reached |= inside.any(0)
    return count / (k * len(samples)), float(reached.mean())


def diversity(real: np.ndarray, samples: np.ndarray) -> float:
    """The samples' mean pairwise distance relative to the real ones', 0 or more.

    real [M, D], samples [N, D], each of two points at least, pairs of different places.

    Raises UserError for fewer points, sets that do not match, or equal real points.
    """
    check_features(real=real, drawn=samples)
    if min(len(real), len(samples)) < 2:
        raise UserError(
            f"diversity needs two images at least; {len(real)} are real and "
            f"{len(samples)} drawn"
        )
    if not (of_real := _mean_distance(real)):
        raise UserError(
            f"diversity is undefined: all {len(real)} real images are equal"
        )
    return _mean_distance(samples) / of_real


class Classified(NamedTuple):
    """Images as a judge sees them.

    label: the classes asked for, or the true ones, int [N]. found: those that the judge
    takes them for, int [N]. features: [N, D], of its penultimate layer or any other.
    """

    label: np.ndarray
    found: np.ndarray
    features: np.ndarray


def classified(classifier: Classifier, x: np.ndarray, label: np.ndarray) -> Classified:
    """Images x float32 [N, ...] in [-1, 1], of classes label [N], seen by a judge.

    On digits both its features and plain pixels give real images a recall of 0.9 and
    ten images of a class, repeated, 0.1; but the mean of a class under a little noise
    has a precision of 0.94 in pixels, of 0.62 in the penultimate layer.
    """
    return Classified(
        label, classifier.probabilities(x).argmax(1), classifier.features(x)
    )


def by_class(
    samples: Classified, real: Classified, *, k: int = NEIGHBOUR
) -> dict[str, dict[str, float]]:
    """How samples do the classes that they were asked for.

    Real images of a class not asked for do not count. k: as for `precision_recall`:
    what recall counts as near lies within the distance of a point's k-th neighbour.

    A class's real images are dealt into two halves. Samples are compared with the
    first, and so is the second: its values, named `real_*`, are what a perfect model
    would reach, and so would one that repeats the images it was trained on, if real
    ones are those: `neighbours.memorized_fractions` tells them apart. Both are cut to
    one number, the smaller one.

    Returns for each class, by its number, and under "mean" the mean over classes:
    agreement (share of samples that the judge takes for what was asked), real_agreement
    (of all the class's real images), precision, recall, variety and the real_* of
    those.

    Raises UserError where a class lacks samples or real images: more than k, twice k.
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
            "real_agreement": float(np.mean(real.found[yours] == label)),
            **scores,
        }
    if not table:
        raise UserError("there are no samples to compare")
    names = next(iter(table.values()))
    means = {n: float(np.mean([row[n] for row in table.values()])) for n in names}
    return {"mean": means, **table}


def _compared(real: np.ndarray, samples: np.ndarray, k: int) -> dict[str, float]:
    """Samples and one half of the real points, each against the other half."""
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
                f"{what} with k={k} need k of 1 or more, and more than k images; "
                f"{len(points)} are {name}"
            )


def _covered(points: np.ndarray, of: np.ndarray, k: int) -> float:
    """The share of `points` that lie in a ball of the set `of`."""
    radius = _radii(of, k)
    inside = [(d <= radius[None]).any(1) for d in _distances(points, of)]
    return float(np.mean(np.concatenate(inside)))


def _radii(points: np.ndarray, k: int) -> np.ndarray:
    """How far each point's k-th nearest neighbour is: [N]."""
    # A point is its own nearest neighbour, so that the k-th other has place k.
    radii = [np.partition(d, k, axis=1)[:, k] for d in _distances(points, points)]
    return np.concatenate(radii)


def _mean_distance(points: np.ndarray) -> float:
    total = sum(d.sum() for d in _distances(points, points))
    return float(total) / (len(points) * (len(points) - 1))


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[np.ndarray]:
    """Euclidean, float64 [at most 1000, len(b)], block by block of a.

    By differences, not by |a|^2 - 2ab + |b|^2: equal points are at 0 exactly, without
    which repeated images would lie in or out of their own balls by rounding.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    for start in range(0, len(a), _BLOCK):
        yield cdist(a[start : start + _BLOCK], b)
