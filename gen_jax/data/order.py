"""The order of examples: a batch is a function of (seed, step), without other state.

Step s of batch size B takes positions s B .. (s + 1) B - 1 of an endless sequence of
epochs. Epoch e of N examples is a permutation derived from (seed, e) alone. Each
example is seen once an epoch, and a batch may span two epochs. A run that starts at
step s reads the same batches as a run from step 0 reads there.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterator

import numpy as np

from gen_jax.data.dataset import Batch, Split
from gen_jax.errors import UserError

_LAST_STEP = 2**31 - 1  # steps are int32


def permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """Return the order of `size` examples in an epoch, int64 [size].

    It sorts Philox's raw numbers: NumPy promises never to change those, but makes no
    such promise for `Generator.permutation`.
    """
    # Not seed + epoch, which would give two seeds each other's epochs. SeedSequence
    # takes no negative number.
    entropy = np.random.SeedSequence(seed % 2**64, spawn_key=(epoch,))
    # A stable sort: equal raw numbers have one order on every platform.
    return np.argsort(np.random.Philox(entropy).random_raw(size), kind="stable")


def batches(
    split: Split,
    batch_size: int,
    seed: int,
    *,
    process_index: int = 0,
    process_count: int = 1,
) -> Callable[[int], Iterator[Batch]]:
    """Return a function from a step to the batches from that step on.

    batch_size: B, of all processes together; may exceed the size of the split.
    process_index: the process whose contiguous B / process_count examples of each batch
        are read.

    The function takes `start` and returns an endless iterator over the batches of steps
    start, start + 1, ... A batch is {"x": [B / process_count, ...], "y": int32 [B /
    process_count]}; for pairs "y" is uint8 [B / process_count, H, W, C']. Threads read
    ahead if the split is decoded on reading.

    Raises UserError for anything but a split, and if the batch size is not a positive
    multiple of process_count.
    """
    if not hasattr(split, "read"):
        raise UserError(
            f"split is a value of type {type(split).__name__}: give a dataset's split, "
            "such as dataset.train"
        )
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size is {batch_size!r}: give 1, 2, ...")
    if batch_size % process_count:
        raise UserError(
            f"a batch of {batch_size} is not divisible by {process_count} processes"
        )
    own_size = batch_size // process_count
    # A few epochs are kept, since a batch may span two and threads read further ahead.
    epoch_order = functools.lru_cache(maxsize=4)(
        lambda epoch: permutation(seed, epoch, len(split))
    )

    def read(step: int) -> Batch:
        # A Python int: the position of an example may exceed int32.
        first = int(step) * batch_size + process_index * own_size
        epochs, places = np.divmod(first + np.arange(own_size), len(split))
        indices = np.empty(own_size, np.int64)
        for epoch in np.unique(epochs):
            now = epochs == epoch
            indices[now] = epoch_order(int(epoch))[places[now]]
        return split.read(indices)

    if split.in_memory:
        return lambda start: map(read, itertools.count(start))
    return lambda start: _read_ahead(read, start)


def _read_ahead(read: Callable[[int], Batch], start: int) -> Iterator[Batch]:
    """Iterate over the batches from step `start`, read ahead by grain's threads."""
    try:
        import grain
    except ImportError:
        raise UserError(
            "this dataset does not fit in memory_gib, and streaming it needs grain: "
            "pip install 'gen_jax[stream]', or raise --config.data.memory_gib"
        ) from None
    threads = min(16, os.cpu_count() or 1)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    # grain's elements are steps, not examples: it reads ahead and orders nothing.
    steps = grain.MapDataset.range(start, _LAST_STEP).map(read)
    return iter(steps.to_iter_dataset(options))
