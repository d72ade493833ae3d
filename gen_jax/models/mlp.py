"""Fully connected networks: a VAE's encoder and decoder, and a denoiser of points.

The VAE's are those of Kingma & Welling (2013), appendix C, with hidden layers of tanh.
The encoder gives the mean and log variance of q(z|x). The decoder gives the unbounded
parameters of p(x|z). The objective decides whether they are logits or means.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers


class MlpEncoder(nn.Module):
    """The encoder q(z|x, y), by default a Gaussian of diagonal covariance.

    hidden: widths of the hidden layers.
    heads: names of the parameters of q, one dense layer each.
    num_classes: number of classes of y, which is concatenated to x; 0 for no labels.
    """

    z_dim: int
    hidden: tuple[int, ...] = (500,)
    heads: tuple[str, ...] = ("mean", "log_var")
    num_classes: int = 0

    @nn.compact
    def __call__(
        self, x: jax.Array, y: jax.Array | None = None
    ) -> tuple[jax.Array, ...]:
        """Return one array [B, z_dim] per head, from x [B, ...] and y int32 [B]."""
        x = layers.with_label(x.reshape(x.shape[0], -1), y, self.num_classes)
        h = _tanh_layers(self.hidden, x)
        return tuple(nn.Dense(self.z_dim, name=head)(h) for head in self.heads)


class MlpDecoder(nn.Module):
    """The decoder p(x|z, y).

    shape: shape of the output for one image.
    hidden, num_classes: as for `MlpEncoder`; y is concatenated to z.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (500,)
    num_classes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Return the unbounded output [B, *shape] of z [B, z_dim] and y int32 [B]."""
        h = _tanh_layers(self.hidden, layers.with_label(z, y, self.num_classes))
        return nn.Dense(math.prod(self.shape))(h).reshape(-1, *self.shape)


class TimeMlp(nn.Module):
    """A denoiser of points, called like the U-Net.

    Each hidden layer adds a projection of the embeddings of time and label, as a block
    of the U-Net of Ho et al. (2020) does.

    hidden: widths of the hidden layers.
    time_dim: width of the time embedding, even.
    out_dim: width of the output; None for the input's.
    num_classes: number of classes of y; 0 for no labels.
    """

    hidden: tuple[int, ...] = (128, 128, 128)
    time_dim: int = 64
    out_dim: int | None = None
    num_classes: int = 0

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        t: jax.Array,
        y: jax.Array | None = None,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """Return [B, out_dim] of x [B, D], t [B], y int32 [B]; keys [B] are unused."""
        del keys  # there is no dropout
        temb = layers.time_embedding(t, self.time_dim)
        temb = nn.Dense(4 * self.time_dim, name="time")(temb)
        if self.num_classes:
            hot = layers.one_hot(y, self.num_classes)
            temb += nn.Dense(4 * self.time_dim, use_bias=False, name="label")(hot)
        temb, h = nn.swish(temb), x
        for width in self.hidden:
            h = nn.swish(nn.Dense(width)(h) + nn.Dense(width, use_bias=False)(temb))
        return nn.Dense(self.out_dim or x.shape[-1])(h)


def _tanh_layers(hidden: tuple[int, ...], x: jax.Array) -> jax.Array:
    for width in hidden:
        x = jnp.tanh(nn.Dense(width)(x))
    return x
