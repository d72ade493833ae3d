"""Draws by one key an example: distributions, and independence of the batch."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from gen_jax import randomness

KEYS = jax.random.split(jax.random.key(0), 4000)


def test_distributions():
    normal = np.asarray(randomness.normal(KEYS, (2,)))
    assert scipy.stats.kstest(normal.ravel(), "norm").pvalue > 0.01
    uniform = np.asarray(randomness.uniform(KEYS, (2,)))
    assert scipy.stats.kstest(uniform.ravel(), "uniform", (-1, 2)).pvalue > 0.01
    fraction = np.asarray(randomness.fraction(KEYS, (2,)))
    assert scipy.stats.kstest(fraction.ravel(), "uniform").pvalue > 0.01
    t = np.asarray(randomness.integers(KEYS, 1, 4))
    assert t.dtype == np.int32
    values, counts = np.unique(t, return_counts=True)
    np.testing.assert_array_equal(values, [1, 2, 3, 4])  # both ends included
    assert scipy.stats.chisquare(counts).pvalue > 0.01


def test_an_example_depends_on_its_own_key_alone():
    some = jnp.array([7, 3])
    for draw in (
        lambda keys: randomness.normal(keys, (2, 2)),
        lambda keys: jax.random.key_data(randomness.split(keys, 3)[2]),
    ):
        np.testing.assert_array_equal(draw(KEYS[:10])[some], draw(KEYS[some]))


def test_streams_differ():
    for streams in (
        randomness.split(KEYS[:3], 2),
        (randomness.fold_in(KEYS[:3], 0), randomness.fold_in(KEYS[:3], 1)),
    ):
        data = np.concatenate([jax.random.key_data(keys) for keys in streams])
        assert len(np.unique(data, axis=0)) == 6
