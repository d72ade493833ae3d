"""Helpers between linen modules and a game: initialise them, apply them, give labels.

A module is applied with the mutable state of its player, such as BatchNorm statistics,
and the new state is returned with the output. The moving player's loss returns that
state; everybody else drops it.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.errors import UserError
from gen_jax.game import Game, Player, PlayerState, Tree, Weights, single_player_game
from gen_jax.ops import Ops

_LABELS = 2**31 - 1  # the stream of an example's key for a random label


def single_model_game(
    model: Any,
    optimizer: optax.GradientTransformation,
    ema_halflife_images: tuple[float, ...],
) -> Game:
    """Return the game of one player that a model describes.

    model: has `name`, `init` and `loss` of a `Player`, `num_classes`, and the ops of
        the `Game` as methods of the same names.
    """
    player = Player(model.init, model.loss, optimizer, ema_halflife_images)
    return single_player_game(player, Ops.of(model), model.num_classes, model.name)


def init(
    module: nn.Module, rng: jax.Array, *args: Any, train: bool = True, **kwargs: Any
) -> Weights:
    """Return a module's first weights; args [B, ...] are those of `apply`."""
    kwargs = {**kwargs, **_with_train(module, train)}
    variables = dict(module.init(rng, *args, **kwargs))
    return Weights(variables.pop("params", {}), variables)


def apply(
    module: nn.Module,
    weights: Weights | PlayerState,
    *args: Any,
    train: bool = False,
    **kwargs: Any,
) -> tuple[Any, Tree]:
    """Return a module's output [B, ...] in float32, and its mutable state after it.

    train: passed on to a module that takes an argument of this name.
    """
    variables = {"params": weights.params, **weights.mutable}
    kwargs = {**kwargs, **_with_train(module, train)}
    out, mutable = module.apply(
        variables, *args, mutable=list(weights.mutable), **kwargs
    )
    return _float32(out), dict(mutable)


def join(parts: Mapping[str, Weights]) -> Weights:
    """Return the weights of a player that has several modules, by their names."""
    return Weights(
        {name: part.params for name, part in parts.items()},
        {name: part.mutable for name, part in parts.items() if part.mutable},
    )


def apply_part(
    name: str,
    module: nn.Module,
    player: Weights | PlayerState,
    *args: Any,
    **kwargs: Any,
) -> tuple[Any, Tree]:
    """Apply one of a player's modules, as `apply`; see `join`.

    Returns the output [B, ...] and the mutable state of the whole player after it.
    """
    part = Weights(player.params[name], player.mutable.get(name, {}))
    out, mutable = apply(module, part, *args, **kwargs)
    return out, {**player.mutable, **({name: mutable} if mutable else {})}


def _with_train(module: nn.Module, train: bool) -> dict[str, bool]:
    takes = inspect.signature(type(module).__call__).parameters
    return {"train": train} if "train" in takes else {}


def example(batch: Tree, name: str = "x") -> jax.Array:
    """Return zeros float32 [1, ...], shaped like one x of the batch, for `init`."""
    return jnp.zeros((1, *batch[name].shape[1:]), jnp.float32)


def _float32(out: Any) -> Any:
    """Convert a network's output, perhaps bfloat16, for the arithmetic of a loss."""
    return jax.tree.map(lambda x: x.astype(jnp.float32), out)


def no_labels(size: int) -> jax.Array:
    """Return int32 [size] of -1: no label, whose one-hot is the zero vector."""
    return jnp.full(size, -1, jnp.int32)


def labels(batch: Tree) -> jax.Array:
    """Return the batch's labels, int32 [B], or -1 if it has none."""
    return labels_or_none(batch.get("y"), batch["x"])


def labels_or_none(y: jax.Array | None, like: jax.Array) -> jax.Array:
    """Return y int32 [B]; if it is None, -1 for each of `like` [B, ...]."""
    return no_labels(len(like)) if y is None else y


def per_example(value: float | jax.Array, like: jax.Array) -> jax.Array:
    """Return a number, or float32 [B], as float32 [B, 1, ...] for `like` [B, ...]."""
    values = jnp.broadcast_to(jnp.asarray(value, jnp.float32), like.shape[:1])
    return values.reshape(-1, *[1] * (like.ndim - 1))


def times(time: float | jax.Array, like: jax.Array) -> jax.Array:
    """Return a time, a number or [B], as float32 [B, 1, ...] for `like` [B, ...].

    Raises UserError for a number outside [0, 1], such as an integer step of a chain.
    """
    if isinstance(time, int | float) and not 0 <= time <= 1:
        raise UserError(
            f"time={time}: give a time from 0, the clean image, to 1, pure noise"
        )
    return per_example(time, like)


def check_backwards(start: float, end: float) -> None:
    """Raise UserError unless 1 >= start >= end >= 0, as denoising goes."""
    if not 1 >= start >= end >= 0:
        raise UserError(
            f"start={start}, end={end}: give times with 1 >= start >= end >= 0, from "
            "noise at 1 to the clean image at 0"
        )


def labels_or_drawn(
    y: jax.Array | None, keys: jax.Array, num_classes: int
) -> jax.Array:
    """Return y int32 [B]; if it is None, a random class by each key, -1 without any."""
    if y is not None or not num_classes:
        return labels_or_none(y, keys)
    return randomness.integers(randomness.fold_in(keys, _LABELS), 0, num_classes - 1)
