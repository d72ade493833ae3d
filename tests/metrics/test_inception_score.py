"""The Inception score in closed cases, and beside SciPy's entropies."""

import numpy as np
import pytest
from scipy.stats import entropy

from gen_jax.errors import UserError
from gen_jax.metrics.inception_score import inception_score


def test_closed_cases():
    sure = np.tile(np.eye(4, dtype=np.float32), (10, 1))
    assert inception_score(sure) == pytest.approx((4, 0))
    assert inception_score(np.full((40, 4), 0.25)) == pytest.approx((1, 0))
    assert inception_score(sure[::4]) == pytest.approx((1, 0))
    # In the order of their classes each part is of one class.
    assert inception_score(np.repeat(np.eye(4), 10, axis=0), 4) == pytest.approx((1, 0))
    assert inception_score(np.repeat(np.eye(4), 10, axis=0), 1) == pytest.approx((4, 0))


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_it_is_the_exponent_of_information(splits):
    """Of the entropy of the mean, less the mean of entropies."""
    p = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 47).astype(np.float32)
    parts = [p[i * 47 // splits : (i + 1) * 47 // splits] for i in range(splits)]
    expected = [
        np.exp(entropy(part.mean(0)) - entropy(part, axis=1).mean()) for part in parts
    ]
    mean, deviation = inception_score(p, splits)
    assert mean == pytest.approx(np.mean(expected), rel=1e-6)
    assert deviation == pytest.approx(np.std(expected), rel=1e-5, abs=1e-12)


def test_bad_input_is_refused():
    p = np.full((20, 4), 0.25)
    for call, said in [
        (lambda: inception_score(p[0]), r"\[N, D\]"),
        (lambda: inception_score(2 * p), "of sum 1"),
        (lambda: inception_score(p + np.array([1, -1, 0, 0])), "of sum 1"),
        (lambda: inception_score(p * np.nan), "not all finite"),
        (lambda: inception_score(p, 21), "21 parts of 20"),
        (lambda: inception_score(p, 0), "0 parts"),
    ]:
        with pytest.raises(UserError, match=said):
            call()
