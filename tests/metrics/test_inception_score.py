"""The Inception score in closed cases, and compared with SciPy's entropies."""

import numpy as np
import pytest
from scipy.stats import entropy

from gen_jax.errors import UserError
from gen_jax.metrics.inception_score import inception_scores


def test_closed_cases():
    sure = np.tile(np.eye(4, dtype=np.float32), (10, 1))
    assert inception_scores(sure) == pytest.approx([4] * 10)
    assert inception_scores(np.full((40, 4), 0.25)) == pytest.approx([1] * 10)
    assert inception_scores(sure[::4]) == pytest.approx([1] * 10)
    # Sorted by class, each part has one class.
    ordered = np.repeat(np.eye(4), 10, axis=0)
    assert inception_scores(ordered, 4) == pytest.approx([1] * 4)
    assert inception_scores(ordered, 1) == pytest.approx([4])


@pytest.mark.parametrize("splits", [1, 3, 10])
def test_it_is_the_exponential_of_the_mutual_information(splits):
    """The information is the entropy of the mean minus the mean of entropies."""
    p = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 47).astype(np.float32)
    parts = [p[i * 47 // splits : (i + 1) * 47 // splits] for i in range(splits)]
    expected = [
        np.exp(entropy(part.mean(0)) - entropy(part, axis=1).mean()) for part in parts
    ]
    assert inception_scores(p, splits) == pytest.approx(expected, rel=1e-6)


def test_bad_input_is_refused():
    p = np.full((20, 4), 0.25)
    for call, said in [
        (lambda: inception_scores(p[0]), r"\[N, D\]"),
        (lambda: inception_scores(2 * p), "of sum 1"),
        (lambda: inception_scores(p + np.array([1, -1, 0, 0])), "of sum 1"),
        (lambda: inception_scores(p * np.nan), "contain NaN or infinity"),
        (lambda: inception_scores(p, 21), "21 parts of 20"),
        (lambda: inception_scores(p, 0), "0 parts"),
    ]:
        with pytest.raises(UserError, match=said):
            call()
