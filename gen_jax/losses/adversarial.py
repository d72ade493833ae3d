"""Losses of adversaries, penalties on D's gradient, and limits on D.

Goodfellow et al. (2014) have one value, which D maximises and G minimises,

    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z))).                            (1)

Each later loss is here as two functions of D's logits, d(x) of real and d(G(z)) of
generated images: D minimises the first and G the second. Both read both logits, since
the relativistic loss compares them; most generators read only the fake ones. Except
for Wasserstein's, all are bounded below for D.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from gen_jax.losses import terms

Term = Callable[[jax.Array], jax.Array]  # logits of any shape -> a term for each
Loss = Callable[[jax.Array, jax.Array], jax.Array]  # (real, fake) logits -> []
Score = Callable[[jax.Array], jax.Array]  # images [B, ...] -> logits [B, ...]


class GanLoss(NamedTuple):
    """Two losses of D's logits, real and fake, of one shape [B] or [B, H, W].

    discriminator, generator: (real, fake) -> the mean that the player minimises, [].
    output: D's answer for each logit, in the units of the loss, such as a probability.
    optimum: the output of the best D for equal densities; None if it is not one number.
    """

    discriminator: Loss
    generator: Loss
    output: Term = lambda logits: logits
    optimum: float | None = None


def _sum_of_means(real_term: Term, fake_term: Term) -> Loss:
    """Return the loss E real_term(d(x)) + E fake_term(d(G(z)))."""
    return lambda real, fake: real_term(real).mean() + fake_term(fake).mean()


def _mean_of_fake(term: Term) -> Loss:
    """Return the loss E term(d(G(z))), which does not read the real logits."""
    return lambda real, fake: term(fake).mean()


def _minus_log_d(logits: jax.Array) -> jax.Array:
    return -terms.log_d(logits)


def _minus_log_one_minus_d(logits: jax.Array) -> jax.Array:
    return -terms.log_one_minus_d(logits)


def _minus(logits: jax.Array) -> jax.Array:
    return -logits


GAN_LOSSES = {
    # Equation 1: D minimises -V, G its second term.
    "minimax": GanLoss(
        discriminator=_sum_of_means(_minus_log_d, _minus_log_one_minus_d),
        generator=_mean_of_fake(terms.log_one_minus_d),
        output=jax.nn.sigmoid,
        optimum=0.5,
    ),
    # Same fixed point as minimax, but G has a gradient when D is sure of itself
    # (Goodfellow et al. 2014, section 3).
    "non_saturating": GanLoss(
        discriminator=_sum_of_means(_minus_log_d, _minus_log_one_minus_d),
        generator=_mean_of_fake(_minus_log_d),
        output=jax.nn.sigmoid,
        optimum=0.5,
    ),
    # Mao et al. (2017), equation 9: labels 0 for fake and 1 for real.
    "least_squares": GanLoss(
        discriminator=_sum_of_means(
            lambda d: 0.5 * jnp.square(d - 1), lambda d: 0.5 * jnp.square(d)
        ),
        generator=_mean_of_fake(lambda d: 0.5 * jnp.square(d - 1)),
        optimum=0.5,
    ),
    # Arjovsky et al. (2017), equation 2, for a Lipschitz D: see `gradient_penalty`
    # and `clipped`.
    "wasserstein": GanLoss(
        discriminator=_sum_of_means(_minus, lambda d: d),
        generator=_mean_of_fake(_minus),
    ),
    # Lim & Ye (2017); Miyato et al. (2018), equations 16 and 17.
    "hinge": GanLoss(
        discriminator=_sum_of_means(
            lambda d: jax.nn.relu(1 - d), lambda d: jax.nn.relu(1 + d)
        ),
        generator=_mean_of_fake(_minus),
    ),
    # Jolicoeur-Martineau (2018), "The relativistic discriminator", RSGAN: sigmoid of
    # d(x) - d(G(z)) is the probability that x is more realistic than G(z),
    #     L_D = -E log sigmoid(d(x) - d(G(z))),   L_G = -E log sigmoid(d(G(z)) - d(x)).
    # Each real image is paired with one generated image. The other form, relativistic
    # average, compares with a batch's mean, which would depend on the batch's size.
    "relativistic": GanLoss(
        discriminator=lambda real, fake: _minus_log_d(real - fake).mean(),
        generator=lambda real, fake: _minus_log_d(fake - real).mean(),
    ),
}


def discriminator_loss(
    gan_loss: GanLoss, real: jax.Array, fake: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of D, [], and the means of its outputs as metrics.

    real, fake: D's logits of real and generated images, [B] or [B, H, W]. The loss is a
        mean, so a map has the weight of one logit.
    """
    value, output = gan_loss.discriminator(real, fake), gan_loss.output
    return value, {"d_real": output(real).mean(), "d_fake": output(fake).mean()}


def generator_loss(
    gan_loss: GanLoss, real: jax.Array, fake: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of G, [], and the mean output of D for its images as a metric.

    real, fake: as for `discriminator_loss`. Compute both in any case: if the loss does
        not read `real`, XLA removes the computation of it.
    """
    return gan_loss.generator(real, fake), {"d_fake": gan_loss.output(fake).mean()}


def squared_gradient_norm(score: Score, x: jax.Array) -> jax.Array:
    """Return |grad_x score(x)|^2 for each image, float32 [B].

    score: x [B, ...] -> logits [B], or maps of them [B, H, W], which count as their
        means. It must treat each image on its own: with BatchNorm's batch statistics,
        the gradient would include the other images of the batch.
    """

    # No logit depends on another image, so the gradient of the sum holds all gradients.
    def total(x):
        logits = score(x)
        return terms.sum_per_example(logits).sum() / (logits.size // logits.shape[0])

    gradient = jax.grad(total)(x)
    return terms.sum_per_example(jnp.square(gradient))


def gradient_penalty(
    score: Score, x: jax.Array, x_fake: jax.Array, u: jax.Array
) -> jax.Array:
    """Return (|grad score(x_hat)| - 1)^2 at x_hat = u x + (1 - u) x_fake, float32 [B].

    x, x_fake: real and generated images [B, ...]. u: [B], uniform on [0, 1).
    Gulrajani et al. (2017), equation 3: its mean times 10 keeps D close to a Lipschitz
    constant of 1.
    """
    # One u for a whole image: x_hat lies on the line between two images.
    u = u.reshape(-1, *[1] * (x.ndim - 1))
    squared = squared_gradient_norm(score, u * x + (1 - u) * x_fake)
    # The square root has an infinite derivative at 0, which would give NaN gradients.
    norm = jnp.sqrt(jnp.maximum(squared, 1e-12))
    return jnp.square(norm - 1)


def r1(score: Score, x: jax.Array) -> jax.Array:
    """Return |grad score(x)|^2 / 2 at real images x [B, ...], float32 [B].

    Mescheder et al. (2018), equation 9, without the factor gamma.
    """
    return 0.5 * squared_gradient_norm(score, x)


def clipped(
    optimizer: optax.GradientTransformation, limit: float
) -> optax.GradientTransformation:
    """Return the optimizer that clips parameters to [-limit, limit] after each update.

    Arjovsky et al. (2017), algorithm 1, with a limit of 0.01.
    """

    def update(grads, state, params):
        updates, state = optimizer.update(grads, state, params)
        moved = optax.apply_updates(params, updates)
        # The step adds what an optimizer returns, so this returns a difference.
        clip = jax.tree.map(lambda p: jnp.clip(p, -limit, limit), moved)
        return jax.tree.map(jnp.subtract, clip, params), state

    return optax.GradientTransformation(optimizer.init, update)
