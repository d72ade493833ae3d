"""Fully connected networks: a VAE's two halves, and a denoiser of points.

The VAE's are those of Kingma & Welling (2013), appendix C: hidden layers of tanh, then
for the encoder the mean and log variance of q(z|x), for the decoder the parameters of
p(x|z), unbounded: whether they are logits or means is the objective's to say.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers


class MlpEncoder(nn.Module):
    """q(z|x), a Gaussian of diagonal covariance. hidden: the hidden layers' widths."""

    z_dim: int
    hidden: tuple[int, ...] = (500,)

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """x [B, ...] -> mean [B, z_dim], log variance [B, z_dim]."""
        h = _tanh_layers(self.hidden, x.reshape(x.shape[0], -1))
        return nn.Dense(self.z_dim, name="mean")(h), nn.Dense(
            self.z_dim, name="log_var"
        )(h)


class MlpDecoder(nn.Module):
    """p(x|z). shape: one example's. hidden: the hidden layers' widths."""

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (500,)

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """z [B, z_dim] -> [B, *shape], unbounded."""
        h = _tanh_layers(self.hidden, z)
        return nn.Dense(math.prod(self.shape))(h).reshape(-1, *self.shape)


class TimeMlp(nn.Module):
    """A denoiser of points, called as the U-Net is.

    Each hidden layer adds a projection of the time's embedding, as a block of the
    U-Net of Ho et al. (2020) does.

    hidden: the hidden layers' widths. time_dim: the embedding's, even.
    """

    hidden: tuple[int, ...] = (128, 128, 128)
    time_dim: int = 64

    @nn.compact
    def __call__(
        self, x: jax.Array, t: jax.Array, keys: jax.Array | None = None
    ) -> jax.Array:
        """x [B, D], t [B] -> [B, D]; keys [B] are not used: there is no dropout."""
        del keys
        temb = layers.time_embedding(t, self.time_dim)
        temb = nn.swish(nn.Dense(4 * self.time_dim, name="time")(temb))
        h = x
        for width in self.hidden:
            h = nn.swish(nn.Dense(width)(h) + nn.Dense(width, use_bias=False)(temb))
        return nn.Dense(x.shape[-1])(h)


def _tanh_layers(hidden: tuple[int, ...], x: jax.Array) -> jax.Array:
    for width in hidden:
        x = jnp.tanh(nn.Dense(width)(x))
    return x
