"""Latent spaces: paths between images, the distribution of codes, and their content.

An autoencoder's codes may lie anywhere, with gaps between them. A VAE's fill N(0, I)
(Kingma & Welling 2013), from which it is sampled. A CVAE's need not contain the class
(Sohn et al. 2015), which its decoder is given. Codes here are the means of q, except in
the aggregated posterior, which consists of random z.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gen_jax import images
from gen_jax.data.class_names import class_names
from gen_jax.evaluation.by_class import SURE, fraction_sure
from gen_jax.evaluation.examples import needs
from gen_jax.evaluation.request import MAX_CODES, Evaluation
from gen_jax.figures import charts, lettering
from gen_jax.figures.figure import Figure, grid_of
from gen_jax.metrics import gaussian_fit

Mix = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

_PAIRS = 1000
_ROWS, _COLUMNS = 8, 9  # of interpolations
_SIDE = 15  # of the plane's grid


def interpolation(evaluation: Evaluation) -> Figure:
    """Show the great circle from one random latent to another, a row each.

    In many dimensions a straight line would pass where the prior has no mass.
    """
    first, last = (
        evaluation.apply("prior", keys=evaluation.keys(_ROWS, n)) for n in (0, 1)
    )
    y = evaluation.labels(_ROWS)
    x = _decoded_path(evaluation, _great_circle, first, last, y)
    return Figure(grid_of("interpolation", x, _COLUMNS))


def between(evaluation: Evaluation) -> Figure:
    """Show paths between two real images: blended above, decoded codes below.

    The numbers are root mean squares over pixels, for pairs of test images; of one
    class if the game takes labels. Intervals are by bootstrap over images.
    """
    x, y, z = evaluation.codes
    needs(len(x), 2, "test images")
    mix = _great_circle if evaluation.game.ops.diffuse is not None else _line
    i, j = gaussian_fit.pairs(
        y if evaluation.game.num_classes else None, len(x), _PAIRS
    )
    needs(len(i), 1, "pairs of test images of one class")
    average = (x[i] + x[j]) / 2
    middle = evaluation.apply("decode", z=mix(z[i], z[j], 0.5), y=y[i])
    real, _ = evaluation.real(MAX_CODES, "train")
    distances = {
        "decoded_midpoint_to_plain_average": gaussian_fit.rms(middle, average),
        "decoded_midpoint_to_nearest_real": gaussian_fit.nearest_rms(middle, real),
        "plain_average_to_nearest_real": gaussian_fit.nearest_rms(average, real),
        "between_the_two_images": gaussian_fit.rms(x[i], x[j]),
    }
    numbers: dict[str, Any] = {"pairs": len(i), "training_images": len(real)}
    for name, distance in distances.items():
        numbers[name] = gaussian_fit.mean_and_interval(distance, i, j)
    i, j = i[: _ROWS // 2], j[: _ROWS // 2]
    blended = np.stack(
        [_line(x[i], x[j], fraction) for fraction in _fractions()], axis=1
    )
    decoded = _decoded_path(evaluation, mix, z[i], z[j], y[i])
    both = np.stack([blended, decoded.reshape(blended.shape)], axis=1)
    rows = both.reshape(-1, *x.shape[1:])
    return Figure(grid_of("between", rows, _COLUMNS), numbers)


def scatter(evaluation: Evaluation) -> Figure:
    """Show codes by class; measure a linear probe, and the distance from N(0, I).

    The probe is a logistic regression on codes of training images, tested on those of
    test images. Codes of more than two dimensions are shown on their principal axes.
    """
    x, y, z = evaluation.codes
    x_train, y_train = evaluation.real(MAX_CODES, "train")
    z, z_train = _flat(z), _flat(evaluation.apply("encode", x=x_train, y=y_train))
    needs(len(z_train), 3, "training images")
    keys = evaluation.keys(len(x_train))
    posterior = _flat(evaluation.apply("encode", x=x_train, y=y_train, keys=keys))
    noise = np.random.default_rng(evaluation.seed).standard_normal(posterior.shape)
    numbers = {
        "test_images": len(x),
        "training_images": len(x_train),
        "dimensions": z.shape[1],
        "aggregated_posterior_to_normal": gaussian_fit.distance_to_normal(posterior),
        "as_many_normal_samples_to_normal": gaussian_fit.distance_to_normal(noise),
    }
    left_out: tuple[str, ...] = ()
    if (y >= 0).any() and len(np.unique(y_train[y_train >= 0])) > 1:
        accuracy = gaussian_fit.probe_accuracy(z_train, y_train, z, y)
        frequent = np.bincount(y[y >= 0]).max() / (y >= 0).sum()
        numbers |= {
            "linear_probe_accuracy": accuracy,
            "most_frequent_class": float(frequent),
        }
    else:
        left_out = (
            "linear probe left out: needs test images with labels, and training images "
            "of two classes",
        )
    centre, axes = gaussian_fit.principal_axes(z_train, 2)
    names = ("z_1", "z_2") if z.shape[1] == 2 else ("principal axis 1", "axis 2")
    classes = class_names(evaluation.dataset.info)
    chart = charts.by_class((z_train - centre) @ axes.T, y_train, *names, classes)
    return Figure({"latents": chart}, numbers, left_out=left_out)


def plane(evaluation: Evaluation) -> Figure:
    """Show a plane through the latent space, decoded: Kingma & Welling, figure 4.

    Coordinates are spaced evenly in the prior's probability, by the inverse normal
    distribution; the axes are z's two, or the codes' two principal ones.
    """
    from scipy import stats

    if len(evaluation.dataset.info.shape) != 3:
        return Figure({})
    _, _, codes = evaluation.codes
    needs(len(codes), 3, "test images")
    prior = evaluation.apply("prior", keys=evaluation.keys(MAX_CODES))
    _, axes = gaussian_fit.principal_axes(_flat(codes), 2)
    centre = _flat(prior).mean(0)
    scale = ((_flat(prior) - centre) @ axes.T).std(0)
    at = stats.norm.ppf((np.arange(_SIDE) + 0.5) / _SIDE)
    down, across = np.meshgrid(at[::-1], at, indexing="ij")
    coordinates = np.stack([across, down], -1).reshape(-1, 2) * scale
    z = (centre + coordinates @ axes).astype(np.float32)
    label = np.full(len(z), 0, np.int32)
    x = evaluation.apply("decode", z=z.reshape(-1, *codes.shape[1:]), y=label)
    return Figure({"plane": images.grid(x, _SIDE)})


def gaps(evaluation: Evaluation) -> Figure:
    """Show how many random z ~ N(0, I) decode to an image of a clear class."""
    x, y, codes = (each[:_PAIRS] for each in evaluation.codes)
    rng = np.random.default_rng(evaluation.seed)
    z = rng.standard_normal((_PAIRS, *codes.shape[1:])).astype(np.float32)
    decoded = evaluation.apply("decode", z=z, y=evaluation.labels(_PAIRS))
    sets = {
        "of_random_z_decoded": decoded,
        "of_test_images_decoded": evaluation.apply("decode", z=codes, y=y),
        "of_test_images": x,
    }
    classifier = evaluation.classifier
    known = {} if classifier.accuracy is None else {"accuracy": classifier.accuracy}
    numbers: dict[str, Any] = {
        "random_z": _PAIRS,
        "test_images": len(x),
        "classifier": {**known, "test_images": classifier.num_test},
        "sure_above": SURE,
    }
    for name, each in sets.items():
        p = classifier.probabilities(each)
        numbers[f"fraction_sure_{name}"] = fraction_sure(p)
    picture = images.grid(decoded[:64])
    return Figure({"gaps": picture}, numbers)


def style(evaluation: Evaluation) -> Figure:
    """Show one latent a row and one class a column: z holds all but the class.

    The number is the standard deviation of pixels within a class, relative to that of
    real images: 0 if z changes nothing.
    """
    drawn = evaluation.classes
    number = max(_ROWS, _PAIRS // len(drawn))
    z = evaluation.apply("prior", keys=evaluation.keys(number))
    x = np.stack(
        [
            evaluation.apply("decode", z=z, y=np.full(len(z), label, np.int32))
            for label in drawn
        ],
        axis=1,
    )
    real, y = evaluation.real(MAX_CODES, "train")
    within = [real[y == label].std(0).mean() for label in np.unique(y[y >= 0])]
    needs(int(np.sum(np.greater(within, 0))), 1, "class of two different images")
    ratio = x.std(0).mean() / np.mean(within)
    picture = {}
    if x.ndim == 5 and len(drawn) <= 16:
        grid = images.grid(x[:_ROWS].reshape(-1, *x.shape[2:]), len(drawn))
        names = class_names(evaluation.dataset.info)
        heads = [lettering.head(label, names[label]) for label in drawn]
        picture = {"style": lettering.with_column_heads(grid, heads)}
    return Figure(picture, {"styles": len(z), "spread_within_a_class": float(ratio)})


def _fractions() -> np.ndarray:
    return np.linspace(0, 1, _COLUMNS, dtype=np.float32)


def _decoded_path(
    evaluation: Evaluation, mix: Mix, first: np.ndarray, last: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Decode paths from first [N, ...] to last: [N * _COLUMNS, ...], path by path."""
    mixed = np.stack([mix(first, last, fraction) for fraction in _fractions()], axis=1)
    z = mixed.reshape(-1, *first.shape[1:])
    return evaluation.apply("decode", z=z, y=np.repeat(y, _COLUMNS))


def _line(first: np.ndarray, last: np.ndarray, fraction: float) -> np.ndarray:
    return first + fraction * (last - first)


def _great_circle(first: np.ndarray, last: np.ndarray, fraction: float) -> np.ndarray:
    """Return codes [N, ...] on the great circle between a and b, Shoemake (1985).

    sin((1 - s) w) a / sin w + sin(s w) b / sin w, for the fraction s and the angle w.
    """
    a, b = _flat(first), _flat(last)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    w = np.arccos(np.clip(cosine, -1, 1)).clip(1e-4)[:, None]
    mixed = (np.sin((1 - fraction) * w) * a + np.sin(fraction * w) * b) / np.sin(w)
    return mixed.reshape(first.shape).astype(np.float32)


def _flat(z: np.ndarray) -> np.ndarray:
    return z.reshape(len(z), -1)
