"""The likelihood p(x|z) of an image, given a decoder's output for a latent z.

Kingma & Welling (2013), appendix C, and Kingma et al. (2016), for 8-bit images. A
decoder gives `channels` numbers per channel of the image. Value and gradient are finite
if any of them is +-1e4.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gen_jax.errors import UserError
from gen_jax.losses import terms


class Likelihood(NamedTuple):
    """The log density log p(x|z) for a decoder's output, and the output's mean."""

    log_prob: Callable[[jax.Array, jax.Array], jax.Array]  # (x, out) -> [B, ...]
    mean: Callable[[jax.Array], jax.Array]  # out -> x_hat [B, ...]
    channels: int = 1  # channels of `out` per channel of x


def bernoulli() -> Likelihood:
    """Return a Bernoulli distribution per pixel: `out` holds logits of (x + 1) / 2.

    `out` has the shape [B, ...] of x.
    """
    return Likelihood(
        log_prob=lambda x, out: terms.bernoulli_log_likelihood(out, (x + 1) / 2),
        mean=lambda out: 2 * jax.nn.sigmoid(out) - 1,
    )


def gaussian(scale: float) -> Likelihood:
    """Return N(out, scale^2 I), a density in image space: `out` is the mean [B, ...].

    The scale is given; the decoder of Kingma & Welling's appendix C.2 learns one. Up to
    a constant, -log p is the squared error over 2 scale^2. So the scale only weighs the
    error against a VAE's KL.

    Raises UserError if the scale is not above 0.
    """
    if scale <= 0:
        raise UserError(
            f"scale={scale} is not a standard deviation: give a number above 0"
        )
    log_scale = math.log(scale)
    return Likelihood(
        log_prob=lambda x, out: terms.gaussian_log_likelihood(x, out, log_scale),
        mean=lambda out: out,
    )


def discretised_logistic() -> Likelihood:
    """Return a distribution over 256 grey levels: a logistic, cut into bins.

    The decoder gives means and log scales, [B, ..., 2 C]. Log scales start near the
    scale of images, exp(-2) in units of x. They are kept above -7, a tenth of a bin:
    below, nothing is gained and an error would cost more. They need no upper limit.
    Beyond the width of images log p falls with slope -1 as the log scale rises.
    """

    def split(out):
        mean, log_scale = jnp.split(out, 2, axis=-1)
        return mean, jnp.maximum(log_scale - 2, -7.0)

    def log_prob(x, out):
        return terms.discretised_logistic_log_likelihood(x, *split(out))

    return Likelihood(
        log_prob, mean=lambda out: jnp.clip(split(out)[0], -1, 1), channels=2
    )
