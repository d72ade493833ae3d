"""Preparation of a batch on the device: normalisation, then jitter and flips."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gen_jax.data.dataset import Info
from gen_jax.errors import UserError


def prepare(
    flip: bool = False, jitter: int = 0
) -> Callable[[dict, jax.Array | None], dict]:
    """Return a function from a stored batch to a training batch: (batch, keys [B]).

    Pixels uint8 [B, H, W, C], of x and for pairs also of y, become x / 127.5 - 1,
    float32 in [-1, 1]; images of a stated range have that form already. Points float32
    [B, D], labels and all other entries stay as they are. Random changes depend on each
    example's own key, and are equal for both sides of a pair. Without them keys may be
    None.

    flip: mirror each image left to right with probability 1/2.
    jitter: pixels; each image is enlarged bilinearly to (H + jitter, W + jitter) and
        cropped to (H, W) at a random place; pix2pix has 30 at 256.

    Raises UserError for a negative jitter; the returned function raises it if it has to
    flip or jitter points.
    """
    if jitter < 0:
        raise UserError(f"jitter is {jitter} pixels; allowed: 0 or more")

    def prepared(batch: dict, keys: jax.Array | None) -> dict:
        sides = {"x": batch["x"]}
        y = batch.get("y")
        if y is not None and y.ndim == 4:
            sides["y"] = y
        if (flip or jitter) and sides["x"].ndim != 4:
            asked = "flips are" if flip else "jitter is"
            raise UserError(f"{asked} for images; these examples are points")
        for name, side in sides.items():
            if side.dtype == jnp.uint8:
                sides[name] = side.astype(jnp.float32) / 127.5 - 1.0
        if flip or jitter:
            change = jax.vmap(lambda side, key: _changed(side, key, flip, jitter))
            sides = {name: change(side, keys) for name, side in sides.items()}
        return {**batch, **sides}

    return prepared


def prepared_like(info: Info, batch_size: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes and types that `prepare` gives to a batch of B = batch_size.

    x is float32 [B, ...]; y is int32 [B], for pairs float32 [B, H, W, C'].
    """
    target = (info.target_shape, "float32") if info.target_shape else ((), "int32")
    kinds = {"x": (info.shape, "float32"), "y": target}
    return {
        name: jax.ShapeDtypeStruct((batch_size, *shape), dtype)
        for name, (shape, dtype) in kinds.items()
    }


def _changed(image: jax.Array, key: jax.Array, flip: bool, jitter: int) -> jax.Array:
    """Jitter and mirror one image [H, W, C] at random."""
    flip_key, place_key = jax.random.split(key)
    height, width, channels = image.shape
    if jitter:
        larger = jax.image.resize(
            image, (height + jitter, width + jitter, channels), "bilinear"
        )
        top, left = jax.random.randint(place_key, (2,), 0, jitter + 1)
        image = jax.lax.dynamic_slice(larger, (top, left, 0), image.shape)
    if flip:
        image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
    return image
