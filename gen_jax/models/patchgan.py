"""The PatchGAN, the discriminator of pix2pix: Isola et al. (2016), appendix 6.1.2.

It decides whether y belongs to x, patch by patch: each logit sees one square of pixels
of both. Kernels are 4x4 with a padding of 1, and LeakyReLU has slope 0.2. With 3 layers
it is the paper's C64-C128-C256-C512, in which a logit sees 70x70 pixels. With 0, 1 and
5 layers it is the 1x1 ("PixelGAN"), 16x16 and 286x286 form.

Two details come from the authors' PyTorch code. The first convolution has no norm. Only
layers without a following norm have biases, since others would have no gradient. The
norms take their statistics from the whole image. So a logit also depends a little on
pixels outside its patch, through a map's mean and contrast.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.errors import UserError
from gen_jax.models import layers

_kernel_init = nn.initializers.normal(0.02)


class PatchGan(nn.Module):
    """The discriminator: a pair of images to one logit per patch, that of y being real.

    base_channels: channels of the first layer; they double with each, at most
        eightfold.
    layers: number of convolutions of stride 2; two of stride 1 follow. 0 for three 1x1
        convolutions.
    """

    base_channels: int = 64
    layers: int = 3

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Return logits [B, H', W'] of x [B, H, W, C] and y [B, H, W, D] in [-1, 1].

        Raises UserError if H or W is below 3 * 2**layers, too small for the patches.
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


def _convolutions(layers: int) -> list[tuple[int, int]]:
    """Return (kernel size, stride) of each convolution; UserError if layers < 0."""
    if layers < 0:
        raise UserError(f"layers={layers} of a PatchGAN is negative: give 0 or more")
    return [(4, 2)] * layers + [(4, 1)] * 2 if layers else [(1, 1)] * 3


def _least_side(layers: int) -> int:
    """Return the smallest image side for which the last norm sees at least 2x2 pixels.

    The norm of a single pixel is zero. A 4x4 kernel follows it, so there is a logit.
    """
    return 3 * 2**layers if layers else 2


def _check_sides(layers: int, height: int, width: int) -> None:
    side, least = min(height, width), _least_side(layers)
    if side >= least:
        return
    fitting = [n for n in range(layers) if _least_side(n) <= side]
    fix = f"layers={fitting[-1]} fits these images" if fitting else "use larger images"
    raise UserError(
        f"images of {height}x{width} are too small for the patches of a PatchGAN with "
        f"layers={layers}: both sides must be at least {least} pixels; {fix}"
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
