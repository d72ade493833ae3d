"""What a dataset is: two splits that hand out batches by index."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

Batch = dict[str, np.ndarray]


class Info(NamedTuple):
    """What a model needs to know of a dataset, found without reading it all."""

    shape: tuple[int, ...]  # of one example: (H, W, C), or (2,) for points
    num_classes: int  # 0 where the examples have no labels


class Split(Protocol):
    """Examples at rest: `x` uint8 [N, H, W, C] or float32 [N, D], `y` int32 [N]."""

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The examples at `indices`: {"x": [B, ...], "y": int32 [B], -1 for none}."""


class Dataset(NamedTuple):
    """A training split and a held-out one."""

    info: Info
    train: Split
    test: Split
