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
from gen_jax.metrics.neighbours import copied_shares

SURE = 0.8  # a probability
MOST_REAL = 10_000  # images judged
MOST_TRAIN = 60_000  # images among which copies are sought


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
    samples = manifold.judged(subject.judge, x, y)
    real = manifold.judged(subject.judge, *subject.real(MOST_REAL, "train"))
    numbers = {
        "samples": len(y),
        "classifier": judge_of(subject),
        "real": f"{len(real.label)} training images, half against half by class",
        "balls_reach_to_neighbour": manifold.NEIGHBOUR,
        **_copied(subject, x),
        "by_class": manifold.by_class(samples, real),
    }
    return Figure({"classes": picture}, numbers)


def _copied(subject: Subject, x: np.ndarray) -> dict:
    """The share of samples that are copies, beside that of held-out images."""
    train, test = (
        split.read(range(min(MOST_TRAIN, len(split))))["x"]
        for split in (subject.dataset.train, subject.dataset.test)
    )
    shares = copied_shares(images.to_uint8(x), train, test[: len(x)])
    return {"copied_from": f"{len(train)} training images", **shares}


def drawn(subject: Subject) -> Figure:
    """How many samples a classifier puts into each class, and is sure of."""
    x, _ = subject.samples
    number = len(x)
    x_real, y_real = subject.real(number)
    probabilities = subject.judge.probabilities(x)
    found = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
    expected = np.bincount(y_real, minlength=len(found)) / len(y_real)
    numbers = {
        "samples": number,
        "classifier": judge_of(subject),
        "in_each_class": found.tolist(),
        "sure_above": SURE,
        "share_sure": sure(probabilities),
        "share_sure_of_real": sure(subject.judge.probabilities(x_real)),
        "distance_to_real_class_shares": float(
            np.abs(found / number - expected).sum() / 2
        ),
    }
    heights = {str(label): int(count) for label, count in enumerate(found)}
    chart = charts.bars(heights, f"of {number} samples", level=number / len(found))
    return Figure({"variety": chart}, numbers)


def judge_of(subject: Subject) -> dict:
    """What a figure says of its classifier."""
    judge = subject.judge
    return {"accuracy": judge.accuracy, "held_out_examples": judge.num_test}


def sure(probabilities: np.ndarray) -> float:
    """The share of [N, K] whose largest is above `SURE`."""
    return float((probabilities.max(1) > SURE).mean())
