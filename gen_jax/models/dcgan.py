"""The DCGAN, a pair of all-convolutional networks: Radford, Metz & Chintala (2015).

Their rules:

- strided convolutions instead of pooling, and no hidden dense layers;
- BatchNorm everywhere but on the generator's output and the discriminator's input;
- ReLU in the generator, LeakyReLU of slope 0.2 in the discriminator, tanh on images;
- weights drawn from N(0, 0.02), and BatchNorm's scales from N(1, 0.02).

By default kernels are 4x4 and there are no biases, as in PyTorch's well-known example.
At 64 pixels, RGB, 64 base channels and 100 latents the networks have its parameter
counts. The depth follows the image's shape. The paper has no labels; here they enter
both networks as one-hot vectors (Mirza & Osindero 2014).
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers

NORMS = ("batch", "spectral", "none")  # of the discriminator

_kernel_init = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """The generator: latents to images.

    shape: the image's (H, W, C), H and W at least 8. If a side cannot be halved evenly,
        the image is cut out of the next larger one that can.
    base_channels: channels at half the image's size; they double as the size halves.
    kernel: the side of the convolutions' kernels, 4 or, as in the paper, 5.
    num_classes: number of classes of y, which is concatenated to z; 0 for no labels.
    """

    shape: tuple[int, ...]
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
        """Return images [B, H, W, C] in [-1, 1] of z [B, z_dim] and y int32 [B].

        The keys are not used, since there is no dropout. Raises UserError if a side of
        the image is below 8.
        """
        del keys
        height, width, channels = self.shape
        depth = _depth(height, width)
        base = layers.halved(height, depth), layers.halved(width, depth)
        features = self.base_channels * 2 ** (depth - 1)

        def up(x, features):
            return layers.ConvTranspose(features, self.kernel, False, _kernel_init)(x)

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
    """The discriminator: images to the logit of being real.

    base_channels: channels after the first halving; they double with each further one.
    kernel: the side of the convolutions' kernels, 4 or, as in the paper, 5.
    norm: "batch", as in the paper, for BatchNorm after each convolution but the first;
        "none"; or "spectral", which divides every kernel by its largest singular value
        (Miyato et al. 2018).
    num_classes: number of classes of y, which enters as further channels; 0 for no
        labels.
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
        """Return logits [B] of x [B, H, W, C] in [-1, 1] and y int32 [B].

        The keys are not used, since there is no dropout. Raises UserError if a side of
        the image is below 8.
        """
        del keys
        depth = _depth(*x.shape[1:3])
        x = layers.with_label(x, y, self.num_classes)

        def apply(layer, x):
            if self.norm != "spectral":
                return layer(x)
            return nn.SpectralNorm(layer)(x, update_stats=train)

        for level in range(depth):
            sides = (self.kernel, self.kernel)
            features = self.base_channels * 2**level
            conv = nn.Conv(
                features, sides, strides=2, use_bias=False, kernel_init=_kernel_init
            )
            x = apply(conv, x)
            if level > 0 and self.norm == "batch":
                x = layers.batch_norm(x, train, layers.scale_init)
            x = nn.leaky_relu(x, 0.2)
        # A convolution with a kernel as large as the image is a matrix product too.
        x = x.reshape(x.shape[0], -1)
        dense = nn.Dense(1, use_bias=False, kernel_init=_kernel_init)
        return apply(dense, x)[:, 0]


def _depth(height: int, width: int) -> int:
    """Return the number of halvings: until 4 to 7 pixels are left, but at least two.

    With a single halving of 8 pixels the discriminator would have one hidden layer.
    """
    return max(2, layers.halvings(height, width))
