"""Functions applied to more examples than a device should hold at once."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.game import Game, Players, Tree
from gen_jax.step import batch_sharding, sample_keys


def in_batches(function: Callable, *arrays: np.ndarray, batch_size: int = 256) -> Tree:
    """Return function(*arrays) computed batch by batch: a tree of arrays [N, ...].

    function: maps arrays [B, ...] to a tree of arrays [B, ...], each example by itself.
    arrays: arrays or keys [N, ...] of one N >= 1.
    batch_size: maximum size of a batch. All batches have one size, the power of two
        that N needs if that is smaller, so that `function` compiles only a few times.
        The last batch is filled with copies, which are cut off again.

    Raises UserError if `function` returns another number of examples.
    """
    count = len(arrays[0])
    size = min(batch_size, 1 << (count - 1).bit_length())
    outputs = []
    for start in range(0, count, size):
        places = np.minimum(np.arange(start, start + size), count - 1)
        made = jax.device_get(function(*(x[places] for x in arrays)))
        if wrong := [np.shape(x) for x in jax.tree.leaves(made) if len(x) != size]:
            raise UserError(
                f"a function of {size} examples returned the shape {list(wrong[0])}: "
                "it must return one result for each"
            )
        outputs.append(made)
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *outputs)


def on_all_devices(function: Callable, *given: Tree) -> Callable:
    """Return function(*given, *arrays [B, ...]), compiled, as a function of the arrays.

    given: weights, which each of this process's devices holds.

    A batch is divided over the devices. If it does not divide evenly each device
    computes all of it.
    """
    mesh = devices.data_mesh(jax.local_devices())
    given = jax.device_put(given, devices.everywhere(mesh))
    compiled = devices.jit(function)

    def dealt(*arrays):
        even = len(arrays[0]) % mesh.size == 0
        sharding = batch_sharding(mesh) if even else devices.everywhere(mesh)
        return compiled(*given, *(jax.device_put(x, sharding) for x in arrays))

    return dealt


def call(
    op: Callable,
    players: Players,
    inputs: Mapping[str, Any],
    batch_size: int = 256,
    **options: Any,
) -> Tree:
    """Return op(players, **inputs, **options), compiled and computed `in_batches`.

    inputs: arrays or keys [N, ...] by the op's argument names.
    options: the op's own, hashable.

    It is compiled once for each op and options: for any weights in this process and, by
    XLA's cache, in the next.
    """
    function = _by_place(op, tuple(inputs), tuple(options.items()))
    compiled = on_all_devices(function, players)
    return in_batches(compiled, *inputs.values(), batch_size=batch_size)


@functools.lru_cache(maxsize=64)
def _by_place(op: Callable, names: tuple[str, ...], options: tuple) -> Callable:
    """Return the op as a function (players, *inputs).

    Cached, so that `jax.jit` sees the same function object and does not recompile.
    """

    def function(players, *values):
        return op(players, **dict(zip(names, values, strict=True)), **dict(options))

    return function


def draw(
    game: Game,
    players: Players,
    num: int,
    seed: int,
    y: np.ndarray | None = None,
    *,
    start: int = 0,
    **options: Any,
) -> np.ndarray:
    """Draw `num` samples [num, ...] in [-1, 1] from the start-th, one key each.

    y: the labels to draw, int32 [num]; None for a game without labels.
    options: the options of the game's `sample`.

    A sample depends neither on `num` nor on the batch that it is drawn in.
    """
    if game.ops.sample is None:
        raise UserError("this game draws no samples: it has no op `sample`")
    index = np.arange(start, start + num, dtype=np.int32)
    inputs = {"keys": sample_keys(seed, index)} | ({} if y is None else {"y": y})
    return call(game.ops.sample, players, inputs, **options)
