"""A convolutional encoder and decoder of images, called like those of `mlp`.

They halve and double the image with 4x4 convolutions of stride 2, as the DCGAN of
Radford et al. (2015) does. Unlike the DCGAN they have biases and no BatchNorm. So an
example's loss depends on that example alone, and an autoencoder has no state but its
parameters.
"""

import math

import jax
from flax import linen as nn

from gen_jax.models import layers


class ConvEncoder(nn.Module):
    """The encoder q(z|x, y), by default a Gaussian of diagonal covariance.

    base_channels: channels after the first halving; they double with each further one.
    heads: names of the parameters of q, one dense layer each.
    num_classes: number of classes of y, which enters as further channels of x; 0 for no
        labels.
    """

    z_dim: int
    base_channels: int = 32
    heads: tuple[str, ...] = ("mean", "log_var")
    num_classes: int = 0

    @nn.compact
    def __call__(
        self, x: jax.Array, y: jax.Array | None = None
    ) -> tuple[jax.Array, ...]:
        """Return one array [B, z_dim] per head, from x [B, H, W, C] and y int32 [B].

        Raises UserError if a side of the image is below 8.
        """
        x = layers.with_label(x, y, self.num_classes)
        for level in range(layers.halvings(*x.shape[1:3])):
            x = nn.swish(nn.Conv(self.base_channels * 2**level, (4, 4), strides=2)(x))
        h = x.reshape(x.shape[0], -1)
        return tuple(nn.Dense(self.z_dim, name=head)(h) for head in self.heads)


class ConvDecoder(nn.Module):
    """The convolutional decoder p(x|z, y), with unbounded output.

    shape: the image's (H, W, C), H and W at least 8. If a side cannot be halved evenly,
        the image is cut out of the next larger one that can.
    base_channels: channels at half the image's size; they double as the size halves.
    num_classes: number of classes of y, which is concatenated to z; 0 for no labels.
    """

    shape: tuple[int, ...]
    base_channels: int = 32
    num_classes: int = 0

    @nn.compact
    def __call__(self, z: jax.Array, y: jax.Array | None = None) -> jax.Array:
        """Return the output [B, H, W, C] of z [B, z_dim] and y int32 [B].

        Raises UserError if a side of the image is below 8.
        """
        z = layers.with_label(z, y, self.num_classes)
        height, width, channels = self.shape
        depth = layers.halvings(height, width)
        base = layers.halved(height, depth), layers.halved(width, depth)
        features = self.base_channels * 2 ** (depth - 1)

        x = nn.swish(nn.Dense(math.prod(base) * features)(z))
        x = x.reshape(-1, *base, features)
        for level in reversed(range(1, depth)):
            x = nn.swish(layers.ConvTranspose(self.base_channels * 2 ** (level - 1))(x))
        x = layers.ConvTranspose(channels)(x)
        return x[:, :height, :width]
