"""The first adversarial networks: an MLP that draws, and a maxout net that judges.

Goodfellow et al. (2014) for MNIST: a generator of two layers of 1200 ReLUs and sigmoid
pixels, a discriminator of two layers of 240 maxout units, each the largest of five
linear functions (Goodfellow et al. 2013), with dropout. Mirza & Osindero (2014) give
each network's labels an entrance of their own. The widths are the papers'.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers


def _uniform(limit: float) -> layers.Initializer:
    """Weights uniform on [-limit, limit], as in the paper's configuration file."""

    def init(rng, shape, dtype=jnp.float32):
        return jax.random.uniform(rng, shape, dtype, -limit, limit)

    return init


class Generator(nn.Module):
    """Latents to images or points.

    shape: one example's; three axes are an image, whose pixels are squashed to [-1, 1].
    hidden: the joint layers' widths. z_hidden, y_hidden: widths of the entrances of z
        and y, in the conditional form. num_classes: of y; 0 where there are no labels.
    dropout: the share of every hidden layer dropped in training.
    """

    shape: tuple[int, ...]
    hidden: tuple[int, ...] = (1200, 1200)
    z_hidden: int = 200
    y_hidden: int = 1000
    num_classes: int = 0
    dropout: float = 0.0
    init_limit: float = 0.05

    @nn.compact
    def __call__(
        self,
        z: jax.Array,
        y: jax.Array | None = None,
        *,
        train: bool,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """z [B, z_dim], y int32 [B] -> x [B, *shape]; keys [B] are for dropout."""
        keys = keys if train else None

        def layer(h, width):
            h = nn.relu(nn.Dense(width, kernel_init=_uniform(self.init_limit))(h))
            return layers.Dropout(self.dropout)(h, keys)

        h = z
        if self.num_classes:
            hot = layers.one_hot(y, self.num_classes)
            of_z, of_y = layer(z, self.z_hidden), layer(hot, self.y_hidden)
            h = jnp.concatenate([of_z, of_y], axis=-1)
        for width in self.hidden:
            h = layer(h, width)
        out = nn.Dense(math.prod(self.shape), kernel_init=_uniform(self.init_limit))
        x = out(h).reshape(-1, *self.shape)
        return jnp.tanh(x / 2) if len(self.shape) == 3 else x  # 2 sigmoid(x) - 1


class Discriminator(nn.Module):
    """Images or points to the logit of being real.

    hidden: the joint layers' maxout units; pieces: linear functions of each.
    x_hidden, y_hidden: units of the entrances of x and y, in the conditional form, and
        x_pieces their linear functions.
    num_classes: of y; 0 where there are no labels.
    dropout: the share of every hidden layer dropped, dropout_x: of the inputs.
    """

    hidden: tuple[int, ...] = (240, 240)
    pieces: int = 5
    x_hidden: int = 240
    y_hidden: int = 50
    x_pieces: int = 5
    num_classes: int = 0
    dropout: float = 0.5
    dropout_x: float = 0.2
    init_limit: float = 0.005

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        y: jax.Array | None = None,
        *,
        train: bool,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """x [B, ...], y int32 [B] -> logits [B]; keys [B] are for dropout."""
        keys = keys if train else None

        def layer(h, width, pieces):
            dense = nn.Dense(width * pieces, kernel_init=_uniform(self.init_limit))
            h = dense(h).reshape(-1, width, pieces).max(axis=-1)
            return layers.Dropout(self.dropout)(h, keys)

        x = x.reshape(x.shape[0], -1)
        h = layers.Dropout(self.dropout_x)(x, keys)
        if self.num_classes:
            hot = layers.one_hot(y, self.num_classes)
            of_x = layer(h, self.x_hidden, self.x_pieces)
            of_y = layer(hot, self.y_hidden, self.x_pieces)
            h = jnp.concatenate([of_x, of_y], axis=-1)
        for width in self.hidden:
            h = layer(h, width, self.pieces)
        return nn.Dense(1, kernel_init=_uniform(self.init_limit))(h)[:, 0]
