"""Batches of few shapes give what one call would."""

import numpy as np
import pytest

from gen_jax.sampling import call, in_batches


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [1]), (3, [4]), (4, [4]), (8, [8]), (9, [8, 8]), (24, [8, 8, 8])],
)
def test_in_batches(count, sizes):
    x, y = np.arange(2 * count).reshape(count, 2), np.arange(count)
    met = []

    def function(x, y):
        met.append(len(x))
        return x + y[:, None]

    np.testing.assert_array_equal(
        in_batches(function, x, y, batch_size=8), x + y[:, None]
    )
    assert met == sizes


def test_results_may_be_trees():
    x = np.arange(5, dtype=np.float32)
    found = in_batches(lambda x: {"a": x, "b": (x[:, None],)}, x, batch_size=2)
    np.testing.assert_array_equal(found["a"], x)
    np.testing.assert_array_equal(found["b"][0], x[:, None])


def test_an_op_is_compiled_once_for_all_weights():
    traced = []

    def op(players, x, scale):
        traced.append(scale)
        return scale * players["model"] * x

    x = np.arange(3, dtype=np.float32)
    for scale in (2, 2, 3):
        for weight in (1.0, 5.0):
            found = call(op, {"model": np.float32(weight)}, {"x": x}, scale=scale)
            np.testing.assert_array_equal(found, scale * weight * x)
    assert traced == [2, 3]
