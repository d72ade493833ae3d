"""Between linen modules and a game: starting, applying and playing them."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.game import Game, Player, PlayerState, Tree, Weights, single_player_game
from gen_jax.ops import Ops

_LABELS = 2**31 - 1  # a stream of an example's key that nothing else takes


def single_model_game(
    model: Any,
    optimizer: optax.GradientTransformation,
    ema_halflife_images: tuple[float, ...],
) -> Game:
    """The game of one that a model plays.

    model: has `init` and `loss` of a `Player`, `num_classes`, and, as methods by their
        names, the ops of a `Game` that it can do.
    """
    player = Player(model.init, model.loss, optimizer, ema_halflife_images)
    return single_player_game(player, Ops.of(model), model.num_classes)


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


def example(batch: Tree, name: str = "x") -> jax.Array:
    """Zeros float32 [1, ...] shaped like one x of the batch: enough to start from."""
    return jnp.zeros((1, *batch[name].shape[1:]), jnp.float32)


def _float32(out: Any) -> Any:
    """What a network computed in bfloat16, ready for a loss's arithmetic."""
    return jax.tree.map(lambda x: x.astype(jnp.float32), out)


def no_labels(size: int) -> jax.Array:
    """int32 [size] of -1, which stands for no label; its one-hot is the zero vector."""
    return jnp.full(size, -1, jnp.int32)


def labels(batch: Tree) -> jax.Array:
    """The batch's labels, int32 [B], or -1 where it has none."""
    return labels_or_none(batch.get("y"), batch["x"])


def labels_or_none(y: jax.Array | None, like: jax.Array) -> jax.Array:
    """y int32 [B]; where it is not given, -1 for each of `like` [B, ...]."""
    return no_labels(len(like)) if y is None else y


def labels_or_drawn(
    y: jax.Array | None, keys: jax.Array, num_classes: int
) -> jax.Array:
    """y int32 [B]; where it is not given, a class of each key, -1 if there is none."""
    if y is not None or not num_classes:
        return labels_or_none(y, keys)
    return randomness.integers(randomness.fold_in(keys, _LABELS), 0, num_classes - 1)
