"""The variational autoencoder (Kingma & Welling 2013): a game of one.

    log p(x) >= ELBO(x) = -KL(q(z|x) || p(z)) + E_{q(z|x)} log p(x|z)         (3)

with p(z) = N(0, I), q(z|x) = N(mean(x), var(x) I) and one draw
z = mean + sqrt(var) eps, through which the gradient flows. In nats per image.
"""

import dataclasses
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


@dataclasses.dataclass(frozen=True, eq=False)
class _Vae:
    """q(z|x) and p(x|z), which share the player "model"."""

    encoder: nn.Module
    decoder: nn.Module
    z_dim: int
    likelihood: Likelihood

    def init(self, rng: jax.Array, batch) -> Weights:
        rng_encoder, rng_decoder = jax.random.split(rng)
        x, z = modules.example(batch), jnp.zeros((1, self.z_dim), jnp.float32)
        return Weights(
            {
                "encoder": modules.init_params(self.encoder, rng_encoder, x),
                "decoder": modules.init_params(self.decoder, rng_decoder, z),
            }
        )

    def q(self, board, x):
        """q(z|x) as its mean and log variance."""
        params = board["model"].params["encoder"]
        return modules.apply_params(self.encoder, params, x)

    def p(self, board, z):
        """p(x|z) as what the likelihood is made from."""
        params = board["model"].params["decoder"]
        return modules.apply_params(self.decoder, params, z)

    def elbo_terms(self, board, x, keys):
        """Equation 3's two terms, nats [B] each."""
        mean, log_var = self.q(board, x)
        z = _draw(mean, log_var, keys)
        # 1. KL, in closed form
        kl = losses.sum_per_example(losses.gaussian_kl(mean, log_var))
        # 2. RECONSTRUCTION, by one draw
        log_p = self.likelihood.log_prob(x, self.p(board, z))
        return kl, losses.sum_per_example(log_p)

    def loss(self, board, batch, context):
        kl, log_p = self.elbo_terms(board, batch["x"], context.keys)
        metrics = {"kl": kl.mean(), "reconstruction": log_p.mean()}
        return -(log_p - kl).mean(), ({}, metrics)

    def bound(self, board, x, keys):
        kl, log_p = self.elbo_terms(board, x, keys)
        return log_p - kl

    def sample(self, board, keys):
        return self.decode(board, randomness.normal(keys, (self.z_dim,)))

    def encode(self, board, x, keys=None):
        return _draw(*self.q(board, x), keys)

    def decode(self, board, z):
        return self.likelihood.mean(self.p(board, z))

    def reconstruct(self, board, x, keys=None):
        return self.decode(board, self.encode(board, x, keys))


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
    model = _Vae(encoder, decoder, z_dim, likelihood=p_x)
    return Game(
        players={
            "model": Player(model.init, model.loss, optimizer, ema_halflife_images)
        },
        turns=(Turn(("model",)),),
        ops={
            "sample": model.sample,
            "encode": model.encode,
            "decode": model.decode,
            "reconstruct": model.reconstruct,
            "bound": model.bound,
        },
    )


def _draw(mean: jax.Array, log_var: jax.Array, keys: jax.Array | None) -> jax.Array:
    """z ~ N(mean, var), reparameterised; the mean where there are no keys."""
    if keys is None:
        return mean
    return mean + jnp.exp(0.5 * log_var) * randomness.normal(keys, mean.shape[1:])
