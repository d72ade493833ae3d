"""Samples and classes, by a classifier that was trained on real images alone.

A conditional model: do samples show the class of their label, and are they as diverse
as real images of the class? An unconditional one: how often does it show each class?
Precision and recall are those of `gen_jax.metrics.manifold`, on the classifier's
features.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from gen_jax.data.class_names import listed
from gen_jax.errors import UserError
from gen_jax.evaluation.distances import frechet
from gen_jax.evaluation.examples import needs
from gen_jax.evaluation.halves import random_halves
from gen_jax.evaluation.request import REAL_BLOCK, Evaluation
from gen_jax.evaluation.result import (
    Result,
    Value,
    as_fraction,
    fraction_of,
    with_interval,
)
from gen_jax.metrics import manifold
from gen_jax.metrics.intervals import GROUPS, Interval, jackknife_interval
from gen_jax.metrics.manifold import Classified
from gen_jax.metrics.networks.classifier import Classifier

SURE = 0.8  # the probability above which the classifier is sure of a class
_HOW = "jackknife over images of both sets, for these classes"
_COMPARED = ("precision", "recall", "diversity")


def by_class(evaluation: Evaluation) -> Result:
    """Measure label accuracy, precision, recall and diversity by class."""
    classifier = evaluation.classifier
    number = min(evaluation.samples.number, evaluation.preset.pairwise)
    drawn = evaluation.samples.float_blocks(number, REAL_BLOCK)
    y = evaluation.labels(number)
    pairs = ((x, y[start : start + len(x)]) for start, x in drawn)
    samples = _classified(classifier, pairs)
    blocks = evaluation.real_blocks(2 * evaluation.preset.pairwise, "train")
    real = _in_pairs(_classified(classifier, blocks))
    accuracy = fraction_of(
        samples.found == samples.label, real_baseline=classifier.accuracy
    )
    values = {"label_accuracy": accuracy, **_accuracy(classifier)}
    enough, left_out = _with_enough(evaluation, samples, real)
    table: dict[str, dict[str, float]] = {}
    note = None
    if enough:
        mine = _picked(samples, np.flatnonzero(np.isin(samples.label, enough)))
        table = manifold.by_class(mine, real)
        found, more = _of_classes(mine, real, table)
        values |= found
        left_out += more
        try:
            values["frechet_distance_by_class"] = _frechet(mine, real, table)
        except UserError:  # too few for the rank of a covariance, as in most data
            note = _too_few(evaluation, mine, real)
    context = {
        "classifier": classifier.sha256,
        "held_out": f"{classifier.num_test} images",
        "real": f"{len(real.label)} training images, half against half by class",
        "balls_reach_to_neighbour": manifold.NEIGHBOUR,
        **evaluation.about_samples(number),
    }
    named = {evaluation.class_name(int(label)): row for label, row in table.items()}
    return Result(values, context, by_class=named, note=note, left_out=left_out)


def _classified(
    classifier: Classifier, blocks: Iterable[tuple[np.ndarray, np.ndarray]]
) -> Classified:
    """Classify images x [B, ...] of classes y [B], block by block."""
    each = [manifold.classified(classifier, x, y) for x, y in blocks]
    needs(len(each), 1, "training image with a label")
    return Classified(*map(np.concatenate, zip(*each, strict=True)))


def _accuracy(classifier: Classifier) -> dict[str, Value]:
    """Return the classifier's accuracy on test images; none if it is not known."""
    if classifier.accuracy is None:
        return {}
    right = round(classifier.accuracy * classifier.num_test)
    found = fraction_of(np.arange(classifier.num_test) < right)
    return {"classifier_accuracy": found}


def _with_enough(
    evaluation: Evaluation, samples: Classified, real: Classified
) -> tuple[list[int], list[str]]:
    """Return the classes with enough images, and a line on the others, if any."""
    least = manifold.NEIGHBOUR + 1
    enough, few = [], []
    for label in map(int, np.unique(samples.label)):
        own, of_real = (int((x.label == label).sum()) for x in (samples, real))
        if own >= least and of_real >= 2 * least:
            enough.append(label)
        else:
            few.append(f"{evaluation.class_name(label)} ({own} and {of_real})")
    if not few:
        return enough, []
    return enough, [
        f"classes left out: {listed(few)}; precision, recall and diversity need at "
        f"least {least} samples and {2 * least} training images of a class"
    ]


def _of_classes(
    samples: Classified,
    real: Classified,
    table: dict[str, dict[str, float]],
) -> tuple[dict[str, Value], list[str]]:
    """Return means over classes, and a line for each that cannot be computed.

    Intervals are over images, not classes. The jackknife leaves out real images in
    pairs, so that the others stay in their halves. The row "mean" is taken out of
    `table`.
    """
    means, number = table.pop("mean"), len(samples.label)

    def scores(mine, pairs):
        yours = _picked(real, pairs.ravel())
        mean = manifold.by_class(_picked(samples, mine), yours)["mean"]
        return [mean[name] for name in _COMPARED]

    places = np.arange(number), np.arange(len(real.label)).reshape(-1, 2)
    left_out = []
    try:
        columns = zip(*jackknife_interval(scores, *places), strict=True)
        intervals = [Interval(*map(float, column)) for column in columns]
        of_names = [with_interval(interval, _HOW) for interval in intervals]
    except UserError:  # without a tenth of the images, a class has too few
        of_names = [Value(means[name]) for name in _COMPARED]
        left_out.append("intervals left out: a class has too few images for them")
    values = {}
    for name, value in zip(_COMPARED, of_names, strict=True):
        value = dataclasses.replace(value, real_baseline=means[f"real_{name}"])
        is_fraction = name in ("precision", "recall") and value.low is not None
        values[name] = as_fraction(value, number) if is_fraction else value
    return values, left_out


def _frechet(
    samples: Classified,
    real: Classified,
    table: dict[str, dict[str, float]],
) -> Value:
    """Return the mean Frechet distance of classes; add each to its row of `table`.

    Raises UserError if a class has too few images.
    """
    places = np.arange(len(samples.label)), np.arange(len(real.label)).reshape(-1, 2)

    def distances(mine, pairs):
        a, b = _picked(samples, mine), _picked(real, pairs.ravel())
        return [
            frechet(*(x.features[x.label == int(k)] for x in (b, a))) for k in table
        ]

    each = distances(*places)
    mean = jackknife_interval(lambda *x: np.mean(distances(*x)), *places)
    for label, distance in zip(table, each, strict=True):
        table[label]["frechet_distance"] = distance
    return with_interval(Interval(*map(float, mean)), _HOW)


def _too_few(evaluation: Evaluation, samples: Classified, real: Classified) -> str:
    """Return the line on a Frechet distance by class, and how to get one."""
    dim, preset = samples.features.shape[1], evaluation.preset
    labels = np.unique(samples.label)
    fewest = [min(int((x.label == k).sum()) for k in labels) for x in (samples, real)]
    least = 10 * -(-dim // 8)  # with room for the tenth that the jackknife leaves out
    wanted = least * len(labels)
    most = len(evaluation.dataset.train) // 2
    if preset.pairwise < min(wanted, most):
        how = (
            f"the measure takes {preset.pairwise:,} images of each set; "
            "--preset=paper takes 10,000"
        )
    elif evaluation.samples.number < min(wanted, most):
        how = f"use --samples={wanted}"
    else:
        how = "use data with more images of each class"
    return (
        f"no frechet distance by class: it needs at least about {least} samples "
        f"and training images of each class, and some classes have {fewest[0]} and "
        f"{fewest[1]}; {how}"
    )


def _in_pairs(real: Classified) -> Classified:
    """Order images in pairs of one class, one for each half of `manifold.by_class`.

    Images without a label are left out.
    """
    labels = np.unique(real.label[real.label >= 0])
    classes = [np.flatnonzero(real.label == label) for label in labels]
    even = [places[: len(places) // 2 * 2] for places in classes]
    return _picked(real, np.concatenate([*even, np.zeros(0, np.int64)]))


def _picked(images: Classified, places: np.ndarray) -> Classified:
    return Classified(*(x[places] for x in images))


def class_fractions(evaluation: Evaluation) -> Result:
    """Measure the fraction of samples in each class, and with a clear class."""
    needs(evaluation.size, GROUPS, "images in each set")
    classifier, number = evaluation.classifier, evaluation.preset.pairwise
    number = min(evaluation.samples.number, number)
    drawn = evaluation.samples.float_blocks(number, REAL_BLOCK)
    real = evaluation.real_blocks(2 * number, "train")
    p, p_real = (
        np.concatenate([classifier.probabilities(x) for x in each])
        for each in ((x for _, x in drawn), (x for x, _ in real))
    )
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
        **_accuracy(classifier),
    }
    table = {
        evaluation.class_name(label): {"fraction": float(a), "real_fraction": float(b)}
        for label, (a, b) in enumerate(zip(fractions, real_fractions, strict=True))
        if label in evaluation.classes
    }
    context = {
        "classifier": classifier.sha256,
        "real": f"{len(p_real)} training images",
        "sure_above": SURE,
        **evaluation.about_samples(number),
    }
    return Result(values, context, by_class=table)


def fraction_sure(p: np.ndarray) -> float:
    """Return the fraction of probabilities [N, K] whose maximum is above `SURE`."""
    return float((p.max(1) > SURE).mean())


def _fractions(found: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(found, minlength=number) / len(found)
