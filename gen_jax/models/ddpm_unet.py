"""The U-Net of denoising diffusion: Ho, Jain & Abbeel (2020), appendix B.

Residual blocks have GroupNorm and swish, and receive a sinusoidal embedding of the
time. Self-attention follows at chosen resolutions and in the middle. A skip connects
every block of the way down to the way up. The defaults are the paper's CIFAR-10 form.

Three details come from the authors' code: swish between the embedding's layers,
GroupNorm's epsilon and the initialisation. Weights are uniform with variance 2 /
(fan_in + fan_out). The last layer of each residual branch and of the network starts at
zero.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax.errors import UserError
from gen_jax.models import layers

_kernel_init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
# The authors scale these layers by 1e-10 instead, which learns the same.
_zero_init = nn.initializers.zeros


class UNet(nn.Module):
    """The network of noisy images and times; the objective gives its output a meaning.

    base_channels: channels of the first level.
    channel_multipliers: level i has base_channels * channel_multipliers[i] channels at
        1 / 2**i of the image's size.
    blocks_per_level: residual blocks per level on the way down; one more on the way up.
    attention_resolutions: heights of the feature maps that self-attention follows.
    dropout: fraction of features that each block drops if keys are given.
    out_channels: channels of the output; None for as many as the input's.
    groups: number of groups of GroupNorm, lowered until each has at least four
        channels. Behind the norm of a single channel the bias of a convolution has no
        gradient.
    num_classes: number of classes of y, embedded and added to the time's embedding; 0
        for no labels.
    """

    base_channels: int = 128
    channel_multipliers: tuple[int, ...] = (1, 2, 2, 2)
    blocks_per_level: int = 2
    attention_resolutions: tuple[int, ...] = (16,)
    dropout: float = 0.1
    out_channels: int | None = None
    groups: int = 32
    num_classes: int = 0

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        t: jax.Array,
        y: jax.Array | None = None,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """Return [B, H, W, out_channels] of x [B, H, W, C] at times t [B].

        y: labels, int32 [B]; -1 for none.
        keys: one key per example, [B], for dropout; None for no dropout.

        Raises UserError if H or W is not a multiple of 2**(levels - 1).
        """
        levels = len(self.channel_multipliers)
        _, height, width, _ = x.shape
        _check_divisible((height, width), 2 ** (levels - 1))
        temb = layers.time_embedding(t, self.base_channels)
        temb = _dense(4 * self.base_channels)(temb)
        temb = _dense(4 * self.base_channels)(nn.swish(temb))
        if self.num_classes:
            hot = layers.one_hot(y, self.num_classes)
            embedding = nn.initializers.normal(1.0)
            # Without a bias, the one-hot of -1 (zeros) adds nothing: no label.
            temb += nn.Dense(
                temb.shape[-1], use_bias=False, kernel_init=embedding, name="label"
            )(hot)
        # The authors apply swish in every block: once, here, is the same.
        temb = nn.swish(temb)

        def block(h, features):
            h = ResidualBlock(features, self.dropout, self.groups)(h, temb, keys)
            if h.shape[1] in self.attention_resolutions:
                h = SelfAttention(self.groups)(h)
            return h

        h = _conv(self.base_channels)(x)
        skips = [h]
        for level, multiplier in enumerate(self.channel_multipliers):
            if level > 0:
                h = _conv(h.shape[-1], strides=2)(h)
                skips.append(h)
            for _ in range(self.blocks_per_level):
                h = block(h, self.base_channels * multiplier)
                skips.append(h)

        h = ResidualBlock(h.shape[-1], self.dropout, self.groups)(h, temb, keys)
        h = SelfAttention(self.groups)(h)
        h = ResidualBlock(h.shape[-1], self.dropout, self.groups)(h, temb, keys)

        for level, multiplier in reversed(list(enumerate(self.channel_multipliers))):
            # One more: each level also has the skip of the convolution before it.
            for _ in range(self.blocks_per_level + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = block(h, self.base_channels * multiplier)
            if level > 0:
                h = _conv(h.shape[-1])(h.repeat(2, axis=1).repeat(2, axis=2))

        out_channels = self.out_channels or x.shape[-1]
        return _conv(out_channels, _zero_init)(nn.swish(_norm(h, self.groups)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the embedding of the time is added between them."""

    features: int
    dropout: float
    groups: int

    @nn.compact
    def __call__(
        self, x: jax.Array, temb: jax.Array, keys: jax.Array | None
    ) -> jax.Array:
        """Return [B, H, W, features] of x [B, H, W, C], temb [B, E], keys [B]."""
        h = _conv(self.features)(nn.swish(_norm(x, self.groups)))
        h += _dense(self.features)(temb)[:, None, None]
        h = layers.Dropout(self.dropout)(nn.swish(_norm(h, self.groups)), keys)
        h = _conv(self.features, _zero_init)(h)
        if x.shape[-1] != self.features:
            x = _dense(self.features)(x)  # a 1x1 convolution
        return x + h


class SelfAttention(nn.Module):
    """Self-attention of one head between all pixels of a feature map."""

    groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the attended map [B, H, W, C] of x [B, H, W, C]."""
        batch, height, width, channels = x.shape
        # One head of all channels, as in the paper's code.
        h = _norm(x, self.groups).reshape(batch, height * width, channels)
        q, k, v = (_dense(channels, name=name)(h) for name in "qkv")
        h = _dense(channels, _zero_init, name="out")(layers.attention(q, k, v))
        return x + h.reshape(x.shape)


def _check_divisible(sides: tuple[int, int], divisor: int) -> None:
    if any(side % divisor for side in sides):
        raise UserError(
            f"images of {sides[0]}x{sides[1]} do not fit this U-Net: both sides must "
            f"be multiples of {divisor}; use another image size or fewer levels "
            "(channel_multipliers)"
        )


def _norm(x: jax.Array, groups: int) -> jax.Array:
    channels = x.shape[-1]
    max_groups = max(1, min(groups, channels // 4))
    # GroupNorm needs groups of equal size: take the largest divisor.
    groups = max(n for n in range(1, max_groups + 1) if channels % n == 0)
    return nn.GroupNorm(groups, epsilon=1e-6)(x)  # the epsilon of TensorFlow's contrib


def _conv(features, kernel_init=_kernel_init, strides=1):
    return nn.Conv(features, (3, 3), strides=strides, kernel_init=kernel_init)


def _dense(features, kernel_init=_kernel_init, name=None):
    return nn.Dense(features, kernel_init=kernel_init, name=name)
