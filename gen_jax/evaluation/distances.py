"""How far samples lie from real images, on a network's features.

A Frechet distance and the like (`gen_jax.metrics`), each beside the same between two
halves of the real data: what is left when a model is perfect. It is called FID, KID and
IS on Inception alone.
"""

import numpy as np

from gen_jax import images
from gen_jax.evaluation.evaluation import Evaluation
from gen_jax.evaluation.result import Result, Value, with_interval
from gen_jax.metrics.features import FeatureNetwork
from gen_jax.metrics.frechet import frechet_distance, moments
from gen_jax.metrics.inception_score import inception_score
from gen_jax.metrics.intervals import Interval, jackknife_interval
from gen_jax.metrics.kernel import kernel_distance
from gen_jax.metrics.manifold import density_coverage, precision_recall
from gen_jax.metrics.neighbours import copied_shares, nearest

_HOW = "jackknife over images of both sets"
_SHOWN = 10  # samples beside the training images that they are nearest to
_SUBSETS = 20
MANIFOLD = ("precision", "recall", "density", "coverage")


def on_network(evaluation: Evaluation, network: FeatureNetwork) -> Result:
    """Frechet and kernel distance, precision, recall, density and coverage."""
    drawn = evaluation.samples.features(network)
    half, other = (evaluation.features(network, p) for p in evaluation.halves())
    reference = half
    if evaluation.protocol.whole_reference:
        everything = np.arange(len(evaluation.subject.dataset.train))
        reference = evaluation.features(network, everything)
    is_inception, most = network.logits is not None, evaluation.protocol.pairwise
    names = ("fid", "kid") if is_inception else ("frechet_distance", "kernel_distance")

    def compared(function, names, most=None):
        interval = jackknife_interval(function, reference[:most], drawn[:most])
        floors = np.atleast_1d(function(half[:most], other[:most]))
        columns = zip(*map(np.atleast_1d, interval), strict=True)
        return {
            name: with_interval(
                Interval(*map(float, numbers)), _HOW, floor=float(floor)
            )
            for name, numbers, floor in zip(names, columns, floors, strict=True)
        }

    values = compared(frechet, names[:1])
    values |= compared(lambda real, x: kernel(real, x)[0], names[1:], most)
    deviation = kernel(reference[:most], drawn[:most])[1]
    values[f"{names[1]}_deviation"] = Value(deviation)
    values |= compared(manifold, MANIFOLD, most)
    if is_inception:
        values["inception_score"] = _inception_score(network, drawn)
    context = {
        "network": network.name,
        "sha256": network.sha256,
        "dim": network.dim,
        "real": f"{len(reference)} training images",
        "floor": f"{len(other)} training images against {len(half)} others",
        "pairwise": f"at most {most} of each set",
        **evaluation.about_samples(),
    }
    return Result(values, context)


def copies(evaluation: Evaluation) -> Result:
    """Samples beside the training images nearest to them, and how many are copies."""
    subject, most = evaluation.subject, evaluation.protocol.pairwise
    x = evaluation.samples.first(most)
    train = subject.dataset.train.read(range(len(subject.dataset.train)))["x"]
    test = subject.dataset.test
    held_out = test.read(range(min(most, len(test))))["x"]
    shares = copied_shares(x, train, held_out)
    values = {"copied": Value(shares["copied"], floor=shares["real_copied"])}
    context = {
        "distance": "Euclidean, of pixels",
        "real": f"{len(train)} training images",
        "floor": f"{len(held_out)} held-out images",
        **evaluation.about_samples(),
    }
    shown = x[:_SHOWN]
    beside = train[nearest(shown, train, 3).place]
    pictures = {}
    if x.ndim == 4:
        columns = [images.from_uint8(a) for a in (shown, *np.moveaxis(beside, 1, 0))]
        pictures["nearest"] = images.side_by_side(*columns)
    return Result(values, context, pictures=pictures)


def frechet(real: np.ndarray, drawn: np.ndarray) -> float:
    """The Frechet distance of features [M, D] and [N, D]."""
    return frechet_distance(moments(real), moments(drawn))


def manifold(real: np.ndarray, drawn: np.ndarray) -> tuple[float, ...]:
    """The numbers that `MANIFOLD` names, of features [M, D] and [N, D]."""
    return (*precision_recall(real, drawn), *density_coverage(real, drawn))


def kernel(real: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """The kernel distance of features [M, D] and [N, D], and its deviation."""
    size = min(1000, min(len(real), len(drawn)) // 2)
    return kernel_distance(real, drawn, subsets=_SUBSETS, size=size)


def _inception_score(network: FeatureNetwork, drawn: np.ndarray) -> Value:
    logits = network.logits(np.random.default_rng(0).permutation(drawn))
    p = np.exp(logits - logits.max(1, keepdims=True))
    value, deviation = inception_score(p / p.sum(1, keepdims=True))
    how = "two deviations of ten parts"
    return Value(value, value - 2 * deviation, value + 2 * deviation, how)
