"""The variational autoencoder (Kingma & Welling 2013): a game of one.

    log p(x) >= ELBO(x) = -KL(q(z|x) || p(z)) + E_{q(z|x)} log p(x|z)         (3)

with p(z) = N(0, I), q(z|x) = N(mean(x), var(x) I) and one draw
z = mean + sqrt(var) eps, through which the gradient flows. In nats per image.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import losses, randomness
from gen_jax.errors import UserError, choose
from gen_jax.game import Game, Player, Turn, Weights
from gen_jax.objectives import modules


class Likelihood(NamedTuple):
    """p(x|z) from what a decoder gives: log p elementwise, and the mean image."""

    log_prob: Callable[[jax.Array, jax.Array], jax.Array]  # (x, out) -> [B, ...]
    mean: Callable[[jax.Array], jax.Array]  # out -> x_hat [B, ...]


def bernoulli() -> Likelihood:
    """Pixels as coins: the decoder gives logits [B, ...] of (x + 1) / 2."""
    return Likelihood(
        log_prob=lambda x, out: losses.bernoulli_log_likelihood(out, (x + 1) / 2),
        mean=lambda out: 2 * jax.nn.sigmoid(out) - 1,
    )


def gaussian(scale: float) -> Likelihood:
    """N(out, scale^2 I), a density in image space: the decoder gives means [B, ...]."""
    log_scale = math.log(scale)
    return Likelihood(
        log_prob=lambda x, out: losses.gaussian_log_likelihood(x, out, log_scale),
        mean=lambda out: out,
    )


def vae(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    z_dim: int,
    optimizer: optax.GradientTransformation,
    likelihood: str = "bernoulli",
    scale: float = 1.0,
    ema_halflife_images: tuple[float, ...] = (),
) -> Game:
    """The VAE of two modules without mutable state, on batches {"x": [B, ...]}.

    encoder: x [B, ...] -> (mean [B, z_dim], log_var [B, z_dim]).
    decoder: z [B, z_dim] -> [B, ...], logits ("bernoulli") or means ("gaussian").
    likelihood: "bernoulli" wants x in [-1, 1]; "gaussian" takes any x.
    scale: the Gaussian's standard deviation, in units of x; above 0.

    The one player is "model", its parameters {"encoder", "decoder"}. It reports ELBO's
    two terms, numbered as in equation 3: `kl` and `reconstruction` = log p(x|z).
    ops: sample, encode, decode, reconstruct, bound; images come as means of p(x|z),
    and encode and reconstruct take q's mean for z where keys are None.
    Raises UserError for an unknown likelihood or a scale not above 0.
    """
    if scale <= 0:
        raise UserError(f"scale is {scale}, but a standard deviation is above 0")
    likelihoods = {"bernoulli": bernoulli, "gaussian": lambda: gaussian(scale)}
    p_x = choose("likelihood", likelihood, likelihoods)()

    def init(rng: jax.Array, batch) -> Weights:
        rng_encoder, rng_decoder = jax.random.split(rng)
        z = jnp.zeros((1, z_dim), jnp.float32)
        return Weights(
            {
                "encoder": modules.init_params(
                    encoder, rng_encoder, modules.example(batch)
                ),
                "decoder": modules.init_params(decoder, rng_decoder, z),
            }
        )

    def q(board, x):
        return modules.apply_params(encoder, board["model"].params["encoder"], x)

    def decoded(board, z):
        return modules.apply_params(decoder, board["model"].params["decoder"], z)

    def elbo_terms(board, x, keys):
        mean, log_var = q(board, x)
        z = _draw(mean, log_var, keys)
        # 1. KL, in closed form
        kl = losses.sum_per_example(losses.gaussian_kl(mean, log_var))
        # 2. RECONSTRUCTION, by one draw
        log_p = losses.sum_per_example(p_x.log_prob(x, decoded(board, z)))
        return kl, log_p

    def loss(board, batch, context):
        kl, log_p = elbo_terms(board, batch["x"], context.keys)
        metrics = {"kl": kl.mean(), "reconstruction": log_p.mean()}
        return -(log_p - kl).mean(), ({}, metrics)

    def sample(board, keys):
        return decode(board, randomness.normal(keys, (z_dim,)))

    def encode(board, x, keys=None):
        return _draw(*q(board, x), keys)

    def decode(board, z):
        return p_x.mean(decoded(board, z))

    def reconstruct(board, x, keys=None):
        return decode(board, encode(board, x, keys))

    def bound(board, x, keys):
        kl, log_p = elbo_terms(board, x, keys)
        return log_p - kl

    return Game(
        players={"model": Player(init, loss, optimizer, ema_halflife_images)},
        turns=(Turn(("model",)),),
        ops={
            "sample": sample,
            "encode": encode,
            "decode": decode,
            "reconstruct": reconstruct,
            "bound": bound,
        },
    )


def _draw(mean: jax.Array, log_var: jax.Array, keys: jax.Array | None) -> jax.Array:
    """z ~ N(mean, var), reparameterised; the mean where there are no keys."""
    if keys is None:
        return mean
    return mean + jnp.exp(0.5 * log_var) * randomness.normal(keys, mean.shape[1:])
