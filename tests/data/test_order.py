"""The order of examples: epochs, resuming, processes, streaming."""

import itertools

import numpy as np
import pytest

from gen_jax.data import Dataset, Info, MemorySplit, batches
from gen_jax.data.order import permutation
from gen_jax.errors import UserError


def _split(size):
    return MemorySplit(np.arange(size, dtype=np.uint8), np.arange(size, dtype=np.int32))


def _take(iterator, count):
    return [batch["y"] for batch in itertools.islice(iterator, count)]


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10, 23])
def test_every_example_comes_once_an_epoch(batch_size):
    size, epochs = 10, 6
    steps = -(-size * epochs // batch_size)
    seen = np.concatenate(_take(batches(_split(size), batch_size, seed=3)(0), steps))
    seen = seen[: size * epochs].reshape(epochs, size)
    np.testing.assert_array_equal(np.sort(seen, axis=1), [np.arange(size)] * epochs)
    assert len({tuple(epoch) for epoch in seen}) == epochs


def test_any_step_resumes_the_straight_run():
    straight = _take(batches(_split(10), 4, seed=1)(0), 12)
    for start in (1, 2, 5, 11):
        resumed = _take(batches(_split(10), 4, seed=1)(start), 12 - start)
        np.testing.assert_array_equal(resumed, straight[start:])


def test_processes_share_the_global_batch_in_order():
    split = _split(10)
    whole = _take(batches(split, 6, seed=1)(2), 9)
    slices = [
        _take(batches(split, 6, 1, process_index=i, process_count=3)(2), 9)
        for i in range(3)
    ]
    np.testing.assert_array_equal(np.concatenate(slices, axis=1), whole)


def test_the_order_depends_on_the_seed_and_never_changes():
    orders = [permutation(seed, epoch, 8).tolist() for seed, epoch in [(0, 0), (1, 0)]]
    # Written down, so that a run continues on a later NumPy as it began.
    assert orders == [[1, 4, 5, 6, 2, 0, 3, 7], [0, 5, 7, 4, 2, 6, 3, 1]]
    assert permutation(-1, 0, 8).tolist() == permutation(2**64 - 1, 0, 8).tolist()


def test_a_permutation_is_uniform():
    first = [permutation(seed, 0, 4)[0] for seed in range(2000)]
    counts = np.bincount(first, minlength=4)
    # Chi-squared with 3 degrees of freedom stays below 16.3 in 999 of 1000 draws.
    assert ((counts - 500) ** 2 / 500).sum() < 16.3


def test_buffers_are_never_handed_out_twice():
    split = _split(4)
    first, second = itertools.islice(batches(split, 4, seed=0)(0), 2)
    assert not np.shares_memory(first["x"], second["x"])
    assert not np.shares_memory(first["x"], split.x)


def test_a_batch_divides_by_the_processes():
    with pytest.raises(UserError, match="batch of 5 is not divisible by 2 processes"):
        batches(_split(10), 5, 0, process_count=2)


@pytest.mark.parametrize(
    ("split", "size", "says"),
    [
        (np.zeros((4, 8, 8, 1)), 2, "split is a value of type ndarray: give a dataset"),
        (
            Dataset(Info((), 0), _split(4), _split(2)),
            2,
            "value of type Dataset: give",
        ),
        (_split(4), 0, "batch_size is 0: give 1, 2"),
        (_split(4), 12.5, r"batch_size is 12\.5: give 1, 2"),
    ],
)
def test_only_a_split_makes_batches(split, size, says):
    with pytest.raises(UserError, match=says):
        batches(split, size, seed=0)
