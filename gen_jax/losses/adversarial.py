"""What adversaries play for: payoffs, penalties on D's gradient, and D's limits.

Goodfellow et al. (2014) have one payoff, which D maximises and G minimises,

    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z))).                            (1)

Those that came after share its form: what D minimises on real and on generated images,
and what G minimises on its own, each the mean of a function of D's logits d. With the
exception of Wasserstein's, all are bounded below for D.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from gen_jax.losses import terms

Term = Callable[[jax.Array], jax.Array]  # D's logits, any shape, to a term for each
Score = Callable[[jax.Array], jax.Array]  # images [B, ...] to logits [B, ...]


class GanLoss(NamedTuple):
    """Three terms of D's logits, each to be minimised in the mean by its player."""

    real: Term  # D, on real images
    fake: Term  # D, on generated images
    generator: Term  # G, on its own images
    output: Term  # what D says of an image, in the units of its payoff


GAN_LOSSES = {
    # Equation 1: D plays -V, G its second term.
    "minimax": GanLoss(
        real=lambda d: -terms.log_d(d),
        fake=lambda d: -terms.log_one_minus_d(d),
        generator=terms.log_one_minus_d,
        output=jax.nn.sigmoid,
    ),
    # Same fixed point, but a gradient where D is sure of itself (their section 3).
    "non_saturating": GanLoss(
        real=lambda d: -terms.log_d(d),
        fake=lambda d: -terms.log_one_minus_d(d),
        generator=lambda d: -terms.log_d(d),
        output=jax.nn.sigmoid,
    ),
    # Mao et al. (2017), equation 9: labels 0 for fake and 1 for real.
    "least_squares": GanLoss(
        real=lambda d: 0.5 * jnp.square(d - 1),
        fake=lambda d: 0.5 * jnp.square(d),
        generator=lambda d: 0.5 * jnp.square(d - 1),
        output=lambda d: d,
    ),
    # Arjovsky et al. (2017), equation 2, for a D that is Lipschitz: see below.
    "wasserstein": GanLoss(
        real=lambda d: -d,
        fake=lambda d: d,
        generator=lambda d: -d,
        output=lambda d: d,
    ),
    # Lim & Ye (2017); Miyato et al. (2018), equations 16 and 17.
    "hinge": GanLoss(
        real=lambda d: jax.nn.relu(1 - d),
        fake=lambda d: jax.nn.relu(1 + d),
        generator=lambda d: -d,
        output=lambda d: d,
    ),
}


def discriminator_loss(
    gan_loss: GanLoss, real: jax.Array, fake: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What D minimises, [], and what it says of real and of generated images.

    real, fake: D's logits of both, any shape such as [B] or a map of them [B, H, W].
    Each side is a mean, so that a map counts no more than a single logit.
    """
    value = gan_loss.real(real).mean() + gan_loss.fake(fake).mean()
    output = gan_loss.output
    return value, {"d_real": output(real).mean(), "d_fake": output(fake).mean()}


def squared_gradient_norm(score: Score, x: jax.Array) -> jax.Array:
    """|grad_x score(x)|^2 of each image: float32 [B].

    score: x [B, ...] -> logits; a map of them [B, H, W] counts as its mean. It must
        treat every image by itself: behind BatchNorm's statistics of a batch the
        gradient would be that of a sum over neighbours.
    """

    def total(x):
        logits = score(x)
        return terms.sum_per_example(logits).sum() / (logits.size // logits.shape[0])

    gradient = jax.grad(total)(x)
    return terms.sum_per_example(jnp.square(gradient))


def gradient_penalty(
    score: Score, x: jax.Array, x_fake: jax.Array, u: jax.Array
) -> jax.Array:
    """(|grad score(x_hat)| - 1)^2 at x_hat = u x + (1 - u) x_fake: float32 [B].

    x, x_fake: [B, ...]. u: [B], uniform on [0, 1). Gulrajani et al. (2017), equation 3,
    where its mean times 10 keeps D near the Lipschitz constant of 1.
    """
    u = u.reshape(-1, *[1] * (x.ndim - 1))
    squared = squared_gradient_norm(score, u * x + (1 - u) * x_fake)
    # At a gradient of exactly zero the root has no derivative; NaN would spread.
    norm = jnp.sqrt(jnp.maximum(squared, 1e-12))
    return jnp.square(norm - 1)


def r1(score: Score, x: jax.Array) -> jax.Array:
    """|grad score(x)|^2 / 2 at real images x [B, ...]: float32 [B].

    Mescheder et al. (2018), equation 9, to be weighted by their gamma.
    """
    return 0.5 * squared_gradient_norm(score, x)


def clipped(
    optimizer: optax.GradientTransformation, limit: float
) -> optax.GradientTransformation:
    """The optimizer, with each parameter clipped to [-limit, limit] after its move.

    Arjovsky et al. (2017), algorithm 1, with a limit of 0.01.
    """

    def update(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        moved = optax.apply_updates(params, updates)
        clip = jax.tree.map(lambda p: jnp.clip(p, -limit, limit), moved)
        return jax.tree.map(jnp.subtract, clip, params), state

    return optax.GradientTransformation(optimizer.init, update)
