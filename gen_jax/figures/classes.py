"""Labels and samples: what was asked for, what came, and how varied it is.

A classifier trained on real examples alone judges the samples. Its own accuracy on
held-out ones is the most that one can hope for. It is sure where it gives a class more
than `SURE`. Recall and precision count as near what lies within the distance of a
point's third neighbour, on the classifier's features (`gen_jax.metrics.manifold`), a
copy what is nearer to a training image than any other one is
(`gen_jax.metrics.neighbours`).
"""

import numpy as np

from gen_jax import images
from gen_jax.evaluation.subject import Subject
from gen_jax.figures import charts
from gen_jax.figures.figure import Figure
from gen_jax.metrics import manifold
from gen_jax.metrics.neighbours import memorized_fractions

SURE = 0.8  # a probability
MAX_REAL = 10_000  # images judged
MAX_TRAIN = 60_000  # images among which copies are sought


def asked_for(subject: Subject) -> Figure:
    """One row a class; agreement, recall and variety by class, beside real images'.

    The real ones are training images, one half of a class against the other: held-out
    ones are too few where a tenth is held out. A model that repeats training images
    would do as well, so that the share of copies stands beside, with that of held-out
    images.
    """
    x, y = subject.samples
    rows = [x[y == label][:10] for label in range(min(subject.game.num_classes, 16))]
    picture = images.grid(np.concatenate(rows), columns=10)
    samples = manifold.classified(subject.classifier, x, y)
    real = manifold.classified(subject.classifier, *subject.real(MAX_REAL, "train"))
    numbers = {
        "samples": len(y),
        "classifier": described_classifier(subject),
        "real": f"{len(real.label)} training images, half against half by class",
        "balls_reach_to_neighbour": manifold.NEIGHBOUR,
        **_memorized(subject, x),
        "by_class": manifold.by_class(samples, real),
    }
    return Figure({"classes": picture}, numbers)


def _memorized(subject: Subject, x: np.ndarray) -> dict:
    """The share of samples that are copies, beside that of held-out images."""
    train, test = (
        split.read(range(min(MAX_TRAIN, len(split))))["x"]
        for split in (subject.dataset.train, subject.dataset.test)
    )
    fractions = memorized_fractions(images.to_uint8(x), train, test[: len(x)])
    return {"memorized_from": f"{len(train)} training images", **fractions}


def drawn(subject: Subject) -> Figure:
    """How many samples a classifier puts into each class, and is sure of."""
    x, _ = subject.samples
    number = len(x)
    x_real, y_real = subject.real(number)
    probabilities = subject.classifier.probabilities(x)
    found = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    expected = np.bincount(y_real, minlength=len(found)) / len(y_real)
    numbers = {
        "samples": number,
        "classifier": described_classifier(subject),
        "in_each_class": found.tolist(),
        "sure_above": SURE,
        "fraction_sure": sure(probabilities),
        "fraction_sure_of_real": sure(subject.classifier.probabilities(x_real)),
        "distance_to_real_class_fractions": float(
            np.abs(found / number - expected).sum() / 2
        ),
    }
    heights = {str(label): int(count) for label, count in enumerate(found)}
    chart = charts.bars(heights, f"of {number} samples", level=number / len(found))
    return Figure({"diversity": chart}, numbers)


def described_classifier(subject: Subject) -> dict:
    """What a figure says of its classifier."""
    classifier = subject.classifier
    return {"accuracy": classifier.accuracy, "held_out_examples": classifier.num_test}


def sure(probabilities: np.ndarray) -> float:
    """The share of [N, K] whose largest is above `SURE`."""
    return float((probabilities.max(1) > SURE).mean())
