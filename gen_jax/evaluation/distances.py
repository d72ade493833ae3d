"""Distances between samples and real images, on the features of a network.

Each metric of `gen_jax.metrics` comes with its real baseline: the same metric of two
halves of the real data, which a perfect model would reach. The names FID, KID and IS
are used for Inception only.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gen_jax import images
from gen_jax.evaluation.examples import Examples, needs
from gen_jax.evaluation.halves import SPLITS, random_halves, shuffled
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import (
    Result,
    Value,
    as_fraction,
    fraction_of,
    with_interval,
)
from gen_jax.metrics.frechet import frechet_distance, moments
from gen_jax.metrics.inception_score import inception_scores
from gen_jax.metrics.intervals import (
    GROUPS,
    Interval,
    jackknife_interval,
    seeds_interval,
)
from gen_jax.metrics.kernel import kernel_distance, squared_mmd
from gen_jax.metrics.manifold import density_coverage, precision_recall
from gen_jax.metrics.neighbours import memorized, nearest
from gen_jax.metrics.networks.features import FeatureNetwork

_HOW = "jackknife over images of both sets"
_SHOWN = 10  # samples in the picture, next to their nearest training images
_NEAREST = 3  # training images next to each of them
_SUBSETS = 20
_MEMORIZED = (
    "memorized: nearer to a training image than any other training image is; compare "
    "the fraction with that of test images, the real baseline"
)
MANIFOLD = ("precision", "recall", "density", "coverage")


def on_network(evaluation: Evaluation, network: FeatureNetwork) -> Result:
    """Measure Frechet and kernel distance, precision, recall, density and coverage."""
    needs(evaluation.size, GROUPS, "examples in each set", _advice(evaluation, GROUPS))
    samples = evaluation.samples.features(network)
    real = evaluation.features(network, evaluation.reference())
    reference = real[: len(real) // 2]
    if evaluation.preset.whole_reference:
        everything = shuffled(len(evaluation.dataset.train))
        reference = evaluation.features(network, everything)
    pairwise = evaluation.preset.pairwise
    names = (
        ("fid", "kid") if network.logits else ("frechet_distance", "kernel_distance")
    )
    values: dict[str, Value] = {}
    left_out = []
    if network.dim <= evaluation.max_features:
        values |= _compared(frechet, names[:1], reference, samples, real)
    else:
        left_out.append(_too_many_features(evaluation, network, names[0]))
    fewer = reference[:pairwise], samples[:pairwise], real[: 2 * pairwise]
    values |= _compared(squared_mmd, names[1:], *fewer)
    values[f"{names[1]}_deviation"] = Value(_deviation(*fewer[:2]))
    for name, value in _compared(manifold, MANIFOLD, *fewer).items():
        number = min(len(reference), len(samples), pairwise)
        values[name] = value if name == "density" else as_fraction(value, number)
    if network.logits:
        values["inception_score"] = _inception_score(network.logits, samples)
    context = {
        "network": network.name,
        "sha256": network.sha256,
        "dim": network.dim,
        "real": f"{len(reference)} training images",
        "real_baseline": f"halves of {len(real)} training images, {SPLITS} times",
        "pairwise": f"at most {pairwise} of each set",
        **evaluation.about_samples(evaluation.samples.number),
    }
    return Result(values, context, left_out=left_out)


def _too_many_features(
    evaluation: Evaluation, network: FeatureNetwork, name: str
) -> str:
    """Return the line on a distance for which the sets are too small."""
    least = least_for(network.dim)
    return (
        f"{name.replace('_', ' ')} left out: {network.dim:,} features need at least "
        f"{least:,} images in each set, and there are {evaluation.size:,}; "
        f"{_advice(evaluation, least)}"
    )


def least_for(dim: int) -> int:
    """Return the least size of a set for a Frechet distance and its interval.

    A covariance of full rank needs more examples than features, also without a group
    that the jackknife leaves out.
    """
    least = dim + 1
    while least - -(-least // GROUPS) <= dim:
        least += 1
    return least


def _advice(evaluation: Evaluation, least: int) -> str:
    """Return how to get `least` images in each set that is compared."""
    train = len(evaluation.dataset.train)
    if train < 2 * least:
        return (
            f"a set holds half of the training images, of which there are {train:,}: "
            "use more data, or smaller --features"
        )
    return f"use --samples={least}, or smaller --features"


def _compared(
    metric: Callable,
    names: Sequence[str],
    reference: np.ndarray,
    samples: np.ndarray,
    real: np.ndarray,
) -> dict[str, Value]:
    """Return a metric of samples, with the baseline of halves of the real features."""
    interval = jackknife_interval(metric, reference, samples)
    halves = [np.atleast_1d(metric(*x)) for x in random_halves(real)]
    columns = zip(*map(np.atleast_1d, interval), strict=True)
    return {
        name: with_interval(
            Interval(*map(float, numbers)), _HOW, real_baseline=float(real_baseline)
        )
        for name, numbers, real_baseline in zip(
            names, columns, np.mean(halves, axis=0), strict=True
        )
    }


def copies(evaluation: Evaluation) -> Result:
    """Measure the fraction of samples that are nearly copies of a training image."""
    number = evaluation.preset.pairwise
    train = Examples(evaluation.dataset.train)
    needs(len(train), 2, "training images")
    x, held_out = evaluation.samples.first(number), evaluation.held_out(number)
    both = memorized(np.concatenate([x, held_out]), train)
    of_samples, of_held_out = both[: len(x)], both[len(x) :]
    values = {
        "memorized": fraction_of(of_samples, real_baseline=float(of_held_out.mean()))
    }
    context = {
        "distance": "Euclidean, of pixels",
        "real": f"{len(train)} training images",
        "real_baseline": f"{len(held_out)} test images",
        **evaluation.about_samples(len(x)),
    }
    result = Result(values, context, note=_MEMORIZED)
    if x.ndim != 4:
        return result
    shown, near = x[:_SHOWN], min(_NEAREST, len(train))
    places = nearest(shown, train, near).place
    columns = [shown, *(train[each] for each in places.T)]
    picture = images.side_by_side(*map(images.from_uint8, columns))
    caption = f"Samples, each followed by the {near} training images nearest to it."
    return result._replace(pictures={"nearest": picture}, captions={"nearest": caption})


def frechet(real: np.ndarray, samples: np.ndarray) -> float:
    """Return the Frechet distance of features [M, D] and [N, D]."""
    return frechet_distance(moments(real), moments(samples))


def manifold(real: np.ndarray, samples: np.ndarray) -> tuple[float, ...]:
    """Return the numbers that `MANIFOLD` names, of features [M, D] and [N, D]."""
    return (*precision_recall(real, samples), *density_coverage(real, samples))


def _deviation(real: np.ndarray, samples: np.ndarray) -> float:
    """Return the kernel distance's deviation over subsets, as papers report for KID."""
    size = min(1000, min(len(real), len(samples)) // 2)
    return kernel_distance(real, samples, subsets=_SUBSETS, size=size)[1]


def _inception_score(
    logits_of: Callable[[np.ndarray], np.ndarray], samples: np.ndarray
) -> Value:
    logits = logits_of(np.random.default_rng(0).permutation(samples))
    p = np.exp(logits - logits.max(1, keepdims=True))
    scores = inception_scores(p / p.sum(1, keepdims=True))
    how = f"Student's t over {len(scores)} parts of the samples"
    return with_interval(seeds_interval(scores), how)
