"""The terms losses are made of: elementwise, in float32, with formula and source.

No term reduces: which mean or sum is taken is read where a loss is put together, in
`objectives/`. What a network gives as a probability comes as its logit l, with
p = sigmoid(l), and both value and gradient are finite at logits of +-1e4.
"""

import math

import jax
import jax.numpy as jnp


def log_d(logits: jax.Array) -> jax.Array:
    """log D = log sigmoid(l), in nats, shape of the logits (any, such as [B]).

    Goodfellow et al. (2014): the mean over data is the first term of
    V(D, G) = E log D(x) + E log(1 - D(G(z))); minus the mean over samples is what
    their generator minimises in practice (non-saturating).
    """
    return jax.nn.log_sigmoid(logits.astype(jnp.float32))


def log_one_minus_d(logits: jax.Array) -> jax.Array:
    """log(1 - D) = log sigmoid(-l), in nats, shape of the logits (any, such as [B]).

    Goodfellow et al. (2014): the mean over samples is the second term of V(D, G),
    which the discriminator maximises and the minimax generator minimises.
    """
    return jax.nn.log_sigmoid(-logits.astype(jnp.float32))


def bernoulli_log_likelihood(logits: jax.Array, x: jax.Array) -> jax.Array:
    """x log p + (1 - x) log(1 - p), in nats, for each of the elements [B, ...].

    logits: l [B, ...]. x: [B, ...] in [0, 1]; a grey x gives the expectation over its
    random binarisation b ~ Bernoulli(x). Kingma & Welling (2013), appendix C.1.

    Raises ValueError where the shapes differ.
    """
    _check_shapes(logits, x)
    x = x.astype(jnp.float32)
    return x * log_d(logits) + (1 - x) * log_one_minus_d(logits)


def gaussian_log_likelihood(
    x: jax.Array, mean: jax.Array, log_scale: float | jax.Array
) -> jax.Array:
    """log N(x; mean, scale^2), in nats, for each of the elements [B, ...].

    = -(log 2 pi) / 2 - log scale - (x - mean)^2 / (2 scale^2)

    x, mean: [B, ...]. log_scale: a number, or [B, ...].
    Kingma & Welling (2013), appendix C.2.

    Raises ValueError where the shapes of x and mean differ.
    """
    standardised_squared = squared_error(x, mean) * jnp.exp(-2 * log_scale)
    return -0.5 * math.log(2 * math.pi) - log_scale - 0.5 * standardised_squared


def gaussian_kl(mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """KL(N(mean, var) || N(0, 1)) = (mean^2 + var - 1 - log var) / 2, in nats.

    mean, log_var: [B, D], and so is the result: one term for each latent dimension.
    Kingma & Welling (2013), appendix B.

    Raises ValueError where the shapes differ.
    """
    _check_shapes(mean, log_var)
    mean, log_var = mean.astype(jnp.float32), log_var.astype(jnp.float32)
    # expm1: var - 1 - log var loses every digit near the prior when written plainly.
    return 0.5 * (jnp.square(mean) + jnp.expm1(log_var) - log_var)


def squared_error(x: jax.Array, x_hat: jax.Array) -> jax.Array:
    """(x - x_hat)^2 for each of the elements [B, ...].

    Raises ValueError where the shapes differ: a [B] against a [B, 1] would broadcast.
    """
    _check_shapes(x, x_hat)
    return jnp.square(x.astype(jnp.float32) - x_hat.astype(jnp.float32))


def sum_per_example(x: jax.Array) -> jax.Array:
    """The sum over all but the first axis: [B, ...] -> [B], nats per image."""
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def _check_shapes(a: jax.Array, b: jax.Array) -> None:
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
