"""Do conditional samples show what was asked for, and as varied as real images?

Judged by a classifier of real images alone (`gen_jax.metrics.classifier`). Recall and
precision count as near what lies within the distance of a point's third neighbour
(`gen_jax.metrics.manifold`).
"""

import numpy as np

from gen_jax import images
from gen_jax.errors import UserError
from gen_jax.evaluation.evaluation import Evaluation
from gen_jax.evaluation.result import Result, Value, mean_of, with_interval
from gen_jax.metrics import manifold
from gen_jax.metrics.frechet import frechet_distance, moments
from gen_jax.metrics.intervals import seeds_interval

_COMPARED = ("precision", "recall", "variety")


def by_class(evaluation: Evaluation) -> Result:
    """Agreement, precision, recall and variety by class, each beside real images'."""
    subject, samples = evaluation.subject, evaluation.samples
    judge, asked = subject.judge, samples.labels()
    most = min(samples.number, evaluation.protocol.pairwise)
    x = images.from_uint8(samples.first(most))
    drawn = manifold.judged(judge, x, asked[:most])
    real = manifold.judged(judge, *subject.real(_most_real(evaluation), "train"))
    table = manifold.by_class(drawn, real)
    means = table.pop("mean")
    values = {
        "agreement": mean_of(drawn.found == drawn.label, floor=means["real_agreement"]),
        "classifier_accuracy": Value(judge.accuracy),
    }
    for name in _COMPARED:
        interval = seeds_interval([row[name] for row in table.values()])
        how = f"Student's t over {len(table)} classes"
        values[name] = with_interval(interval, how, floor=means[f"real_{name}"])
    note = _add_frechet(table, values, drawn, real)
    context = {
        "classifier": judge.sha256,
        "held_out": f"{judge.num_test} images",
        "real": f"{len(real.label)} training images, half against half by class",
        "balls_reach_to_neighbour": manifold.NEIGHBOUR,
        **evaluation.about_samples(),
        "samples": most,
    }
    return Result(values, context, by_class=table, note=note)


def _most_real(evaluation: Evaluation) -> int:
    return 2 * evaluation.protocol.pairwise


def _add_frechet(table, values, drawn, real) -> str | None:
    """A Frechet distance by class; what is said where there are too few images."""
    distances = {}
    for label in table:
        mine, yours = (x.features[x.label == int(label)] for x in (drawn, real))
        try:
            distances[label] = frechet_distance(moments(yours), moments(mine))
        except UserError as error:
            return f"no Frechet distance by class: {error}"
    for label, distance in distances.items():
        table[label]["frechet_distance"] = distance
    interval = seeds_interval(list(distances.values()))
    how = f"Student's t over {len(table)} classes"
    values["frechet_distance_by_class"] = with_interval(interval, how)
    return None


def share_of_classes(evaluation: Evaluation) -> Result:
    """How many samples of an unconditional model a classifier puts into each class."""
    judge = evaluation.subject.judge
    x = images.from_uint8(evaluation.samples.first(evaluation.protocol.pairwise))
    real, _ = evaluation.subject.real(evaluation.protocol.pairwise, "train")
    shares, real_shares = _shares(judge, x), _shares(judge, real)
    values = {
        "classes_drawn": Value(
            int((shares > 0).sum()), floor=int((real_shares > 0).sum())
        ),
        "distance_to_real_shares": Value(float(np.abs(shares - real_shares).sum() / 2)),
    }
    table = {
        str(label): {"share": float(a), "real_share": float(b)}
        for label, (a, b) in enumerate(zip(shares, real_shares, strict=True))
    }
    context = {
        "classifier": judge.sha256,
        "classifier_accuracy": judge.accuracy,
        **evaluation.about_samples(),
        "samples": len(x),
    }
    return Result(values, context, by_class=table)


def _shares(judge, x: np.ndarray) -> np.ndarray:
    p = judge.probabilities(x)
    return np.bincount(p.argmax(1), minlength=p.shape[1]) / len(p)
