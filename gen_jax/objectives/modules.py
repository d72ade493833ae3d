"""Between linen modules and a game's players: starting them and applying them."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gen_jax.game import PlayerState, Tree, Weights


def init(module: nn.Module, rng: jax.Array, *args: Any, **kwargs: Any) -> Weights:
    """A module's first weights; args are those of a call, arrays [B, ...]."""
    variables = dict(module.init(rng, *args, **kwargs))
    return Weights(variables.pop("params", {}), variables)


def init_params(module: nn.Module, rng: jax.Array, *args: Any) -> Tree:
    """The first parameters of a module that has nothing else; args are arrays [B, ...].

    Raises ValueError where the module has mutable state, such as BatchNorm's.
    """
    params, mutable = init(module, rng, *args)
    if mutable:
        raise ValueError(
            f"{type(module).__name__} has mutable state ({', '.join(mutable)}), "
            "which this objective does not keep"
        )
    return params


def apply(
    module: nn.Module, weights: Weights | PlayerState, *args: Any, **kwargs: Any
) -> tuple[Any, Tree]:
    """A module's output [B, ...] in float32, and its mutable state after the call.

    A player in its own turn returns that state from its loss; anybody else drops it.
    """
    variables = {"params": weights.params, **weights.mutable}
    out, mutable = module.apply(
        variables, *args, mutable=list(weights.mutable), **kwargs
    )
    return _float32(out), dict(mutable)


def apply_params(module: nn.Module, params: Tree, *args: Any) -> Any:
    """The output [B, ...] in float32 of a module that has parameters alone."""
    return _float32(module.apply({"params": params}, *args))


def example(batch: Tree) -> jax.Array:
    """Zeros float32 [1, ...] shaped like one x of the batch: enough to start from."""
    return jnp.zeros((1, *batch["x"].shape[1:]), jnp.float32)


def _float32(out: Any) -> Any:
    """What a network computed in bfloat16, ready for a loss's arithmetic."""
    return jax.tree.map(lambda x: x.astype(jnp.float32), out)
