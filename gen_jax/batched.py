"""A game's ops on more examples than the device should hold at once."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gen_jax import devices
from gen_jax.game import Board, Game
from gen_jax.step import sample_keys

_CHUNK = 256  # examples on the device at once


def in_chunks(function: Callable, inputs: Mapping[str, Any]) -> np.ndarray:
    """function(**inputs) [N, ...], compiled once for chunks of one size.

    inputs: arrays [N, ...] or keys [N] by the function's names for them.
    """
    number = len(next(iter(inputs.values())))
    size = min(_CHUNK, number)
    compiled, chunks = devices.jit(lambda now: function(**now)), []
    for first in range(0, number, size):
        # The last chunk is filled up with the last example: one shape, one compilation.
        index = np.minimum(np.arange(first, first + size), number - 1)
        chunks.append(np.asarray(compiled({k: v[index] for k, v in inputs.items()})))
    return np.concatenate(chunks)[:number]


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
    A sample depends neither on `num` nor on the chunk that it is drawn in.
    """
    index = np.arange(num, dtype=np.int32)
    inputs = {"keys": sample_keys(seed, index)} | ({} if y is None else {"y": y})
    return in_chunks(lambda **now: game.ops["sample"](board, **now, **options), inputs)
