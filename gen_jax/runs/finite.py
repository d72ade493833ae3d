"""Find the first number of a run that is no longer finite."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.game import State


class Leaves(NamedTuple):
    """Flags of a state's leaves: finite or not. They are computed in the background."""

    structure: Any  # the state's
    flags: jax.Array  # bool [number of leaves]

    def first_broken(self) -> str | None:
        """Return the path of the first leaf that is not finite, None if all are."""
        broken = np.flatnonzero(~np.asarray(self.flags))
        if not len(broken):
            return None
        numbered = jax.tree.unflatten(self.structure, range(self.structure.num_leaves))
        path, _ = jax.tree.flatten_with_path(numbered)[0][broken[0]]
        return jax.tree_util.keystr(path, simple=True, separator=".")


def leaves(state: State) -> Leaves:
    """Start to compute whether each leaf [...] of a state is finite."""
    return Leaves(jax.tree.structure(state), _flags(jax.tree.leaves(state)))


@jax.jit
def _flags(arrays: list[jax.Array]) -> jax.Array:
    def is_finite(x):
        floating = jnp.issubdtype(x.dtype, jnp.floating)
        return jnp.all(jnp.isfinite(x)) if floating else jnp.bool_(True)

    return jnp.stack([is_finite(x) for x in arrays])


def first_of(
    metrics: Mapping[str, float], players: Iterable[str]
) -> tuple[str, str] | None:
    """Return the name and the value of the first loss or gradient that is not finite.

    metrics: by `player/name`. A loss's own metrics may be infinite. If the loss or the
        gradient is not finite, they are named as its terms.
    """
    for player in players:
        mine = {
            key.partition("/")[2]: value
            for key, value in metrics.items()
            if key.startswith(f"{player}/") and not math.isfinite(value)
        }
        for key, name in (("loss", "the loss"), ("grad_norm", "the gradient")):
            if key in mine:
                terms = [f"{k} {mine[k]}" for k in mine if k not in _OWN]
                also = f" (terms: {', '.join(terms)})" if terms else ""
                return f"{name} of {player}", f"{mine[key]}{also}"
    return None


_OWN = ("loss", "grad_norm")  # the metrics that the step reports itself
