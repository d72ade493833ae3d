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
    """q(z|x, y), by default a Gaussian of diagonal covariance.

    hidden: the hidden layers' widths. heads: what is said of z. num_classes: of y,
    which enters beside x; 0 where there are no labels.
    """

    z_dim: int
    hidden: tuple[int, ...] = (500,)
    heads: tuple[str, ...] = ("mean", "log_var")
    num_classes: int = 0

    @nn.compact
    def __call__(
        self, x: jax.Array, y: jax.Array | None = None
    ) -> tuple[jax.Array, ...]:
        """x [B, ...], y int32 [B] -> [B, z_dim] for each head."""
        x = layers.with_label(x.reshape(x.shape[0], -1), y, self.num_classes)
        h = _tanh_layers(self.hidden, x)
        return tuple(nn.Dense(self.z_dim, name=head)(h) for head in self.heads)


class MlpDecoder(nn.Module):
    """p(x|z, y). shape: what is said of an image. Else as the encoder."""

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (500,)
    num_classes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """z [B, z_dim], y int32 [B] -> [B, *shape], unbounded."""
        h = _tanh_layers(self.hidden, layers.with_label(z, y, self.num_classes))
        return nn.Dense(math.prod(self.shape))(h).reshape(-1, *self.shape)


class TimeMlp(nn.Module):
    """A denoiser of points, called as the U-Net is.

    Each hidden layer adds a projection of the embeddings of time and label, as a block
    of the U-Net of Ho et al. (2020) does.

    hidden: the hidden layers' widths. time_dim: the embedding's, even. out_dim: None
    for as many as the input's. num_classes: of y; 0 where there are no labels.
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
        """x [B, D], t [B], y int32 [B] -> [B, out_dim]; keys [B] are not used."""
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
