"""p(x|z): how probable an image is, given what a decoder makes of a latent z.

Kingma & Welling (2013), appendix C, and Kingma et al. (2016), for images of 8 bits. A
decoder gives `channels` numbers for each channel of the image; value and gradient are
finite where any of them is +-1e4.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gen_jax.errors import UserError
from gen_jax.losses import terms


class Likelihood(NamedTuple):
    """log p(x|z) from what a decoder gives, and the image to show of it."""

    log_prob: Callable[[jax.Array, jax.Array], jax.Array]  # (x, out) -> [B, ...]
    mean: Callable[[jax.Array], jax.Array]  # out -> x_hat [B, ...]
    channels: int = 1  # of `out` for each channel of x


def bernoulli() -> Likelihood:
    """Pixels as coins: the decoder gives logits [B, ...] of (x + 1) / 2."""
    return Likelihood(
        log_prob=lambda x, out: terms.bernoulli_log_likelihood(out, (x + 1) / 2),
        mean=lambda out: 2 * jax.nn.sigmoid(out) - 1,
    )


def gaussian(scale: float) -> Likelihood:
    """N(out, scale^2 I), a density in image space: the decoder gives means [B, ...].

    The scale is given, where the decoder of Kingma & Welling's C.2 learns one: up to a
    constant, -log p is the squared error over 2 scale^2, so that the scale says how
    much the error counts beside a VAE's KL, and nothing else.

    Raises UserError for a scale not above 0.
    """
    if scale <= 0:
        raise UserError(f"scale is {scale}, but a standard deviation is above 0")
    log_scale = math.log(scale)
    return Likelihood(
        log_prob=lambda x, out: terms.gaussian_log_likelihood(x, out, log_scale),
        mean=lambda out: out,
    )


def discretised_logistic() -> Likelihood:
    """A probability of each of 256 grey levels: logistic, cut into bins.

    The decoder gives means and log scales, [B, ..., 2 C]. Log scales start near the
    scale of images, exp(-2) in units of x, and are kept above -7, a tenth of a bin:
    nothing is gained below, and an error would cost the more. They need no upper limit:
    from the width of images on, log p falls as the log scale rises, with a slope of -1.
    """

    def split(out):
        mean, log_scale = jnp.split(out, 2, axis=-1)
        return mean, jnp.maximum(log_scale - 2, -7.0)

    def log_prob(x, out):
        return terms.discretised_logistic_log_likelihood(x, *split(out))

    return Likelihood(
        log_prob, mean=lambda out: jnp.clip(split(out)[0], -1, 1), channels=2
    )
