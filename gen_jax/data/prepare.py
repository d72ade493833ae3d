"""What happens to a batch on the device: normalisation, then random flips."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gen_jax.errors import UserError


def prepare(flip: bool = False) -> Callable[[dict, jax.Array], dict]:
    """A batch at rest to a batch to train on: (batch, keys [B]) -> batch.

    Pixels x uint8 [B, H, W, C] become x / 127.5 - 1, float32 in [-1, 1]; points
    float32 [B, D] and everything else, labels y among it, pass as they are.

    flip: mirror each image left to right with probability 1/2, by its own key.

    The returned function raises UserError if asked to flip points.
    """

    def prepared(batch: dict, keys: jax.Array) -> dict:
        x = batch["x"]
        if x.dtype == jnp.uint8:
            x = x.astype(jnp.float32) / 127.5 - 1.0
        if flip and x.ndim != 4:
            raise UserError("flips are for images; these examples are points")
        if flip:
            mirrored = jax.vmap(jax.random.bernoulli)(keys)
            x = jnp.where(mirrored[:, None, None, None], x[:, :, ::-1], x)
        return {**batch, "x": x}

    return prepared
