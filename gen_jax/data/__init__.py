"""Datasets: decoded once, sampled as a function of (seed, step).

    dataset = load(DataConfig("digits"))
    for batch in batches(dataset.train, 128, seed=0)(start=0): ...

`gen_jax.data.prepare` holds what happens to a batch on the device.
"""

from gen_jax.data.dataset import (
    Batch,
    DataConfig,
    Dataset,
    Info,
    MemorySplit,
    Split,
    fingerprint,
)
from gen_jax.data.image_pairs import read_pictures
from gen_jax.data.order import batches
from gen_jax.data.prepare import prepare, prepared_like
from gen_jax.data.sources import absolute, describe, load

__all__ = [
    "Batch",
    "DataConfig",
    "Dataset",
    "Info",
    "MemorySplit",
    "Split",
    "absolute",
    "batches",
    "describe",
    "fingerprint",
    "load",
    "prepare",
    "prepared_like",
    "read_pictures",
]
