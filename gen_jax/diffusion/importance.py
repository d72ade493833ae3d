"""Times t drawn where their loss is large: Nichol & Dhariwal (2021), section 3.3.

    p_t is proportional to sqrt(E[L_t^2]), and L_t / (T p_t) replaces L_t,

so that a step's expected loss stays that of uniform t, with less variance. Their E is
over the last ten losses of each t; ours is a running mean of about as many, which
needs no list. Times are uniform until each of them has been seen ten times.
"""

import jax
import jax.numpy as jnp

_SEEN = 10
_UNIFORM = 0.001  # the share of draws that stays uniform, as in the authors' code

History = dict[str, jax.Array]  # float32 [T + 1] each; entry 0 is not used


def init(T: int) -> History:
    """Nothing seen yet."""
    zeros = jnp.zeros(T + 1, jnp.float32)
    return {"squared_loss": zeros, "count": zeros}


def draw(history: History, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """t int32 [B] in 1..T, and the weights 1 / (T p_t), float32 [B]."""
    root, seen = jnp.sqrt(history["squared_loss"][1:]), history["count"][1:]
    T = len(root)
    p = (1 - _UNIFORM) * root / jnp.maximum(root.sum(), 1e-20) + _UNIFORM / T
    p = jnp.where(jnp.all(seen >= _SEEN), p, 1 / T)
    place = jax.vmap(lambda key: jax.random.categorical(key, jnp.log(p)))(keys)
    return place.astype(jnp.int32) + 1, 1 / (T * p[place])


def remember(history: History, t: jax.Array, loss: jax.Array) -> History:
    """The history with the losses [B] of the times t [B], of the whole batch."""
    zeros = jnp.zeros_like(history["count"])
    now = zeros.at[t].add(1.0)
    mean = zeros.at[t].add(jnp.square(loss)) / jnp.maximum(now, 1)
    count = history["count"] + now
    fraction = jnp.minimum(now / jnp.clip(count, 1, _SEEN), 1)
    before = history["squared_loss"]
    return {"squared_loss": before + fraction * (mean - before), "count": count}
