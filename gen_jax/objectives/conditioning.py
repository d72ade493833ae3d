"""Classifier-free guidance (Ho & Salimans 2022), for diffusion and for flow.

A network learns with and without labels, since some are dropped in training. Samples
then follow its output for y, pushed away from its output without a label:

    out(y) + w (out(y) - out())                                                (6)
"""

import jax
import jax.numpy as jnp

from gen_jax import randomness
from gen_jax.errors import UserError


def drop_labels(y: jax.Array, keys: jax.Array, rate: float) -> jax.Array:
    """Return labels y int32 [B], each replaced by -1 with probability `rate`.

    keys: one an example, [B].
    """
    return jnp.where(randomness.fraction(keys) < rate, -1, y)


def guide(out: jax.Array, out_without_label: jax.Array, w: float) -> jax.Array:
    """Return equation 6 for outputs [B, ...] with and without labels."""
    return out + w * (out - out_without_label)


def check_guidance(w: float, num_classes: int) -> None:
    """Raise UserError for guidance of a model without classes."""
    if w and not num_classes:
        raise UserError(
            f"guidance={w} needs classes, and this model has none: leave it out"
        )
