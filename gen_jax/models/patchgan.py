"""The PatchGAN, the discriminator of pix2pix: Isola et al. (2016), appendix 6.1.2.

It judges whether y belongs to x, patch by patch: each logit sees a square of pixels of
both. With 4x4 kernels, a padding of 1 and LeakyReLU of slope 0.2, at 3 layers it is
the paper's C64-C128-C256-C512, whose logits see 70x70 pixels; 0, 1 and 5 layers are its
1x1 ("PixelGAN"), 16x16 and 286x286 forms.

Taken from the authors' code in PyTorch are the first convolution without a norm, and
biases only where no norm follows: before a norm they would have no gradient. The norms'
statistics are the whole picture's, so through them a logit also knows of the pixels
outside its patch, as far as they change a map's mean and contrast.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.errors import UserError
from gen_jax.models import layers

_kernel_init = nn.initializers.normal(0.02)


class PatchGan(nn.Module):
    """A pair of pictures to the logits of its patches, y being real.

    base_channels: channels of the first layer; they double with each, up to eightfold.
    layers: convolutions of stride 2; two of stride 1 follow. 0 for three of 1x1.
    """

    base_channels: int = 64
    layers: int = 3

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [B, H, W, C], y [B, H, W, D] in [-1, 1] -> logits [B, H', W'].

        Raises UserError where H or W is too small for the patches: below 3 * 2**layers.
        """
        _check_sides(self.layers, *x.shape[1:3])
        h = jnp.concatenate([x, y], axis=-1)
        *hidden, last = _convolutions(self.layers)
        for level, convolution in enumerate(hidden):
            h = _conv(self.base_channels * min(2**level, 8), *convolution, level == 0)(
                h
            )
            if level > 0:
                h = layers.instance_norm(h, layers.scale_init)
            h = nn.leaky_relu(h, 0.2)
        return _conv(1, *last, use_bias=True)(h)[..., 0]


def receptive_field(layers: int) -> int:
    """The side of the patch behind one logit, in pixels: 1, 16, 34, 70, 142, 286."""
    field = 1
    for kernel, stride in reversed(_convolutions(layers)):
        field = (field - 1) * stride + kernel
    return field


def _convolutions(layers: int) -> list[tuple[int, int]]:
    """Kernel size and stride of each convolution. Raises UserError for layers < 0."""
    if layers < 0:
        raise UserError(f"a PatchGAN of {layers} layers: there must be 0 or more")
    return [(4, 2)] * layers + [(4, 1)] * 2 if layers else [(1, 1)] * 3


def _least_side(layers: int) -> int:
    """Of an image such that the last norm sees at least 2x2 pixels.

    The norm of a single pixel is zero. Behind it is a 4x4 kernel, so there is a logit.
    """
    return 3 * 2**layers if layers else 2


def _check_sides(layers: int, height: int, width: int):
    side, least = min(height, width), _least_side(layers)
    if side >= least:
        return
    fitting = [n for n in range(layers) if _least_side(n) <= side]
    hint = f"; layers={fitting[-1]} fits these" if fitting else ""
    raise UserError(
        f"images of {height}x{width} are too small for the patches of a PatchGAN with "
        f"layers={layers}: both sides must be at least {least} pixels{hint}"
    )


def _conv(features: int, kernel: int, stride: int, use_bias: bool) -> nn.Conv:
    return nn.Conv(
        features,
        (kernel, kernel),
        strides=stride,
        padding=kernel // 4,  # 1, and none around a 1x1 kernel
        use_bias=use_bias,
        kernel_init=_kernel_init,
    )
