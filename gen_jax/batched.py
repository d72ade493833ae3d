"""Functions of examples on more of them than the device should hold at once."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gen_jax import devices
from gen_jax.game import Board, Game, Tree
from gen_jax.step import sample_keys


def in_batches(function: Callable, *arrays: np.ndarray, batch_size: int = 256) -> Tree:
    """function(*arrays), arrays or keys [N, ...] of one N >= 1, -> [N, ...], or a tree.

    function: of arrays [B, ...] alone, example by example. It meets batches of one size
    only, the power of two that N needs or `batch_size`, so that it is compiled but few
    times; what the last one lacks is filled with copies that are cut off again.
    """
    count = len(arrays[0])
    size = min(batch_size, 1 << (count - 1).bit_length())
    outputs = []
    for start in range(0, count, size):
        places = np.minimum(np.arange(start, start + size), count - 1)
        outputs.append(jax.device_get(function(*(x[places] for x in arrays))))
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *outputs)


def call(function: Callable, inputs: Mapping[str, Any], batch_size: int = 256) -> Tree:
    """function(**inputs), compiled, `in_batches`; inputs [N, ...]."""
    compiled = devices.jit(
        lambda *values: function(**dict(zip(inputs, values, strict=True)))
    )
    return in_batches(compiled, *inputs.values(), batch_size=batch_size)


def draw(
    game: Game,
    board: Board,
    num: int,
    seed: int,
    y: np.ndarray | None = None,
    **options: Any,
) -> np.ndarray:
    """`num` samples [num, ...] in [-1, 1], the i-th from a key of its own.

    y: int32 [num], the labels to draw; None for a game without. options: the op's own.
    A sample depends neither on `num` nor on the batch that it is drawn in.
    """
    index = np.arange(num, dtype=np.int32)
    inputs = {"keys": sample_keys(seed, index)} | ({} if y is None else {"y": y})
    return call(lambda **now: game.ops["sample"](board, **now, **options), inputs)
