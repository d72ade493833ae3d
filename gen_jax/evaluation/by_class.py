"""Samples and classes, by a classifier that was trained on real images alone.

A conditional model: do samples show the class of their label, and are they as diverse
as real images of the class? An unconditional one: how often does it show each class?
Precision and recall are those of `gen_jax.metrics.manifold`, on the classifier's
features.
"""

import contextlib

import numpy as np

from gen_jax.errors import UserError
from gen_jax.evaluation.distances import frechet
from gen_jax.evaluation.request import Evaluation, random_halves
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
from gen_jax.metrics.networks.classifier import Classifier

SURE = 0.8  # the probability above which the classifier is sure of a class
_HOW = "jackknife over images of both sets, for these classes"
_COMPARED = ("precision", "recall", "diversity")


def by_class(evaluation: Evaluation) -> Result:
    """Measure label accuracy, precision, recall and diversity by class."""
    classifier = evaluation.classifier
    number = min(evaluation.samples.number, evaluation.preset.pairwise)
    x = evaluation.samples.first_float(number)
    samples = manifold.classified(classifier, x, evaluation.labels(number))
    x_real, y_real = evaluation.real(2 * evaluation.preset.pairwise, "train")
    real = _in_pairs(manifold.classified(classifier, x_real, y_real))
    table = manifold.by_class(samples, real)
    means = table.pop("mean")
    values = {
        "label_accuracy": fraction_of(
            samples.found == samples.label, real_baseline=classifier.accuracy
        ),
        "classifier_accuracy": _accuracy(classifier),
    }
    for name, interval in _of_classes(samples, real, table).items():
        value = with_interval(interval, _HOW, real_baseline=means.get(f"real_{name}"))
        is_fraction = name in ("precision", "recall")
        values[name] = as_fraction(value, number) if is_fraction else value
    context = {
        "classifier": classifier.sha256,
        "held_out": f"{classifier.num_test} images",
        "real": f"{len(real.label)} training images, half against half by class",
        "balls_reach_to_neighbour": manifold.NEIGHBOUR,
        **evaluation.about_samples(),
        "samples": number,
    }
    note = None
    if "frechet_distance_by_class" not in values:
        fewest = min(np.bincount(samples.label)[np.unique(samples.label)])
        needed = f"more than {samples.features.shape[1]} samples of each class"
        note = f"a Frechet distance by class needs {needed}; some classes have {fewest}"
    return Result(values, context, by_class=table, note=note)


def _accuracy(classifier: Classifier) -> Value:
    """Return the classifier's accuracy on test images."""
    right = round(classifier.accuracy * classifier.num_test)
    return fraction_of(np.arange(classifier.num_test) < right)


def _of_classes(
    samples: Classified, real: Classified, table: dict[str, dict[str, float]]
) -> dict[str, Interval]:
    """Return the means over classes; their intervals are over images, not classes.

    The jackknife leaves out real images in pairs, so that the others stay in their
    halves. Frechet distances are added, to `table` too, if there are enough images.
    """

    def scores(mine, pairs):
        yours = _picked(real, pairs.ravel())
        mean = manifold.by_class(_picked(samples, mine), yours)["mean"]
        return [mean[name] for name in _COMPARED]

    def distances(mine, pairs):
        a, b = _picked(samples, mine), _picked(real, pairs.ravel())
        return [
            frechet(*(x.features[x.label == int(k)] for x in (b, a))) for k in table
        ]

    places = np.arange(len(samples.label)), np.arange(len(real.label)).reshape(-1, 2)
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
    """Order images in pairs of one class, one for each half of `manifold.by_class`."""
    classes = [np.flatnonzero(real.label == label) for label in np.unique(real.label)]
    even = [places[: len(places) // 2 * 2] for places in classes]
    return _picked(real, np.concatenate(even))


def _picked(images: Classified, places: np.ndarray) -> Classified:
    return Classified(*(x[places] for x in images))


def class_fractions(evaluation: Evaluation) -> Result:
    """Measure the fraction of samples in each class, and with a clear class."""
    classifier, number = evaluation.classifier, evaluation.preset.pairwise
    x = evaluation.samples.first_float(number)
    real, _ = evaluation.real(2 * len(x), "train")
    p, p_real = classifier.probabilities(x), classifier.probabilities(real)
    found, of_real = p.argmax(1), p_real.argmax(1)
    classes = evaluation.dataset.info.num_classes
    fractions, real_fractions = _fractions(found, classes), _fractions(of_real, classes)

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(_fractions(a, classes) - _fractions(b, classes)).sum() / 2)

    half = len(of_real) // 2
    value, low, high = jackknife_interval(distance, found, of_real[:half])
    real_baseline = np.mean([distance(*each) for each in random_halves(of_real)])
    values = {
        "classes_found": Value(
            int((fractions > 0).sum()), real_baseline=int((real_fractions > 0).sum())
        ),
        "distance_to_real_fractions": with_interval(
            (float(value), max(0.0, float(low)), float(high)),
            f"jackknife over {len(found)} samples and {half} real images",
            real_baseline=float(real_baseline),
        ),
        "fraction_sure": fraction_of(
            p.max(1) > SURE, real_baseline=fraction_sure(p_real)
        ),
        "classifier_accuracy": _accuracy(classifier),
    }
    table = {
        str(label): {"fraction": float(a), "real_fraction": float(b)}
        for label, (a, b) in enumerate(zip(fractions, real_fractions, strict=True))
        if label in evaluation.classes
    }
    context = {
        "classifier": classifier.sha256,
        "real": f"{len(real)} training images",
        "sure_above": SURE,
        **evaluation.about_samples(),
        "samples": len(x),
    }
    return Result(values, context, by_class=table)


def fraction_sure(p: np.ndarray) -> float:
    """Return the fraction of probabilities [N, K] whose maximum is above `SURE`."""
    return float((p.max(1) > SURE).mean())


def _fractions(found: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(found, minlength=number) / len(found)
