"""Optimizers as the papers state them, and averages of the weights over training."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from gen_jax.game import PlayerState, Tree, Weights


def adam(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    clip_norm: float | None = None,
    warmup_steps: int = 0,
) -> optax.GradientTransformation:
    """Return Adam (Kingma & Ba 2014) for one player's parameters.

    clip_norm: maximum global norm of a gradient; a longer one is scaled to it.
    warmup_steps: updates over which the learning rate rises linearly from 0. No
        schedule depends on a run's total, which may be raised later.
    """
    rate = learning_rate
    if warmup_steps:
        # optax counts updates from 0, so the first one has rate 0 and moves nothing.
        rate = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    parts = [optax.adam(rate, b1=b1, b2=b2)]
    if clip_norm is not None:  # first: it clips the gradient, not Adam's update
        parts.insert(0, optax.clip_by_global_norm(clip_norm))
    return optax.chain(*parts)


def sgd_of_2014(
    learning_rate: float = 0.1,
    decay: float = 1.000004,
    momentum: tuple[float, float] = (0.5, 0.7),
    momentum_steps: int = 125_000,
) -> optax.GradientTransformation:
    """Return SGD with momentum as Goodfellow et al. (2014) ran it.

    The learning rate is divided by `decay` at each update, down to 1e-6. The momentum
    rises linearly over `momentum_steps` updates. m <- mu m - rate g; w <- w + m.
    """

    def rate(count):
        return jnp.maximum(learning_rate * decay ** -count.astype(jnp.float32), 1e-6)

    mu = optax.linear_schedule(*momentum, momentum_steps)
    # The rate comes before the momentum: old gradients keep the rate of their update.
    return optax.chain(
        optax.scale_by_learning_rate(rate),
        optax.inject_hyperparams(optax.trace)(decay=mu),  # trace takes no schedule
    )


def halflives(images: float) -> tuple[float, ...]:
    """Return one half-life as a tuple; () for 0, a player without averages."""
    return (images,) if images else ()


def ema_decay(
    halflife_images: float, images_per_update: int, updates: jax.Array
) -> jax.Array:
    """Return the decay d of `average = d * average + (1 - d) * weights`, float32 [].

    d = 2 ** (-images_per_update / halflife). A half-life in images survives a change
    of batch size. Warm-up: the half-life is at most a twentieth of the images seen
    before (Karras et al. 2022). So the first update copies the weights, and an early
    average does not show the initialisation.
    """
    seen = updates.astype(jnp.float32) * images_per_update
    halflife = jnp.minimum(halflife_images, seen / 20)
    # No image was seen before the first update: exp2 of a huge negative number is 0.
    return jnp.exp2(-images_per_update / jnp.maximum(halflife, 1e-8))


def averaged_weights(
    mine: PlayerState,
    params: Tree,
    mutable: Tree,
    halflives_images: Sequence[float],
    images_per_update: int,
) -> tuple[Weights, ...]:
    """Return the player's averages after an update to `params` and `mutable`.

    An average has the shapes [...] and dtypes of the weights. BatchNorm's statistics
    are averaged like the parameters. Integers, such as counts, are copied.
    """

    def average(ema, halflife_images):
        decay = ema_decay(halflife_images, images_per_update, mine.updates)

        def blend(old, new):
            if not jnp.issubdtype(new.dtype, jnp.floating):
                return new
            # In this form equal weights stay equal to the last bit.
            return new + decay.astype(new.dtype) * (old - new)

        return jax.tree.map(blend, ema, Weights(params, mutable))

    return tuple(map(average, mine.ema, halflives_images))
