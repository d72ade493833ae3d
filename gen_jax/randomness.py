"""Random numbers with one key per example, so that examples are independent.

`keys` is always an array [B] of typed keys. The numbers of example i depend on keys[i]
alone: not on the batch's size, its order, or the devices it is spread over.
"""

import jax
import jax.numpy as jnp


def split(keys: jax.Array, num: int) -> tuple[jax.Array, ...]:
    """Split keys [B] into `num` arrays of new keys [B]; do not use the old ones again.

    Not even for `fold_in`, because JAX's split(key)[i] equals its fold_in(key, i).
    """
    new = jax.vmap(lambda key: jax.random.split(key, num))(keys)
    return tuple(new[:, i] for i in range(num))


def fold_in(keys: jax.Array, number: int | jax.Array) -> jax.Array:
    """Return keys [B] of another stream, one for every `number` (int32 [])."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def normal(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw from N(0, I): float32 [B, *shape]."""
    # float32 explicitly: with jax_enable_x64 JAX would draw other numbers, in float64.
    return jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)


def uniform(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draw uniformly from [-1, 1): float32 [B, *shape]."""

    def draw(key):
        return jax.random.uniform(key, shape, jnp.float32, minval=-1.0, maxval=1.0)

    return jax.vmap(draw)(keys)


def fraction(keys: jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """Draw uniformly from [0, 1): float32 [B, *shape]."""
    return (1 + uniform(keys, shape)) / 2


def integers(keys: jax.Array, low: int, high: int) -> jax.Array:
    """Draw uniformly from low..high, both included: int32 [B]."""
    # randint excludes its upper end.
    return jax.vmap(lambda key: jax.random.randint(key, (), low, high + 1))(keys)
