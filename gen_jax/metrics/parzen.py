"""The log-likelihood of test images under a Parzen window on samples.

Goodfellow et al. (2014), "Generative adversarial nets", section 5, after Breuleux et
al. (2011). Each of M samples s of D numbers becomes a Gaussian of width sigma,

    log p(x) = log mean_m exp(-|x - s_m|^2 / (2 sigma^2)) - D/2 log(2 pi sigma^2)

in nats. Validation data choose sigma. In high dimensions the Parzen estimate is
dominated by its bias (Theis et al. 2016, "A note on the evaluation of generative
models"). It serves to compare with the papers of its time.

As in the paper, densities are those of images in [0, 1]. Ours in [-1, 1] are mapped by
(x + 1) / 2; in [-1, 1] the densities would be D log 2 nats lower.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from gen_jax import progress
from gen_jax.errors import UserError
from gen_jax.metrics.checks import as_float, check_images
from gen_jax.metrics.neighbours import Images

SIGMAS = tuple(np.logspace(-1, 0, 10).tolist())  # the paper's choice
_BLOCK = 2**21  # distances held at a time, or numbers in a block of images


class Parzen(NamedTuple):
    """The chosen width; mean log-likelihood of test images and standard error, nats."""

    sigma: float
    mean: float
    standard_error: float


def log_likelihood(x: Images, samples: np.ndarray, sigma: float) -> np.ndarray:
    """Return log p(x) of images [N, ...] under samples [M, ...]: float64 [N], in nats.

    x, samples: uint8, or floats in [-1, 1].
    sigma: width above 0, in units of images in [0, 1].

    Raises UserError if images, shapes or sigma are invalid.
    """
    return _log_likelihoods(x, samples, [sigma])[0]


def parzen(
    samples: np.ndarray,
    validation: Images,
    test: Images,
    sigmas: Sequence[float] = SIGMAS,
) -> Parzen:
    """Compute the paper's number, with the width chosen on validation images.

    The paper takes 10,000 samples, 1,000 validation images and all test images.

    samples, validation, test: images [N, ...] as in `log_likelihood`. The last two are
        read in blocks.
    sigmas: candidate widths. The one with the highest likelihood of validation images
        is chosen.

    The error is the standard deviation over test images / sqrt(their number).

    Raises UserError as `log_likelihood` does, and if there are fewer than two test
    images.
    """
    if len(test) < 2:
        raise UserError(
            f"a standard error needs at least two test images, not {len(test)}"
        )
    if not len(sigmas):
        raise UserError("sigmas is empty, so no sigma can be chosen: give one or more")
    means = _log_likelihoods(validation, samples, sigmas).mean(1)
    sigma = float(sigmas[int(means.argmax())])
    values = log_likelihood(test, samples, sigma)
    error = values.std(ddof=1) / math.sqrt(len(values))
    return Parzen(sigma, float(values.mean()), float(error))


def _log_likelihoods(
    x: Images, samples: np.ndarray, sigmas: Sequence[float]
) -> np.ndarray:
    """Compute `log_likelihood` for each sigma: [S, N]."""
    check_images(**{"held-out": x[:1], "sampled": samples})
    if x.shape[1:] != samples.shape[1:]:
        raise UserError(
            f"held-out images and samples must have one shape, not {list(x.shape)} "
            f"with {list(samples.shape)}"
        )
    if not all(0 < sigma < math.inf for sigma in sigmas):
        raise UserError(
            f"sigmas={list(sigmas)} are invalid: a window's width is above 0 and finite"
        )
    samples = _unit(samples)
    lengths = (samples**2).sum(1)
    rows = max(1, _BLOCK // max(len(samples), samples.shape[1]))
    blocks = []
    for start, stop in progress.blocks("test images under the windows", len(x), rows):
        block = x[start:stop]
        check_images(**{"held-out": block})
        block = _unit(block)
        squared = (block**2).sum(1)[:, None] + lengths - 2 * block @ samples.T
        squared = np.maximum(squared, 0)
        blocks.append([logsumexp(squared / (-2 * s**2), axis=1) for s in sigmas])
    volume = samples.shape[1] / 2 * np.log(2 * np.pi * np.square(sigmas))
    return np.concatenate(blocks, 1) - np.log(len(samples)) - volume[:, None]


def _unit(x: np.ndarray) -> np.ndarray:
    """Convert images to float64 [N, D] in [0, 1]."""
    return (as_float(x).reshape(len(x), -1) + 1) / 2
