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
from gen_jax.evaluation.result import Result, Value, as_share, share_of, with_interval
from gen_jax.metrics import manifold
from gen_jax.metrics.intervals import Interval, jackknife_interval
from gen_jax.metrics.manifold import Judged

_HOW = "jackknife over images of both sets, for these classes"
_COMPARED = ("precision", "recall", "variety")


def by_class(evaluation: Evaluation) -> Result:
    """Agreement, precision, recall and variety by class, each beside real images'."""
    subject, samples = evaluation.subject, evaluation.samples
    judge, asked = subject.judge, samples.labels()
    most = min(samples.number, evaluation.protocol.pairwise)
    x = images.from_uint8(samples.first(most))
    drawn = manifold.judged(judge, x, asked[:most])
    real = manifold.judged(judge, *subject.real(_most_real(evaluation), "train"))
    real = _in_pairs(real)
    table = manifold.by_class(drawn, real)
    means = table.pop("mean")
    values = {
        "agreement": share_of(drawn.found == drawn.label, floor=judge.accuracy),
        "classifier_accuracy": _accuracy(judge),
    }
    for name, interval in _of_classes(drawn, real, table).items():
        is_share = name in ("precision", "recall")
        value = with_interval(interval, _HOW, floor=means.get(f"real_{name}"))
        values[name] = as_share(value, most) if is_share else value
    context = {
        "classifier": judge.sha256,
        "held_out": f"{judge.num_test} images",
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
    return 2 * evaluation.protocol.pairwise


def _accuracy(judge) -> Value:
    right = round(judge.accuracy * judge.num_test)
    return share_of(np.arange(judge.num_test) < right)


def _of_classes(drawn: Judged, real: Judged, table) -> dict[str, Interval]:
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


def _in_pairs(real: Judged) -> Judged:
    """Two of a class beside each other, one for each half of `manifold.by_class`."""
    classes = [np.flatnonzero(real.label == label) for label in np.unique(real.label)]
    even = [places[: len(places) // 2 * 2] for places in classes]
    return _picked(real, np.concatenate(even))


def _picked(judged: Judged, places: np.ndarray) -> Judged:
    return Judged(*(x[places] for x in judged))


def share_of_classes(evaluation: Evaluation) -> Result:
    """How many samples of an unconditional model a classifier puts into each class."""
    judge, most = evaluation.subject.judge, evaluation.protocol.pairwise
    x = images.from_uint8(evaluation.samples.first(most))
    real, _ = evaluation.subject.real(2 * len(x), "train")
    found, of_real = _found(judge, x), _found(judge, real)
    number = evaluation.subject.dataset.info.num_classes
    shares, real_shares = _shares(found, number), _shares(of_real, number)

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(_shares(a, number) - _shares(b, number)).sum() / 2)

    value, low, high = jackknife_interval(apart, found, of_real[: len(of_real) // 2])
    how = f"jackknife over {len(found)} samples and {len(of_real) // 2} real images"
    floor = np.mean([apart(*each) for each in halvings(of_real)])
    values = {
        "classes_drawn": Value(
            int((shares > 0).sum()), floor=int((real_shares > 0).sum())
        ),
        "distance_to_real_shares": with_interval(
            Interval(float(value), max(0.0, float(low)), float(high)),
            how,
            floor=float(floor),
        ),
        "classifier_accuracy": _accuracy(judge),
    }
    table = {
        str(label): {"share": float(a), "real_share": float(b)}
        for label, (a, b) in enumerate(zip(shares, real_shares, strict=True))
    }
    context = {
        "classifier": judge.sha256,
        "real": f"{len(real)} training images",
        **evaluation.about_samples(),
        "samples": len(x),
    }
    return Result(values, context, by_class=table)


def _found(judge, x: np.ndarray) -> np.ndarray:
    return judge.probabilities(x).argmax(1)


def _shares(found: np.ndarray, number: int) -> np.ndarray:
    return np.bincount(found, minlength=number) / len(found)
