"""Trees behind their leaves, drawn by code: translation for pix2pix without files.

The input shows a tree in leaf, the target its bare branches, dark on white. About half
of the branch pixels lie behind leaves, and have to be guessed from those that are seen.
`trees` draws them; example i of a split is a function of (split, i) alone.

This is a source as another package would have it: a `Source`, one line of
pyproject.toml, and its own measure (`scores`).
"""

import dataclasses

import numpy as np

from experiments.branches import scores, trees
from gen_jax import images
from gen_jax.data import DataConfig, Dataset, Info, PairMeasure, Source
from gen_jax.data.dataset import Batch, Indices
from gen_jax.errors import UserError

_COUNTS = {"train": 2000, "test": 200}
_LEAF_GREEN = 12  # by how much green exceeds red and blue where a leaf is


def describe(config: DataConfig) -> Info:
    """Return pairs: x in RGB, y grey, of config.image_size pixels a side, 64 if 0.

    Raises UserError if the size is not a multiple of 8 from 64 to 256, or if channels
    are set.
    """
    size, width = config.size if config.image_size else (64, 64)
    if size != width or size % 8 or not 64 <= size <= 256:
        raise UserError(
            f"branches: --config.data.image_size is {config.image_size}; allowed: "
            "multiples of 8 from 64 to 256"
        )
    if config.channels or config.value_range:
        raise UserError(
            "branches are RGB in leaf and grey when bare: --config.data.channels must "
            "be 0, and value_range empty"
        )
    return Info((size, size, 3), 0, (size, size, 1))


def load(config: DataConfig) -> Dataset:
    """Return 2000 trees and 200 held out, drawn on reading, kept if memory_gib allows.

    x is uint8 [B, S, S, 3], y uint8 [B, S, S, 1], S as in `describe`.
    """
    info = describe(config)
    size = info.shape[0]
    kept = sum(_COUNTS.values()) * size**2 * 4 / 2**30 <= config.memory_gib
    train, test = (_Trees(name, size, kept) for name in _COUNTS)
    return Dataset(info, train, test, measures=(HIDDEN_BRANCHES,))


def score(x: np.ndarray, y: np.ndarray, y_hat: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of hidden branches, float [N] by name, NaN if undefined.

    x [N, H, W, 3]: trees in leaf; y, y_hat [N, H, W, 1]: bare trees and translations;
    uint8, or floats in [-1, 1]. Names with memorized_ are the scores of copying the
    branches that show.
    """
    truth, behind = branch_mask(y), leaf_mask(x)
    memorized = scores.per_image(truth, shown_mask(x), behind)
    return {
        **scores.per_image(truth, branch_mask(y_hat), behind),
        **{f"memorized_{name}": values for name, values in memorized.items()},
    }


HIDDEN_BRANCHES = PairMeasure(
    score, {"memorized": "copies the branches that show, and nothing else"}
)


def branch_mask(y: np.ndarray) -> np.ndarray:
    """Return the branches of bare trees: bool [N, H, W].

    y: [N, H, W, 1], uint8 or in [-1, 1].
    """
    return images.to_uint8(y)[..., 0] < 128


def leaf_mask(x: np.ndarray) -> np.ndarray:
    """Return the leaves of trees in leaf, bool [N, H, W]: they may hide a branch.

    x: [N, H, W, 3], uint8 or in [-1, 1].
    """
    red, green, blue = np.moveaxis(images.to_uint8(x).astype(np.int32), -1, 0)
    return green - np.maximum(red, blue) > _LEAF_GREEN


def shown_mask(x: np.ndarray) -> np.ndarray:
    """Return the branches that trees in leaf show: bool [N, H, W]; x as in `leaf_mask`.

    A translator that copies its input finds exactly these.
    """
    dark = images.to_uint8(x).astype(np.int32).sum(-1) < 3 * 150
    return dark & ~leaf_mask(x)


@dataclasses.dataclass(frozen=True, eq=False)
class _Trees:
    """The trees of a split. With `in_memory`, drawn trees are cached."""

    name: str
    size: int
    in_memory: bool
    drawn: dict[int, tuple[np.ndarray, np.ndarray]] = dataclasses.field(
        default_factory=dict
    )

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
        if self.in_memory:
            self.drawn[index] = tree
        return tree


SOURCE = Source(describe, load)
