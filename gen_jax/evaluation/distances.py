"""How far samples lie from real images, on a network's features.

A Frechet distance and the like (`gen_jax.metrics`), each beside the same between two
halves of the real data: what is left when a model is perfect. It is called FID, KID and
IS on Inception alone.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gen_jax import images
from gen_jax.evaluation.request import HALVINGS, Evaluation, halvings
from gen_jax.evaluation.result import (
    Result,
    Value,
    as_fraction,
    fraction_of,
    with_interval,
)
from gen_jax.evaluation.subject import shuffled
from gen_jax.metrics.frechet import frechet_distance, moments
from gen_jax.metrics.inception_score import inception_scores
from gen_jax.metrics.intervals import Interval, jackknife_interval, seeds_interval
from gen_jax.metrics.kernel import kernel_distance, squared_mmd
from gen_jax.metrics.manifold import density_coverage, precision_recall
from gen_jax.metrics.neighbours import memorized, nearest
from gen_jax.metrics.networks.features import FeatureNetwork

_HOW = "jackknife over images of both sets"
_SHOWN = 10  # samples beside the training images that they are nearest to
_SUBSETS = 20
MANIFOLD = ("precision", "recall", "density", "coverage")


def on_network(evaluation: Evaluation, network: FeatureNetwork) -> Result:
    """Frechet and kernel distance, precision, recall, density and coverage."""
    drawn = evaluation.samples.features(network)
    real = evaluation.features(network, evaluation.reference())
    reference = real[: len(real) // 2]
    if evaluation.preset.whole_reference:
        everything = shuffled(len(evaluation.subject.dataset.train))
        reference = evaluation.features(network, everything)
    is_inception, most = network.logits is not None, evaluation.preset.pairwise
    names = ("fid", "kid") if is_inception else ("frechet_distance", "kernel_distance")
    values = _compared(frechet, names[:1], reference, drawn, real)
    fewer = reference[:most], drawn[:most], real[: 2 * most]
    values |= _compared(squared_mmd, names[1:], *fewer)
    values[f"{names[1]}_deviation"] = Value(_deviation(*fewer[:2]))
    for name, value in _compared(manifold, MANIFOLD, *fewer).items():
        number = min(len(reference), len(drawn), most)
        values[name] = value if name == "density" else as_fraction(value, number)
    if is_inception:
        values["inception_score"] = _inception_score(network, drawn)
    context = {
        "network": network.name,
        "sha256": network.sha256,
        "dim": network.dim,
        "real": f"{len(reference)} training images",
        "real_baseline": f"halves of {len(real)} training images, {HALVINGS} times",
        "pairwise": f"at most {most} of each set",
        **evaluation.about_samples(),
    }
    return Result(values, context)


def _compared(
    metric: Callable, names: Sequence[str], reference, drawn, real
) -> dict[str, Value]:
    """What a metric of two sets says of samples, and of halves of the real features."""
    interval = jackknife_interval(metric, reference, drawn)
    real_baselines = np.mean(
        [np.atleast_1d(metric(*x)) for x in halvings(real)], axis=0
    )
    columns = zip(*map(np.atleast_1d, interval), strict=True)
    return {
        name: with_interval(
            Interval(*map(float, numbers)), _HOW, real_baseline=float(real_baseline)
        )
        for name, numbers, real_baseline in zip(
            names, columns, real_baselines, strict=True
        )
    }


def copies(evaluation: Evaluation) -> Result:
    """Samples beside the training images nearest to them, and how many are copies."""
    subject, most = evaluation.subject, evaluation.preset.pairwise
    x = evaluation.samples.first(most)
    train = subject.dataset.train.read(range(len(subject.dataset.train)))["x"]
    held_out = evaluation.held_out(most)
    real_baseline = float(memorized(held_out, train).mean())
    values = {
        "memorized": fraction_of(memorized(x, train), real_baseline=real_baseline)
    }
    context = {
        "distance": "Euclidean, of pixels",
        "real": f"{len(train)} training images",
        "real_baseline": f"{len(held_out)} held-out images",
        **evaluation.about_samples(),
        "samples": len(x),
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


def _deviation(real: np.ndarray, drawn: np.ndarray) -> float:
    """Of the kernel distance over subsets, as KID's is reported."""
    size = min(1000, min(len(real), len(drawn)) // 2)
    return kernel_distance(real, drawn, subsets=_SUBSETS, size=size)[1]


def _inception_score(network: FeatureNetwork, drawn: np.ndarray) -> Value:
    logits = network.logits(np.random.default_rng(0).permutation(drawn))
    p = np.exp(logits - logits.max(1, keepdims=True))
    scores = inception_scores(p / p.sum(1, keepdims=True))
    how = f"Student's t over {len(scores)} parts of the samples"
    return with_interval(seeds_interval(scores), how)
