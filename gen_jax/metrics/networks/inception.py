"""The network of FID, KID and IS: Inception v3 as it was trained in 2015.

Szegedy et al. (2015), "Rethinking the Inception architecture for computer vision", as
frozen in TensorFlow's graph inception-2015-12-05. Heusel et al. (2017) took its layer
pool_3 for FID. It differs from today's Inception v3 of the same paper:

- average pools next to convolutions exclude the padding (Mixed_5b-d, 6b-e, 7b);
- Mixed_7c has a maximum pool there;
- BatchNorm's epsilon is 1e-3;
- there are 1008 logits, and IS takes them without their biases (torch-fidelity's
  "logits_unbiased", and the evaluator of OpenAI's guided diffusion).

A number depends as much on how images are resized to 299 pixels. Here they are resized
as in that graph, without antialiasing. Pixel i of n is taken at i * n_before / n, not
from the centres of pixels. Then follows (x - 128) / 128. torch-fidelity does the same.
pytorch-fid takes centres, and 2 x / 255 - 1. clean-fid resizes by antialiased bicubic
interpolation. jax-fid keeps the images' size. Compare only numbers from the same
method.

Layers have the names that the files of weights give them (`inception_weights.py`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

SIDE = 299  # pixels
DIM = 2048  # features


def preprocessed(x: jax.Array) -> jax.Array:
    """Resize x uint8 [B, H, W, 1 or 3] to [B, 299, 299, 3] in [-1, 1); repeat grey."""
    x = resized(x.astype(jnp.float32), SIDE)
    return (jnp.broadcast_to(x, (*x.shape[:-1], 3)) - 128) / 128


def resized(x: jax.Array, side: int) -> jax.Array:
    """Resize x float32 [B, H, W, C] to [B, side, side, C], bilinearly as TensorFlow 1.

    y_i = (1 - s) x_k + s x_{k+1}, with k + s = i * H / side, and x_H = x_{H-1}
    """
    for axis in (2, 1):
        size = x.shape[axis]
        step = np.float32(size) / np.float32(side)
        place = np.arange(side, dtype=np.float32) * step
        low = place.astype(np.int32)
        others = tuple(n for n in range(x.ndim) if n != axis)
        fraction = np.expand_dims(place - low.astype(np.float32), others)
        before = jnp.take(x, low, axis)
        after = jnp.take(x, np.minimum(low + 1, size - 1), axis)
        x = before + (after - before) * fraction
    return x


class Inception(nn.Module):
    """The convolutions and their mean over an image: the layer pool_3."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, 2048] of x float32 [B, H, W, 3] in [-1, 1); H, W at least 75."""
        x = Convolution(32, strides=2, name="Conv2d_1a_3x3")(x)
        x = Convolution(32, padding="VALID", name="Conv2d_2a_3x3")(x)
        x = Convolution(64, name="Conv2d_2b_3x3")(x)
        x = _halved(x)
        x = Convolution(80, (1, 1), name="Conv2d_3b_1x1")(x)
        x = Convolution(192, padding="VALID", name="Conv2d_4a_3x3")(x)
        x = _halved(x)
        x = Mixed5(32, name="Mixed_5b")(x)
        x = Mixed5(64, name="Mixed_5c")(x)
        x = Mixed5(64, name="Mixed_5d")(x)
        x = Mixed6a(name="Mixed_6a")(x)
        x = Mixed6(128, name="Mixed_6b")(x)
        x = Mixed6(160, name="Mixed_6c")(x)
        x = Mixed6(160, name="Mixed_6d")(x)
        x = Mixed6(192, name="Mixed_6e")(x)
        x = Mixed7a(name="Mixed_7a")(x)
        x = Mixed7(_averaged, name="Mixed_7b")(x)
        x = Mixed7(_greatest, name="Mixed_7c")(x)
        return jnp.mean(x, axis=(1, 2))


class Convolution(nn.Module):
    """A convolution without bias, BatchNorm by the published statistics, and ReLU.

    padding: None for "VALID" if the side is halved and "SAME" otherwise.
    """

    features: int
    kernel: tuple[int, int] = (3, 3)
    strides: int = 1
    padding: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, H', W', features] of x [B, H, W, C]."""
        x = nn.Conv(
            self.features,
            self.kernel,
            self.strides,
            self.padding or ("SAME" if self.strides == 1 else "VALID"),
            use_bias=False,
            name="conv",
        )(x)
        return nn.relu(nn.BatchNorm(True, epsilon=1e-3, name="bn")(x))


class Mixed5(nn.Module):
    """Mixed_5b to 5d, of 35 x 35 pixels. pooled: features of the pooled branch."""

    pooled: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, H, W, 224 + pooled] of x [B, H, W, C]."""
        one = Convolution(64, (1, 1), name="branch1x1")(x)
        five = Convolution(48, (1, 1), name="branch5x5_1")(x)
        five = Convolution(64, (5, 5), name="branch5x5_2")(five)
        three = Convolution(64, (1, 1), name="branch3x3dbl_1")(x)
        three = Convolution(96, name="branch3x3dbl_2")(three)
        three = Convolution(96, name="branch3x3dbl_3")(three)
        pool = Convolution(self.pooled, (1, 1), name="branch_pool")(_averaged(x))
        return jnp.concatenate([one, five, three, pool], axis=-1)


class Mixed6a(nn.Module):
    """The reduction from 35 x 35 pixels to 17 x 17."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, (H - 1) // 2, (W - 1) // 2, 480 + C] of x [B, H, W, C]."""
        one = Convolution(384, strides=2, name="branch3x3")(x)
        two = Convolution(64, (1, 1), name="branch3x3dbl_1")(x)
        two = Convolution(96, name="branch3x3dbl_2")(two)
        two = Convolution(96, strides=2, name="branch3x3dbl_3")(two)
        return jnp.concatenate([one, two, _halved(x)], axis=-1)


class Mixed6(nn.Module):
    """Mixed_6b to 6e, of 17 x 17 pixels. inner: features between the long kernels."""

    inner: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, H, W, 768] of x [B, H, W, C]."""
        c, row, column = self.inner, (1, 7), (7, 1)
        one = Convolution(192, (1, 1), name="branch1x1")(x)
        seven = Convolution(c, (1, 1), name="branch7x7_1")(x)
        seven = Convolution(c, row, name="branch7x7_2")(seven)
        seven = Convolution(192, column, name="branch7x7_3")(seven)
        twice = Convolution(c, (1, 1), name="branch7x7dbl_1")(x)
        twice = Convolution(c, column, name="branch7x7dbl_2")(twice)
        twice = Convolution(c, row, name="branch7x7dbl_3")(twice)
        twice = Convolution(c, column, name="branch7x7dbl_4")(twice)
        twice = Convolution(192, row, name="branch7x7dbl_5")(twice)
        pool = Convolution(192, (1, 1), name="branch_pool")(_averaged(x))
        return jnp.concatenate([one, seven, twice, pool], axis=-1)


class Mixed7a(nn.Module):
    """The reduction from 17 x 17 pixels to 8 x 8."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, (H - 1) // 2, (W - 1) // 2, 512 + C] of x [B, H, W, C]."""
        three = Convolution(192, (1, 1), name="branch3x3_1")(x)
        three = Convolution(320, strides=2, name="branch3x3_2")(three)
        seven = Convolution(192, (1, 1), name="branch7x7x3_1")(x)
        seven = Convolution(192, (1, 7), name="branch7x7x3_2")(seven)
        seven = Convolution(192, (7, 1), name="branch7x7x3_3")(seven)
        seven = Convolution(192, strides=2, name="branch7x7x3_4")(seven)
        return jnp.concatenate([three, seven, _halved(x)], axis=-1)


class Mixed7(nn.Module):
    """Mixed_7b and 7c, of 8 x 8 pixels. pool: the pooling of 3 x 3 pixels."""

    pool: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, H, W, 2048] of x [B, H, W, C]."""
        row, column = (1, 3), (3, 1)
        one = Convolution(320, (1, 1), name="branch1x1")(x)
        three = Convolution(384, (1, 1), name="branch3x3_1")(x)
        a = Convolution(384, row, name="branch3x3_2a")(three)
        b = Convolution(384, column, name="branch3x3_2b")(three)
        twice = Convolution(448, (1, 1), name="branch3x3dbl_1")(x)
        twice = Convolution(384, name="branch3x3dbl_2")(twice)
        c = Convolution(384, row, name="branch3x3dbl_3a")(twice)
        d = Convolution(384, column, name="branch3x3dbl_3b")(twice)
        pool = Convolution(192, (1, 1), name="branch_pool")(self.pool(x))
        return jnp.concatenate([one, a, b, c, d, pool], axis=-1)


def _halved(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def _averaged(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _greatest(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), (1, 1), "SAME")
