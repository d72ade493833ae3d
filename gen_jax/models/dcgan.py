"""The DCGAN, a pair of all-convolutional networks: Radford, Metz & Chintala (2015).

Their rules: strided convolutions instead of pooling, no hidden dense layers, BatchNorm
everywhere but on the generator's output and the discriminator's input, ReLU in the
generator, LeakyReLU of slope 0.2 in the discriminator, tanh on images, and weights
drawn from N(0, 0.02), BatchNorm's scales from N(1, 0.02).

By default kernels are 4x4, and there are no biases, as in PyTorch's well-known example;
at 64 pixels, RGB, 64 features and 100 latents the networks have its parameter counts.
The depth follows the image's shape. Labels, which the paper does not have, enter both
networks as one-hots (Mirza & Osindero 2014).
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers

NORMS = ("batch", "spectral", "none")  # of the discriminator

_kernel_init = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """Latents to images.

    shape: the image's (H, W, C), H and W at least 8. An image whose sides cannot be
        halved evenly is cut out of the next larger one that can.
    base_channels: channels at half the image's size; they double as the size halves.
    kernel: the side of the convolutions' kernels, 4 or, as in the paper, 5.
    num_classes: of y, which enters beside z; 0 where there are no labels.
    """

    shape: tuple[int, int, int]
    base_channels: int = 64
    kernel: int = 4
    num_classes: int = 0

    @nn.compact
    def __call__(
        self,
        z: jax.Array,
        y: jax.Array | None = None,
        *,
        train: bool,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """z [B, z_dim], y int32 [B] -> x [B, H, W, C] in [-1, 1].

        keys are not used: there is no dropout. Raises UserError for a side below 8.
        """
        del keys
        height, width, channels = self.shape
        depth = _depth(height, width)
        base = layers.halved(height, depth), layers.halved(width, depth)
        features = self.base_channels * 2 ** (depth - 1)

        def up(x, features):
            options = {"use_bias": False, "kernel_init": _kernel_init}
            return layers.ConvTranspose(features, kernel=self.kernel, **options)(x)

        # A transposed convolution of a single pixel is a matrix product.
        x = nn.Dense(
            base[0] * base[1] * features, use_bias=False, kernel_init=_kernel_init
        )(layers.with_label(z, y, self.num_classes))
        x = x.reshape(-1, *base, features)
        x = nn.relu(layers.batch_norm(x, train, layers.scale_init))
        for level in reversed(range(1, depth)):
            x = up(x, self.base_channels * 2 ** (level - 1))
            x = nn.relu(layers.batch_norm(x, train, layers.scale_init))
        return jnp.tanh(up(x, channels)[:, :height, :width])


class Discriminator(nn.Module):
    """Images to the logit of being real.

    base_channels: channels after the first halving; they double with each.
    kernel: the side of the convolutions' kernels, 4 or, as in the paper, 5.
    norm: what follows each convolution but the first: "batch", as in the paper, or
        "none"; or "spectral", which divides every kernel by its largest singular value
        (Miyato et al. 2018).
    num_classes: of y, which enters as further channels; 0 where there are no labels.
    """

    base_channels: int = 64
    kernel: int = 4
    norm: str = "batch"
    num_classes: int = 0

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        y: jax.Array | None = None,
        *,
        train: bool,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """x [B, H, W, C] in [-1, 1], y int32 [B] -> logits [B].

        keys are not used: there is no dropout. Raises UserError for a side below 8.
        """
        del keys
        depth = _depth(*x.shape[1:3])
        x = layers.with_label(x, y, self.num_classes)

        def apply(layer, x):
            if self.norm != "spectral":
                return layer(x)
            return nn.SpectralNorm(layer)(x, update_stats=train)

        options = {"use_bias": False, "kernel_init": _kernel_init}
        for level in range(depth):
            sides = (self.kernel, self.kernel)
            features = self.base_channels * 2**level
            x = apply(nn.Conv(features, sides, strides=2, **options), x)
            if level > 0 and self.norm == "batch":
                x = layers.batch_norm(x, train, layers.scale_init)
            x = nn.leaky_relu(x, 0.2)
        # A convolution by a kernel as large as the image is a matrix product too.
        x = x.reshape(x.shape[0], -1)
        return apply(nn.Dense(1, **options), x)[:, 0]


def _depth(height: int, width: int) -> int:
    """How often an image is halved: until 4 to 7 pixels are left, but at least twice.

    By one halving of 8 pixels the discriminator would have a single hidden layer.
    """
    return max(2, layers.halvings(height, width))
