"""Denoising: an image dissolves into noise over T steps, and is restored.

Ho et al. (2020), figures 6 and 7: x_0_hat along the way, and images that share x_t. Two
numbers measure the information about the image that is left in the noise at the end:
the prior term of the bound, and the distance of the pixels from N(0, 1).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from gen_jax.evaluation.request import Evaluation
from gen_jax.figures.figure import Figure, grid_of

_MAX_IMAGES = 1000
_SHOWN = 4
_TIMES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
_SHARED_AT = (0.9, 0.7, 0.5, 0.3)
_SHARING = 8  # samples that share an x_t
_KOLMOGOROV_95 = 1.36  # 95 % quantile of Kolmogorov's distribution, times sqrt(N)


def dissolving(evaluation: Evaluation) -> Figure:
    """Show real images at rising times, and below each the estimate of x_0."""
    x, y = evaluation.real(_MAX_IMAGES)
    keys = evaluation.keys(len(x))
    few, y_few = x[:_SHOWN], y[:_SHOWN]

    def diffused(x, time):
        options = {"time": time}
        return evaluation.apply("diffuse", x=x, keys=keys[: len(x)], options=options)

    path = [diffused(few, time) for time in _TIMES]
    pictures = _path_and_estimates(evaluation, path, _TIMES, y_few, "dissolving")
    numbers = {"images": len(x), **_normality(diffused(x, 1.0), x)}
    if evaluation.game.ops.prior_term is not None:
        nats = float(evaluation.apply("prior_term", x=x).mean())
        numbers["prior_term_nats"] = nats
        numbers["prior_term_bits_per_dim"] = nats / (np.log(2) * x[0].size)
    return Figure(pictures, numbers)


def restoring(evaluation: Evaluation) -> Figure:
    """Show the way from noise to images, and below each x_t the estimate of x_0."""
    times, keys = _TIMES[::-1], evaluation.keys(_SHOWN)
    y = evaluation.labels(_SHOWN)
    path = [evaluation.apply("prior", keys=keys)]
    for start, end in itertools.pairwise(times):
        inputs: dict[str, Any] = {"x_t": path[-1], "keys": keys, "y": y}
        options = {"start": start, "end": end}
        path.append(evaluation.apply("denoise_between", options=options, **inputs))
    return Figure(_path_and_estimates(evaluation, path, times, y, "restoring"))


def shared_noise(evaluation: Evaluation) -> Figure:
    """Show one x_t denoised several times with different noise.

    The number is the standard deviation among the samples that share an x_t, averaged
    over pixels.
    """
    one, label = evaluation.real(1)
    rows, spread = [], {}
    for row, time in enumerate(_SHARED_AT):
        keys = evaluation.keys(_SHARING, stream=1 + row)
        x_t = evaluation.apply("diffuse", x=one, keys=keys[:1], options={"time": time})
        restored = evaluation.apply(
            "denoise_between",
            x_t=x_t.repeat(_SHARING, 0),
            keys=keys,
            y=label.repeat(_SHARING),
            options={"start": time, "end": 0.0},
        )
        rows.append(np.concatenate([one, x_t, restored]))
        spread[f"spread_when_shared_at_{time}"] = float(restored.std(0).mean())
    pictures = grid_of("shared_noise", np.concatenate(rows), 2 + _SHARING)
    return Figure(pictures, spread)


def _path_and_estimates(
    evaluation: Evaluation,
    path: Sequence[np.ndarray],
    times: Sequence[float],
    y: np.ndarray,
    name: str,
) -> dict[str, np.ndarray]:
    """Return a picture with a row of x_t for each image, and below it its x_0_hat."""
    estimates = [
        x_t
        if time == 0
        else evaluation.apply("predict_x0", x_t=x_t, y=y, options={"time": time})
        for x_t, time in zip(path, times, strict=True)
    ]
    both = np.stack([np.stack(path, 1), np.stack(estimates, 1)], axis=1)
    return grid_of(name, both.reshape(-1, *both.shape[3:]), len(times))


def _normality(noise: np.ndarray, x: np.ndarray) -> dict[str, float]:
    """Return how far the pixels of x_T are from N(0, 1), and from independent of x."""
    from scipy import stats

    pixels, x = (a.ravel().astype(np.float64) for a in (noise, x))
    return {
        "x_T_mean": float(pixels.mean()),
        "x_T_std": float(pixels.std()),
        "x_T_kolmogorov_smirnov": float(stats.kstest(pixels, "norm").statistic),
        "kolmogorov_smirnov_of_normal_below_in_95_percent": float(
            _KOLMOGOROV_95 / np.sqrt(pixels.size)
        ),
        "correlation_of_x_T_with_x_0": float(np.corrcoef(pixels, x)[0, 1]),
    }
