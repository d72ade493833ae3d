"""Trees behind their leaves, embedded: pix2pix's work without files.

The input shows a tree in leaf, the target its bare branches, dark on white. About half
of the branches' pixels lie behind leaves, and have to be guessed from what is seen
between them. `trees` draws; example i of a split is a function of (split, i) alone.
"""

import dataclasses

import numpy as np

from gen_jax import images
from gen_jax.data import trees
from gen_jax.data.dataset import Batch, DataConfig, Dataset, Indices, Info, Source
from gen_jax.errors import UserError

_COUNTS = {"train": 2000, "test": 200}
_LEAF_GREEN = 12  # by how much green exceeds red and blue where a leaf is


def open_branches(config: DataConfig) -> Source:
    """2000 trees and 200 held out, drawn on reading and kept if memory_gib allows.

    x uint8 [B, S, S, 3], y uint8 [B, S, S, 1]; S is config.image_size, 64 if 0.

    Raises UserError for another size than a multiple of 8 from 64 to 256, or channels.
    """
    size = config.image_size or 64
    if size % 8 or not 64 <= size <= 256:
        raise UserError(
            f"branches: --config.data.image_size is {size}; allowed: multiples of 8 "
            "from 64 to 256"
        )
    if config.channels:
        raise UserError(
            "branches are RGB under leaves and grey bare: --config.data.channels must "
            "be 0"
        )
    info = Info((size, size, 3), 0, (size, size, 1))
    needed = sum(_COUNTS.values()) * size**2 * 4 / 2**30
    kept = needed <= config.memory_gib

    def load() -> Dataset:
        return Dataset(info, _Trees("train", size, kept), _Trees("test", size, kept))

    return Source(info, load)


def branch_mask(y: np.ndarray) -> np.ndarray:
    """Where bare trees, uint8 or in [-1, 1], [N, H, W, 1], show a branch: [N, H, W]."""
    return images.to_uint8(y)[..., 0] < 128


def leaf_mask(x: np.ndarray) -> np.ndarray:
    """Where trees in leaf, uint8 or in [-1, 1], [N, H, W, 3], show a leaf: [N, H, W].

    Behind these pixels a branch can only be guessed.
    """
    red, green, blue = np.moveaxis(images.to_uint8(x).astype(np.int32), -1, 0)
    return green - np.maximum(red, blue) > _LEAF_GREEN


def shown_mask(x: np.ndarray) -> np.ndarray:
    """Where trees in leaf, as for `leaf_mask`, show a branch: bool [N, H, W].

    It is what copying the input finds.
    """
    dark = images.to_uint8(x).astype(np.int32).sum(-1) < 3 * 150
    return dark & ~leaf_mask(x)


def hidden_mask(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The branches of y that leaves of x hide, arrays as above: bool [N, H, W]."""
    return branch_mask(y) & leaf_mask(x)


@dataclasses.dataclass(frozen=True, eq=False)
class _Trees:
    """The trees of a split; those drawn once are kept where `kept`."""

    name: str
    size: int
    kept: bool
    drawn: dict[int, tuple[np.ndarray, np.ndarray]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def in_memory(self) -> bool:
        return self.kept

    def __len__(self) -> int:
        return _COUNTS[self.name]

    def read(self, indices: Indices) -> Batch:
        read = [self._tree(int(i)) for i in indices]
        x, y = (np.stack(side) for side in zip(*read, strict=True))
        return {"x": x, "y": y}

    def _tree(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index in self.drawn:
            return self.drawn[index]
        tree = trees.draw(self.name, index, self.size)
        if self.kept:
            self.drawn[index] = tree
        return tree
