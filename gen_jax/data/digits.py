"""Handwritten digits of 8x8 pixels, 1797, that come inside scikit-learn."""

import importlib.util
from pathlib import Path

import numpy as np

from gen_jax.data import decoding
from gen_jax.data.arrays import Arrays, array_dataset
from gen_jax.data.dataset import DataConfig, Dataset, Info
from gen_jax.data.source import Source
from gen_jax.errors import UserError


def describe(config: DataConfig) -> Info:
    """Return ten classes of grey images, 8x8 if config.image_size is 0."""
    return Info(decoding.fitted_shape((8, 8, 1), config, "digits"), 10)


def load(config: DataConfig) -> Dataset:
    """Load the digits; a tenth is held out. Raises UserError without scikit-learn."""
    table = np.loadtxt(_file(), delimiter=",")  # 64 pixels in 0..16, then the label
    x = np.round(table[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return array_dataset(
        describe(config), config, Arrays(x, table[:, -1].astype(np.int32))
    )


def _file() -> Path:
    # Importing scikit-learn, only to read this file, would take a second.
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise UserError("digits come with scikit-learn: pip install 'gen_jax[digits]'")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


SOURCE = Source(describe, load)
