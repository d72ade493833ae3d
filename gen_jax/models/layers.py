"""Layers that the networks share, with equal numbers on every device and backend.

Dropout uses one key per example, and BatchNorm normalises over the global batch. So a
network's numbers do not depend on how a batch is divided. The transposed convolution
and self-attention have a second implementation that is faster on a CPU
(`devices.use_cpu_kernels`). It has the same parameters and gives the same numbers.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gen_jax import devices
from gen_jax.errors import UserError

Initializer = Callable[..., jax.Array]


def scale_init(
    rng: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32
) -> jax.Array:
    """Draw a norm's scales from N(1, 0.02): float `dtype` [*shape], as in the DCGAN."""
    return 1 + 0.02 * jax.random.normal(rng, shape, dtype)


class Dropout(nn.Module):
    """Dropout: zeroes a fraction `rate` of x, divides the rest by 1 - rate.

    Srivastava et al. (2014).
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, keys: jax.Array | None) -> jax.Array:
        """Return x [B, ...] after dropout with keys [B]; without keys, x itself.

        An example's mask depends only on its own key and on this layer's name. So it
        depends neither on its neighbours nor on the device, and the masks of two layers
        differ.
        """
        if keys is None or self.rate == 0:
            return x
        # The path, unlike a counter, does not change when another layer is added.
        layer = zlib.crc32("/".join(self.path).encode())

        def mask(key):
            key = jax.random.fold_in(key, layer)
            return jax.random.bernoulli(key, 1 - self.rate, x.shape[1:])

        # Not a product with the mask: 0 times infinity is NaN.
        return jnp.where(jax.vmap(mask)(keys), x / (1 - self.rate), 0)


def batch_norm(
    x: jax.Array, train: bool, scale_init: Initializer = nn.initializers.ones
) -> jax.Array:
    """Normalise x [B, ..., C] over all axes but C (Ioffe & Szegedy 2015), in a module.

    train: whether to use the statistics of the global batch, of all devices, and to
        update the running ones. Otherwise the running ones are used.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,  # PyTorch's default; it calls this 0.1
        epsilon=1e-5,
        scale_init=scale_init,
        # Only inside pmap or shard_map: under jit a fixed name raises NameError, and
        # without it each device would normalise by its own part of the batch.
        axis_name=devices.batch_axis(),
    )(x)


def instance_norm(
    x: jax.Array, scale_init: Initializer = nn.initializers.ones
) -> jax.Array:
    """Return x [B, H, W, C] with each channel of an example normalised over H and W.

    Ulyanov et al. (2016), with scales and biases: BatchNorm for a batch of one. Call it
    in a module. The variance is taken about the mean, since an image may be flat. Its
    mean square minus its squared mean would then be rounding error.
    """
    return nn.InstanceNorm(
        epsilon=1e-5, scale_init=scale_init, use_fast_variance=False
    )(x)


class ConvTranspose(nn.Module):
    """The transposed convolution of stride 2, which doubles an image's sides.

    kernel: the side of its square kernel.
    """

    features: int
    kernel: int = 4
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return [B, 2H, 2W, features] of x [B, H, W, C]."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        # On a CPU XLA's own form is ten times slower, with any compiler options.
        convolve = _phases if devices.use_cpu_kernels() else _dilated
        x = convolve(x, kernel)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            x += bias.reshape(1, 1, 1, -1)
        return x


def _dilated(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Use XLA's form: y[o] = sum_k kernel[k] x[(o + k - p) / 2], p = ceil(K / 2)."""
    return jax.lax.conv_transpose(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _phases(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Interleave four small convolutions instead; no multiplication by 0 is left.

    Along each side, outputs of one parity see every other entry of the kernel. With a
    kernel of 4, even outputs see x[i-1], x[i] through kernel[0::2]. Odd outputs see
    x[i], x[i+1] through kernel[1::2].
    """

    def taps(size, parity):
        before = -(-size // 2) - parity  # entries before the one that meets x[i]
        first, low = before % 2, before // 2
        return slice(first, None, 2), (low, len(range(first, size, 2)) - 1 - low)

    def phase(row, column):
        rows, row_padding = taps(kernel.shape[0], row)
        columns, column_padding = taps(kernel.shape[1], column)
        return jax.lax.conv_general_dilated(
            x,
            kernel[rows, columns],
            window_strides=(1, 1),
            padding=(row_padding, column_padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    # [B, H, 2, W, 2, C]: the four outputs of a pixel become neighbours.
    rows = [jnp.stack([phase(row, 0), phase(row, 1)], axis=3) for row in (0, 1)]
    batch, height, width, _ = x.shape
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, -1)


def attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Return softmax(q k^T / sqrt(C)) v [B, N, C] of q, k, v [B, N, C]; one head.

    Vaswani et al. (2017). The implementation for CPUs has no forward-mode derivative.
    """
    return (_attention if devices.use_cpu_kernels() else _plain_attention)(q, k, v)


def _plain_attention(q, k, v):
    return _attend(q, k, v)[1]


def _attend(q, k, v):
    """Return the weights a [B, N, N] and the output [B, N, C]."""
    scores = jnp.einsum("bqc,bkc->bqk", q, k) / math.sqrt(q.shape[-1])
    a = jax.nn.softmax(scores)
    return a, jnp.einsum("bqk,bkc->bqc", a, v)


# With XLA's own derivative, a U-Net's step took 30 % longer on a CPU.
_attention = jax.custom_vjp(_plain_attention)


def _attention_forward(q, k, v):
    a, o = _attend(q, k, v)
    return o, (q, k, v, a, o)


def _attention_backward(kept, do):
    """Compute the gradients; as sum_k a da = sum_c do o, one pass over a is enough."""
    q, k, v, a, o = kept
    da = jnp.einsum("bqc,bkc->bqk", do, v)
    ds = a * (da - jnp.sum(do * o, axis=-1, keepdims=True))
    ds /= math.sqrt(q.shape[-1])
    dq = jnp.einsum("bqk,bkc->bqc", ds, k)
    dk = jnp.einsum("bqk,bqc->bkc", ds, q)
    dv = jnp.einsum("bqk,bqc->bkc", a, do)
    return dq, dk, dv


_attention.defvjp(_attention_forward, _attention_backward)


def one_hot(y: jax.Array | None, num_classes: int) -> jax.Array:
    """Return labels y int32 [B] as float32 [B, num_classes]; -1 (none) gives zeros.

    Raises UserError if y is None: a network with classes needs labels.
    """
    if y is None:
        raise UserError(
            f"a network of {num_classes} classes was called without labels y; "
            "give int32 [B], -1 for none"
        )
    # JAX gives a row of zeros for any label outside 0..num_classes - 1.
    return jax.nn.one_hot(y, num_classes, dtype=jnp.float32)


def with_label(x: jax.Array, y: jax.Array | None, num_classes: int) -> jax.Array:
    """Append y's one-hot vector to x [B, ..., C] as channels; x itself if no class."""
    if not num_classes:
        return x
    hot = one_hot(y, num_classes).reshape(-1, *[1] * (x.ndim - 2), num_classes)
    hot = jnp.broadcast_to(hot, (*x.shape[:-1], num_classes))
    return jnp.concatenate([x, hot.astype(x.dtype)], axis=-1)


def time_embedding(t: jax.Array, dim: int) -> jax.Array:
    """Return the sinusoidal embedding float32 [B, dim] of times t [B]; dim is even.

    The times are steps or fractions. First come sin(t w_i), then cos(t w_i), with w_i =
    10000^(-i / (dim/2 - 1)): Ho et al. (2020), after Vaswani et al. (2017).
    """
    half = dim // 2
    # half - 1 is that of Ho et al.'s code; Vaswani et al. divide by half.
    frequencies = jnp.exp(
        -math.log(10_000) / max(half - 1, 1) * jnp.arange(half, dtype=jnp.float32)
    )
    # float32 in any network: bfloat16 has no odd step above 256.
    angles = t.astype(jnp.float32)[:, None] * frequencies[None]
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def halvings(height: int, width: int, largest: int = 7) -> int:
    """Return how often to halve an image, rounding up, until its smaller side is small.

    Small means at most `largest` pixels; with the default 4 to 7 are left. Raises
    UserError if a side is below 8 pixels.
    """
    side = min(height, width)
    if side < 8:
        raise UserError(
            f"images of {height}x{width} are too small for a convolutional network: "
            "both sides must be at least 8 pixels; use larger images or an mlp"
        )
    return math.ceil(math.log2(side / largest))


def halved(side: int, times: int) -> int:
    """Return a side [pixels] after `times` halvings, each rounded up."""
    return -(-side // 2**times)
