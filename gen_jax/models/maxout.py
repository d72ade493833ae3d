"""The first adversarial networks: an MLP generator and a maxout discriminator.

Goodfellow et al. (2014), for MNIST. The generator has two layers of 1200 ReLUs and
sigmoid pixels. The discriminator has two layers of 240 maxout units and dropout. A
maxout unit is the largest of five linear functions (Goodfellow et al. 2013). Mirza &
Osindero (2014) give the labels a first layer of their own in each network. The widths
are the papers'.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers


def _uniform(limit: float) -> layers.Initializer:
    """Return an initializer uniform on [-limit, limit], as in the paper's code."""

    def init(rng, shape, dtype=jnp.float32):
        return jax.random.uniform(rng, shape, dtype, -limit, limit)

    return init


class Generator(nn.Module):
    """The generator: latents to images or points.

    shape: shape of one example; with three axes it is an image, squashed to [-1, 1].
    hidden: widths of the joint layers.
    z_hidden, y_hidden: widths of the first layers of z and of y, if conditional.
    num_classes: number of classes of y; 0 for no labels.
    dropout: fraction of each hidden layer that is dropped in training.
    init_limit: bound of the uniform initial weights.
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
        """Return x [B, *shape] of z [B, z_dim], y int32 [B]; dropout uses keys [B]."""
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
    """The discriminator: images or points to the logit of being real.

    hidden: numbers of maxout units of the joint layers.
    pieces: linear functions per unit of the joint layers.
    x_hidden, y_hidden: units of the first layers of x and of y, if conditional.
    x_pieces: linear functions per unit of those first layers.
    num_classes: number of classes of y; 0 for no labels.
    dropout: fraction of each hidden layer that is dropped in training.
    dropout_x: fraction of the inputs that is dropped in training.
    init_limit: bound of the uniform initial weights.
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
        """Return logits [B] of x [B, ...], y int32 [B]; dropout uses keys [B]."""
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
