"""Importance sampling of times t with a large loss: Nichol & Dhariwal (2021), 3.3.

    p_t is proportional to sqrt(E[L_t^2]), and L_t / (T p_t) replaces L_t.

A step's expected loss stays that of uniform t, with less variance. The authors average
over the last ten losses of each t. This module keeps a running mean of about as many,
which needs no list. Times are uniform until each of them has been seen ten times.
"""

import jax
import jax.numpy as jnp

_SEEN = 10
_UNIFORM = 0.001  # fraction of times that stays uniform, as in the authors' code

History = dict[str, jax.Array]  # float32 [T + 1] each; entry 0 is not used


def init(T: int) -> History:
    """Return a history of T times in which no loss has been seen yet."""
    zeros = jnp.zeros(T + 1, jnp.float32)
    return {"squared_loss": zeros, "count": zeros}


def draw(history: History, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draw t int32 [B] in 1..T; return it and the weights 1 / (T p_t), float32 [B]."""
    root, seen = jnp.sqrt(history["squared_loss"][1:]), history["count"][1:]
    T = len(root)
    p = (1 - _UNIFORM) * root / jnp.maximum(root.sum(), 1e-20) + _UNIFORM / T
    p = jnp.where(jnp.all(seen >= _SEEN), p, 1 / T)
    index = jax.vmap(lambda key: jax.random.categorical(key, jnp.log(p)))(keys)
    return index.astype(jnp.int32) + 1, 1 / (T * p[index])


def remember(history: History, t: jax.Array, loss: jax.Array) -> History:
    """Return the history updated by losses [B] at times t [B], of the whole batch."""
    zeros = jnp.zeros_like(history["count"])
    now = zeros.at[t].add(1.0)
    mean = zeros.at[t].add(jnp.square(loss)) / jnp.maximum(now, 1)
    count = history["count"] + now
    # A plain mean of the first ten losses, then one that forgets with weight 1 / 10.
    fraction = jnp.minimum(now / jnp.clip(count, 1, _SEEN), 1)
    previous = history["squared_loss"]
    updated = previous + fraction * (mean - previous)
    return {"squared_loss": updated, "count": count}
