"""The U-Net of pix2pix, which translates images into images: Isola et al. (2016).

An encoder halves the image with 4x4 convolutions until a single pixel is left. A
decoder doubles it again, and each level of the encoder is passed to the decoder. At 256
pixels the encoder is the paper's C64-C128-C256-C512-C512-C512-C512-C512. The decoder is
CD512-CD512-CD512-C512-C256-C128-C64, followed by the image. Dropout is the only noise,
so it stays on during sampling.

The authors' PyTorch code decides which layers have norms and biases. There is no norm
after the first convolution. There is none at the innermost pixel, where an image's own
statistics would leave nothing. Only the output layer has a bias. A bias before a norm
would have no gradient but rounding error, by which Adam lets it drift.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.models import layers

_kernel_init = nn.initializers.normal(0.02)


class UNet(nn.Module):
    """The network: images to images of the same size.

    out_channels: channels of the output, which may differ from the input's.
    base_channels: channels at half the image's size; they double with each halving, at
        most eightfold.
    dropout: fraction of features dropped in the three innermost blocks of the decoder.

    The depth follows the image. It is halved, rounding up, until its smaller side is
    one pixel: 8 times at 256 pixels, 5 times at 28. A smaller image omits inner levels,
    first those of 512 channels. A larger image adds some.
    """

    out_channels: int
    base_channels: int = 64
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        """Return images [B, H, W, out_channels] in [-1, 1] of x [B, H, W, C].

        keys: one key per example, [B], for dropout; None for no dropout.

        Raises UserError if a side is below 8 pixels.
        """
        _, height, width, _ = x.shape
        depth = layers.halvings(height, width, largest=1)
        features = [self.base_channels * min(2**level, 8) for level in range(depth)]

        h, skips = x, []
        for level in range(depth):
            skips.append(h)
            h = h if level == 0 else nn.leaky_relu(h, 0.2)
            h = _down(features[level])(h)
            if 0 < level < depth - 1:
                h = layers.instance_norm(h, layers.scale_init)

        for level in reversed(range(1, depth)):
            h = _up_to(skips[level], features[level - 1], use_bias=False)(nn.relu(h))
            h = layers.instance_norm(h, layers.scale_init)
            if depth - level <= 3:
                h = layers.Dropout(self.dropout)(h, keys)
            h = jnp.concatenate([h, skips[level]], axis=-1)
        return jnp.tanh(_up_to(x, self.out_channels, use_bias=True)(nn.relu(h)))


def _down(features: int) -> nn.Conv:
    return nn.Conv(
        features, (4, 4), strides=2, use_bias=False, kernel_init=_kernel_init
    )


def _up_to(
    skip: jax.Array, features: int, use_bias: bool
) -> Callable[[jax.Array], jax.Array]:
    """Return a layer that upsamples to the sides of `skip`; an odd side is cut off."""
    layer = layers.ConvTranspose(features, use_bias=use_bias, kernel_init=_kernel_init)
    return lambda h: layer(h)[:, : skip.shape[1], : skip.shape[2]]
