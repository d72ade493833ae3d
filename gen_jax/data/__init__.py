"""Datasets: decoded once, batches as a function of (seed, step).

    dataset = load(DataConfig("digits"))
    for batch in batches(dataset.train, 128, seed=0)(start=0): ...

`prepare` normalises and augments a batch on the device. `Source` is the contract for
data of one's own.
"""

from gen_jax.data.arrays import Arrays, array_dataset
from gen_jax.data.dataset import (
    Batch,
    DataConfig,
    Dataset,
    Info,
    MemorySplit,
    PairMeasure,
    Split,
    fingerprint,
)
from gen_jax.data.image_pairs import PairsConfig, read_inputs
from gen_jax.data.order import batches
from gen_jax.data.prepare import prepare, prepared_like
from gen_jax.data.registry import absolute, describe, load, load_present
from gen_jax.data.source import Source
from gen_jax.data.summary import Summary, summarize

__all__ = [
    "Arrays",
    "Batch",
    "DataConfig",
    "Dataset",
    "Info",
    "MemorySplit",
    "PairMeasure",
    "PairsConfig",
    "Source",
    "Split",
    "Summary",
    "absolute",
    "array_dataset",
    "batches",
    "describe",
    "fingerprint",
    "load",
    "load_present",
    "prepare",
    "prepared_like",
    "read_inputs",
    "summarize",
]
