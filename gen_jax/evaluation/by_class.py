"""Do conditional samples show what was asked for, and as varied as real images?

Judged by a classifier of real images alone (`metrics/networks/classifier.py`). Recall
and precision count as near what lies within the distance of a point's third neighbour
(`gen_jax.metrics.manifold`).
"""

import contextlib

import numpy as np

from gen_jax import images
from gen_jax.errors import UserError
from gen_jax.evaluation.distances import frechet
from gen_jax.evaluation.request import Evaluation, halvings
from gen_jax.evaluation.result import (
    Result,
    Value,
    as_fraction,
    fraction_of,
    with_interval,
)
from gen_jax.metrics import manifold
from gen_jax.metrics.intervals import Interval, jackknife_interval
from gen_jax.metrics.manifold import Classified

_HOW = "jackknife over images of both sets, for these classes"
_COMPARED = ("precision", "recall", "diversity")


def by_class(evaluation: Evaluation) -> Result:
    """Agreement, precision, recall and variety by class, each beside real images'."""
    subject, samples = evaluation.subject, evaluation.samples
    classifier, asked = subject.classifier, samples.labels()
    most = min(samples.number, evaluation.preset.pairwise)
    x = images.from_uint8(samples.first(most))
    drawn = manifold.classified(classifier, x, asked[:most])
    real = manifold.classified(
        classifier, *subject.real(_most_real(evaluation), "train")
    )
    real = _in_pairs(real)
    table = manifold.by_class(drawn, real)
    means = table.pop("mean")
    values = {
        "label_accuracy": fraction_of(
            drawn.found == drawn.label, real_baseline=classifier.accuracy
        ),
        "classifier_accuracy": _accuracy(classifier),
    }
    for name, interval in _of_classes(drawn, real, table).items():
        is_fraction = name in ("precision", "recall")
        value = with_interval(interval, _HOW, real_baseline=means.get(f"real_{name}"))
        values[name] = as_fraction(value, most) if is_fraction else value
    context = {
        "classifier": classifier.sha256,
        "held_out": f"{classifier.num_test} images",
        "real": f"{len(real.label)} training images, half against half by class",
        "balls_reach_to_neighbour": manifold.NEIGHBOUR,
        **evaluation.about_samples(),
        "samples": most,
    }
    fewest = min(np.bincount(drawn.label)[np.unique(drawn.label)])
    note = None
    if "frechet_distance_by_class" not in values:
        needed = f"more than {drawn.features.shape[1]} samples of each class"
        note = f"a Frechet distance by class needs {needed}; some have {fewest}"
    return Result(values, context, by_class=table, note=note)


def _most_real(evaluation: Evaluation) -> int:
    return 2 * evaluation.preset.pairwise


def _accuracy(classifier) -> Value:
    right = round(classifier.accuracy * classifier.num_test)
    return fraction_of(np.arange(classifier.num_test) < right)


def _of_classes(drawn: Classified, real: Classified, table) -> dict[str, Interval]:
    """The means over classes, and how far chance in images, not in classes, moves them.

    Real images are left out pair by pair, so that the others stay in their halves.
    Fréchet distances too where there are images enough, and into the table.
    """

    def scores(mine, pairs):
        yours = _picked(real, pairs.ravel())
        mean = manifold.by_class(_picked(drawn, mine), yours)["mean"]
        return [mean[name] for name in _COMPARED]

    def distances(mine, pairs):
        a, b = _picked(drawn, mine), _picked(real, pairs.ravel())
        return [
            frechet(*(x.features[x.label == int(k)] for x in (b, a))) for k in table
        ]

    places = np.arange(len(drawn.label)), np.arange(len(real.label)).reshape(-1, 2)
    columns = zip(*jackknife_interval(scores, *places), strict=True)
    intervals = (Interval(*map(float, column)) for column in columns)
    found = dict(zip(_COMPARED, intervals, strict=True))
    with contextlib.suppress(UserError):  # too few for the rank of a covariance
        for label, distance in zip(table, distances(*places), strict=True):
            table[label]["frechet_distance"] = distance
        mean = jackknife_interval(lambda *x: np.mean(distances(*x)), *places)
        found["frechet_distance_by_class"] = Interval(*map(float, mean))
    return found


def _in_pairs(real: Classified) -> Classified:
    """Two of a class beside each other, one for each half of `manifold.by_class`."""
    classes = [np.flatnonzero(real.label == label) for label in np.unique(real.label)]
    even = [places[: len(places) // 2 * 2] for places in classes]
    return _picked(real, np.concatenate(even))


def _picked(classified: Classified, places: np.ndarray) -> Classified:
    return Classified(*(x[places] for x in classified))


def fraction_of_classes(evaluation: Evaluation) -> Result:
    """How many samples of an unconditional model a classifier puts into each class."""
    classifier, most = evaluation.subject.classifier, evaluation.preset.pairwise
    x = images.from_uint8(evaluation.samples.first(most))
    real, _ = evaluation.subject.real(2 * len(x), "train")
    found, of_real = _found(classifier, x), _found(classifier, real)
    number = evaluation.subject.dataset.info.num_classes
    fractions, real_fractions = _fractions(found, number), _fractions(of_real, number)

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(_fractions(a, number) - _fractions(b, number)).sum() / 2)

    value, low, high = jackknife_interval(apart, found, of_real[: len(of_real) // 2])
    how = f"jackknife over {len(found)} samples and {len(of_real) // 2} real images"
    real_baseline = np.mean([apart(*each) for each in halvings(of_real)])
    values = {
        "classes_drawn": Value(
            int((fractions > 0).sum()), real_baseline=int((real_fractions > 0).sum())
        ),
        "distance_to_real_fractions": with_interval(
            Interval(float(value), max(0.0, float(low)), float(high)),
            how,
            real_baseline=float(real_baseline),
        ),
        "classifier_accuracy": _accuracy(classifier),
    }
    table = {
        str(label): {"fraction": float(a), "real_fraction": float(b)}
        for label, (a, b) in enumerate(zip(fractions, real_fractions, strict=True))
    }
    context = {
        "classifier": classifier.sha256,
        "real": f"{len(real)} training images",
        **evaluation.about_samples(),
        "samples": len(x),
    }
    return Result(values, context, by_class=table)


def _found(classifier, x: np.ndarray) -> np.ndarray:
    return classifier.probabilities(x).argmax(1)


def _fractions(found: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(found, minlength=number) / len(found)
