"""The DCGAN, a pair of all-convolutional networks: Radford, Metz & Chintala (2015).

Their rules: strided convolutions instead of pooling, no hidden dense layers, BatchNorm
everywhere but on the generator's output and the discriminator's input, ReLU in the
generator, LeakyReLU of slope 0.2 in the discriminator, tanh on images, and weights
drawn from N(0, 0.02), BatchNorm's scales from N(1, 0.02).

Kernels are 4x4 and there are no biases, as in PyTorch's well-known example; at 64
pixels, RGB, 64 features and 100 latents the networks have its parameter counts. The
depth follows the image's shape.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers

_kernel_init = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Latents to images.

    shape: the image's (H, W, C), H and W at least 8. An image whose sides cannot be
        halved evenly is cut out of the next larger one that can.
    features: channels at half the image's size; they double as the size halves.
    """

    shape: tuple[int, int, int]
    features: int = 64

    @nn.compact
    def __call__(self, z: jax.Array, train: bool) -> jax.Array:
        """z [B, z_dim] -> x [B, H, W, C] in [-1, 1]; UserError for a side below 8."""
        height, width, channels = self.shape
        depth = _depth(height, width)
        base = layers.halved(height, depth), layers.halved(width, depth)
        features = self.features * 2 ** (depth - 1)

        # A transposed convolution of a single pixel is a matrix product.
        x = nn.Dense(
            base[0] * base[1] * features, use_bias=False, kernel_init=_kernel_init
        )(z)
        x = x.reshape(-1, *base, features)
        x = nn.relu(layers.batch_norm(x, train, layers.scale_init))
        for level in reversed(range(1, depth)):
            x = _up(self.features * 2 ** (level - 1))(x)
            x = nn.relu(layers.batch_norm(x, train, layers.scale_init))
        x = _up(channels)(x)
        return jnp.tanh(x[:, :height, :width])


class Discriminator(nn.Module):
    """Images to the logit of being real.

    features: channels after the first halving; they double with each.
    """

    features: int = 64

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """x [B, H, W, C] in [-1, 1] -> logits [B]; UserError for a side below 8."""
        depth = _depth(*x.shape[1:3])
        for level in range(depth):
            x = nn.Conv(
                self.features * 2**level,
                (4, 4),
                strides=2,
                use_bias=False,
                kernel_init=_kernel_init,
            )(x)
            if level > 0:
                x = layers.batch_norm(x, train, layers.scale_init)
            x = nn.leaky_relu(x, 0.2)
        # A convolution by a kernel as large as the image is a matrix product too.
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(1, use_bias=False, kernel_init=_kernel_init)(x)[:, 0]


def _depth(height: int, width: int) -> int:
    """How often an image is halved: until 4 to 7 pixels are left, but at least twice.

    By one halving of 8 pixels the discriminator would have a single hidden layer.
    """
    return max(2, layers.halvings(height, width))


def _up(features: int) -> layers.ConvTranspose:
    return layers.ConvTranspose(features, use_bias=False, kernel_init=_kernel_init)
