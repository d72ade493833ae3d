"""An image dissolves into noise over T steps, and is restored.

Ho et al. (2020), figures 6 and 7: x_0_hat along the way, and images that share x_t.
How much the noise at the end still knows is the bound's prior term, and how near
N(0, 1) its pixels lie.
"""

import itertools

import numpy as np

from gen_jax import images
from gen_jax.evaluation.subject import Subject
from gen_jax.figures.figure import Figure

MAX_IMAGES = 1000  # images measured
SHOWN = 4
TIMES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
SHARED_AT = (0.9, 0.7, 0.5, 0.3)
SHARING = 8  # samples that share an x_t
ENDS_95 = 1.36  # of Kolmogorov's distribution: its 95 % quantile, over sqrt(N)


def dissolving(subject: Subject) -> Figure:
    """Real images over time, and below each what the network then takes x_0 for."""
    x, y = subject.real(MAX_IMAGES)
    keys = subject.keys(len(x))
    few, y_few = x[:SHOWN], y[:SHOWN]

    def diffused(x, time):
        return subject.call("diffuse", x=x, keys=keys[: len(x)], options={"time": time})

    path = [diffused(few, time) for time in TIMES]
    picture = _path_and_guesses(subject, path, TIMES, y_few)
    numbers = {"images": len(x), **_normality(diffused(x, 1.0), x)}
    if subject.game.ops.prior_term is not None:
        nats = float(subject.call("prior_term", x=x).mean())
        numbers["prior_term_nats"] = nats
        numbers["prior_term_bits_per_dim"] = nats / (np.log(2) * x[0].size)
    return Figure(picture, numbers)


def restoring(subject: Subject) -> Figure:
    """From noise to images, and below each x_t what the network takes x_0 for."""
    times, keys = TIMES[::-1], subject.keys(SHOWN)
    y = np.arange(SHOWN, dtype=np.int32) % max(1, subject.game.num_classes)
    path = [subject.call("prior", keys=keys)]
    for start, end in itertools.pairwise(times):
        span = {"start": start, "end": end}
        path.append(
            subject.call("denoise_between", x_t=path[-1], keys=keys, y=y, options=span)
        )
    return Figure(_path_and_guesses(subject, path, times, y, "restoring"), {})


def shared_noise(subject: Subject) -> Figure:
    """One x_t restored with other noise each time: the less is lost, the less differs.

    The number is the pixels' standard deviation among those that share an x_t, the mean
    over pixels and images.
    """
    one, label = subject.real(1)
    rows, spread = [], {}
    for row, time in enumerate(SHARED_AT):
        keys = subject.keys(SHARING, stream=1 + row)
        x_t = subject.call("diffuse", x=one, keys=keys[:1], options={"time": time})
        restored = subject.call(
            "denoise_between",
            x_t=x_t.repeat(SHARING, 0),
            keys=keys,
            y=label.repeat(SHARING),
            options={"start": time, "end": 0.0},
        )
        rows.append(np.concatenate([one, x_t, restored]))
        spread[f"spread_when_shared_at_{time}"] = float(restored.std(0).mean())
    return Figure(_pictures("shared_noise", np.concatenate(rows), 2 + SHARING), spread)


def _path_and_guesses(subject, path, times, y, name="dissolving"):
    """A picture: a row of x_t for each image, and below it a row of x_0_hat."""
    guesses = [
        x_t
        if time == 0
        else subject.call("predict_x0", x_t=x_t, y=y, options={"time": time})
        for x_t, time in zip(path, times, strict=True)
    ]
    both = np.stack([np.stack(path, 1), np.stack(guesses, 1)], axis=1)
    return _pictures(name, both.reshape(-1, *both.shape[3:]), len(times))


def _pictures(name: str, x: np.ndarray, columns: int) -> dict[str, np.ndarray]:
    """A grid of images; points have no picture of a path."""
    return {name: images.grid(x, columns)} if x.ndim == 4 else {}


def _normality(noise: np.ndarray, x: np.ndarray) -> dict[str, float]:
    """How near the pixels of x_T are to N(0, 1), and what they still share with x_0."""
    from scipy import stats

    pixels, x = (a.ravel().astype(np.float64) for a in (noise, x))
    return {
        "x_T_mean": float(pixels.mean()),
        "x_T_std": float(pixels.std()),
        "x_T_kolmogorov_smirnov": float(stats.kstest(pixels, "norm").statistic),
        "kolmogorov_smirnov_of_normal_below_in_95_percent": float(
            ENDS_95 / np.sqrt(pixels.size)
        ),
        "correlation_of_x_T_with_x_0": float(np.corrcoef(pixels, x)[0, 1]),
    }
