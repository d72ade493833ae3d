"""Latent spaces: what lies between two images, how the codes lie, what they hold.

An autoencoder's codes may lie anywhere, with gaps between them; a VAE's fill N(0, I)
(Kingma & Welling 2013), from which it is sampled; a CVAE's need not tell the class
(Sohn et al. 2015), which its decoder is told. The codes here are q's means, but for
the aggregated posterior, which is of draws.
"""

import numpy as np

from gen_jax import images
from gen_jax.evaluation.subject import MAX_IMAGES, Subject
from gen_jax.figures import charts
from gen_jax.figures.classes import SURE, described_classifier, sure
from gen_jax.figures.figure import Figure
from gen_jax.metrics import gaussian_fit

PAIRS = 1000
ROWS, COLUMNS = 8, 9  # of interpolations
SIDE = 15  # of the plane's grid


def interpolation(subject: Subject) -> Figure:
    """From one draw of the prior to another, a row each, on a great circle.

    A straight line would pass where the prior of many dimensions has no draws.
    """
    first, last = (subject.call("prior", keys=subject.keys(ROWS, n)) for n in (0, 1))
    y = np.arange(ROWS, dtype=np.int32) % max(1, subject.game.num_classes)
    x = _decoded_path(subject, _great_circle, first, last, y)
    return Figure(_rows(x, "interpolation"), {})


def between(subject: Subject) -> Figure:
    """What lies between two real images: fading above, decoded codes below.

    The numbers are root mean squares over pixels, over pairs of held-out images, of one
    class where the game is told classes; intervals by bootstrap over images.
    """
    x, y, z = subject.codes
    mix = _great_circle if subject.game.ops.diffuse is not None else _line
    i, j = gaussian_fit.pairs(y if subject.game.num_classes else None, len(x), PAIRS)
    average = (x[i] + x[j]) / 2
    middle = subject.call("decode", z=mix(z[i], z[j], 0.5), y=y[i])
    real, _ = subject.real(MAX_IMAGES, "train")
    distances = {
        "decoded_midpoint_to_plain_average": gaussian_fit.rms(middle, average),
        "decoded_midpoint_to_nearest_real": gaussian_fit.nearest_rms(middle, real),
        "plain_average_to_nearest_real": gaussian_fit.nearest_rms(average, real),
        "between_the_two_images": gaussian_fit.rms(x[i], x[j]),
    }
    numbers = {"pairs": len(i), "training_images": len(real)}
    for name, distance in distances.items():
        numbers[name] = gaussian_fit.mean_and_interval(distance, i, j)
    i, j = i[: ROWS // 2], j[: ROWS // 2]
    fading = np.stack(
        [_line(x[i], x[j], fraction) for fraction in _fractions()], axis=1
    )
    decoded = _decoded_path(subject, mix, z[i], z[j], y[i])
    both = np.stack([fading, decoded], axis=1).reshape(-1, *fading.shape[1:])
    return Figure(_rows(both, "between"), numbers)


def scatter(subject: Subject) -> Figure:
    """Codes by class, whether a line can tell it, and how far from N(0, I) they lie.

    The probe is a logistic regression on codes of training images, asked of held-out
    ones. Codes of more than two dimensions are shown on their principal axes.
    """
    x, y, z = subject.codes
    x_train, y_train = subject.real(MAX_IMAGES, "train")
    z, z_train = _flat(z), _flat(subject.call("encode", x=x_train, y=y_train))
    draws = _flat(
        subject.call("encode", x=x_train, y=y_train, keys=subject.keys(len(x_train)))
    )
    noise = np.random.default_rng(subject.seed).standard_normal(draws.shape)
    numbers = {
        "held_out_images": len(x),
        "training_images": len(x_train),
        "dimensions": z.shape[1],
        "linear_probe_accuracy": gaussian_fit.probe_accuracy(z_train, y_train, z, y),
        "most_frequent_class": float(np.bincount(y[y >= 0]).max() / len(y)),
        "aggregated_posterior_to_normal": gaussian_fit.distance_to_normal(draws),
        "as_many_normal_draws_to_normal": gaussian_fit.distance_to_normal(noise),
    }
    centre, axes = gaussian_fit.principal_axes(z_train, 2)
    names = ("z_1", "z_2") if z.shape[1] == 2 else ("principal axis 1", "axis 2")
    chart = charts.by_class((z_train - centre) @ axes.T, y_train, *names)
    return Figure({"latents": chart}, numbers)


def plane(subject: Subject) -> Figure:
    """A plane through the latent space, decoded: Kingma & Welling, figure 4.

    Coordinates are spaced evenly in the prior's probability, by the inverse normal
    distribution; the axes are z's two, or the codes' two principal ones.
    """
    from scipy import stats

    if len(subject.dataset.info.shape) != 3:
        return Figure({}, {})
    _, _, codes = subject.codes
    prior = subject.call("prior", keys=subject.keys(MAX_IMAGES))
    _, axes = gaussian_fit.principal_axes(_flat(codes), 2)
    centre = _flat(prior).mean(0)
    scale = ((_flat(prior) - centre) @ axes.T).std(0)
    at = stats.norm.ppf((np.arange(SIDE) + 0.5) / SIDE)
    down, across = np.meshgrid(at[::-1], at, indexing="ij")
    coordinates = np.stack([across, down], -1).reshape(-1, 2) * scale
    z = (centre + coordinates @ axes).astype(np.float32)
    label = np.full(len(z), 0, np.int32)
    x = subject.call("decode", z=z.reshape(-1, *codes.shape[1:]), y=label)
    return Figure({"plane": images.grid(x, SIDE)}, {})


def gaps(subject: Subject) -> Figure:
    """How many draws of N(0, I) decode to something that a classifier is sure of."""
    x, y, codes = (each[:PAIRS] for each in subject.codes)
    rng = np.random.default_rng(subject.seed)
    z = rng.standard_normal((PAIRS, *codes.shape[1:])).astype(np.float32)
    label = np.arange(PAIRS, dtype=np.int32) % max(1, subject.game.num_classes)
    fractions = {
        "of_normal_draws_decoded": subject.call("decode", z=z, y=label),
        "of_held_out_images_decoded": subject.call("decode", z=codes, y=y),
        "of_held_out_images": x,
    }
    numbers = {
        "draws": PAIRS,
        "held_out": len(x),
        "classifier": described_classifier(subject),
    }
    numbers["sure_above"] = SURE
    for name, each in fractions.items():
        numbers[f"fraction_sure_{name}"] = sure(subject.classifier.probabilities(each))
    picture = images.grid(fractions["of_normal_draws_decoded"][:64])
    return Figure({"gaps": picture}, numbers)


def style(subject: Subject) -> Figure:
    """One latent, a row, in every class, a column: what z holds beside the class.

    The number is the standard deviation of pixels within a class, relative to that of
    real images: 0 where z changes nothing.
    """
    classes = subject.game.num_classes
    z = subject.call("prior", keys=subject.keys(PAIRS // classes))
    x = np.stack(
        [
            subject.call("decode", z=z, y=np.full(len(z), label, np.int32))
            for label in range(classes)
        ],
        axis=1,
    )
    real, y = subject.real(MAX_IMAGES, "train")
    within = [real[y == label].std(0).mean() for label in range(classes)]
    ratio = x.std(0).mean() / np.mean(within)
    picture = {}
    if x.ndim == 5 and classes <= 16:
        picture = {"style": images.grid(x[:ROWS].reshape(-1, *x.shape[2:]), classes)}
    return Figure(picture, {"styles": len(z), "spread_within_a_class": float(ratio)})


def _fractions() -> np.ndarray:
    return np.linspace(0, 1, COLUMNS, dtype=np.float32)


def _decoded_path(subject, mix, first, last, y) -> np.ndarray:
    """Codes [N, ...] mixed in COLUMNS steps and decoded: [N, COLUMNS, ...]."""
    z = np.stack([mix(first, last, fraction) for fraction in _fractions()], axis=1)
    x = subject.call("decode", z=z.reshape(-1, *z.shape[2:]), y=np.repeat(y, COLUMNS))
    return x.reshape(*z.shape[:2], *x.shape[1:])


def _line(first: np.ndarray, last: np.ndarray, fraction: float) -> np.ndarray:
    return first + fraction * (last - first)


def _great_circle(first: np.ndarray, last: np.ndarray, fraction: float) -> np.ndarray:
    """Shoemake (1985): sin((1 - s) w) a / sin w + sin(s w) b / sin w, [N, ...]."""
    a, b = _flat(first), _flat(last)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(1) / np.maximum(lengths, 1e-12)
    w = np.arccos(np.clip(cosine, -1, 1)).clip(1e-4)[:, None]
    mixed = (np.sin((1 - fraction) * w) * a + np.sin(fraction * w) * b) / np.sin(w)
    return mixed.reshape(first.shape).astype(np.float32)


def _flat(z: np.ndarray) -> np.ndarray:
    return z.reshape(len(z), -1)


def _rows(x: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """A picture of paths [N, COLUMNS, H, W, C]; points have none."""
    if x.ndim != 5:
        return {}
    return {name: images.grid(x.reshape(-1, *x.shape[2:]), x.shape[1])}
