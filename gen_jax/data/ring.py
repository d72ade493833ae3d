"""Points in the plane: 8192 from eight Gaussians on a circle, labelled by component.

The means are evenly spaced at radius 0.8, the standard deviation is 0.05.
"""

import numpy as np

from gen_jax.data.arrays import Arrays, array_dataset
from gen_jax.data.dataset import DataConfig, Dataset, Info
from gen_jax.data.source import Source
from gen_jax.errors import UserError


def describe(config: DataConfig) -> Info:
    """Return eight classes of points. Raises UserError for options of images."""
    if config.image_size or config.channels or config.value_range:
        raise UserError(
            "ring holds points: --config.data.image_size and channels must be 0, and "
            "value_range empty"
        )
    return Info((2,), 8)


def load(config: DataConfig) -> Dataset:
    """Sample the points, always the same; a tenth is held out."""
    rng = np.random.default_rng(0)
    y = np.arange(8192, dtype=np.int32) % 8
    angle = 2 * np.pi * y / 8
    mean = 0.8 * np.stack([np.cos(angle), np.sin(angle)], 1)
    x = (mean + 0.05 * rng.standard_normal((8192, 2))).astype(np.float32)
    return array_dataset(describe(config), config, Arrays(x, y))


SOURCE = Source(describe, load)
