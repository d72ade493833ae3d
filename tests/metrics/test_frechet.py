"""The Fréchet distance in closed form, and compared with SciPy's matrix root."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from gen_jax.errors import UserError
from gen_jax.metrics.frechet import (
    Moments,
    covariance,
    frechet_distance,
    moments,
)


def gaussian(mean, covariance, count=1000):
    """The moments of a set that has exactly this mean and covariance."""
    scatter = (count - 1) * np.array(covariance, float)
    return Moments(count, np.array(mean, float), scatter)


def drawn(seed, count=60, size=8):
    """Correlated features [count, size], float32."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, size)) @ rng.standard_normal((size, size))
    return (x + rng.standard_normal(size)).astype(np.float32)


def by_sqrtm(a, b):
    """The formula of the module docstring, for features."""
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    gap = a.mean(0) - b.mean(0)
    root = sqrtm(first @ second).real
    return gap @ gap + np.trace(first + second - 2 * root)


def test_moments_equal_those_of_numpy():
    x = drawn(0)
    found = moments(x)
    assert found.number == 60
    assert found.mean.dtype == found.scatter.dtype == np.float64
    x = x.astype(np.float64)
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance(found), np.cov(x, rowvar=False), rtol=1e-12)


def test_arrays_of_jax_are_summed_in_float64():
    ours, theirs = moments(drawn(0)), moments(jnp.asarray(drawn(0)))
    np.testing.assert_array_equal(ours.scatter, theirs.scatter)


def test_a_large_mean_costs_no_digits():
    """Sums of squares would lose a deviation of 1 next to a mean of 1e8."""
    x = np.random.default_rng(0).standard_normal((1000, 3))
    far = moments(x + 1e8)
    np.testing.assert_allclose(covariance(far), np.cov(x, rowvar=False), atol=1e-6)


def test_gaussians_in_closed_form():
    # In one dimension the distance is (m_1 - m_2)^2 + (s_1 - s_2)^2.
    one = gaussian([1], [[4]])
    assert frechet_distance(one, gaussian([3], [[25]])) == pytest.approx(4 + 9)
    # For covariances with the same axes it is the sum over the axes.
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    first = gaussian([0, 0, 0], turn @ np.diag([1, 4, 9]) @ turn.T)
    second = gaussian([1, 2, 3], turn @ np.diag([16, 4, 0]) @ turn.T)
    expected = 14 + (9 + 0 + 9)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-14)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-14)
    # Covariances with different axes have a product that is not symmetric. The trace
    # of the root of a 2x2 matrix is sqrt(tr + 2 sqrt(det)).
    a, b = np.array([[2.0, 1], [1, 2]]), np.array([[3.0, -1], [-1, 1]])
    product = a @ b
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    distance = frechet_distance(gaussian([0, 0], a), gaussian([0, 0], b))
    assert distance == pytest.approx(np.trace(a + b) - 2 * root, rel=1e-14)


@pytest.mark.parametrize("size", [1, 8, 50])
def test_it_equals_the_formula_with_scipys_root(size):
    a, b = drawn(0, size=size), drawn(1, 55, size)
    distance = frechet_distance(moments(a), moments(b))
    expected = by_sqrtm(a.astype(float), b.astype(float))
    assert distance == pytest.approx(float(expected), rel=1e-9)


def test_singular_covariances():
    """A feature that is always 0, and one that repeats another."""
    a, b = drawn(0), drawn(1)
    least = frechet_distance(moments(a), moments(b))
    zeros = np.zeros((60, 5), np.float32)
    with_zeros = [moments(np.concatenate([x, zeros], 1)) for x in (a, b)]
    assert frechet_distance(*with_zeros) == pytest.approx(least, rel=1e-12)
    # If features are repeated, lengths grow by sqrt(2) and squared lengths by 2.
    twice = [moments(np.concatenate([x, x], 1)) for x in (a, b)]
    assert frechet_distance(*twice) == pytest.approx(2 * least, rel=1e-12)
    # For constant features only the means differ.
    ones = moments(np.ones((60, 5))), moments(3 * np.ones((60, 5)))
    assert frechet_distance(*ones) == 20


def test_equal_sets_are_at_zero():
    a = moments(drawn(0))
    assert 0 <= frechet_distance(a, a) < 1e-12 * np.trace(covariance(a))


def test_samples_of_gaussians_reach_the_distance_of_the_gaussians():
    """Large sets from known Gaussians are as far apart as the Gaussians."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50_000, 4))
    b = 1 + 3 * rng.standard_normal((50_000, 4))
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(20, rel=0.02)


def test_bad_input_is_refused():
    x = drawn(0)
    fine = moments(x)
    for call, said in [
        (lambda: moments(x[0]), r"\[N, D\] of one D, not \[8\]"),
        (lambda: moments(x[:0]), r"not \[0, 8\]"),
        (lambda: moments(x / 0), "contain NaN or infinity"),
        (lambda: moments(x.astype(complex)), "real numbers, not complex128"),
        (lambda: frechet_distance(fine, moments(x[:, :3])), "of 8 and 3"),
        (lambda: frechet_distance(fine, moments(x[:8])), "more than 8 .* not 60 and 8"),
        (lambda: frechet_distance(moments(x[:1]), fine), "not 1 and 60"),
        (lambda: covariance(moments(x[:1])), "at least two examples, not 1"),
        (lambda: frechet_distance(fine, fine._replace(mean=x[0] / 0)), "all finite"),
    ]:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            call()
    assert frechet_distance(fine, moments(x[:9])) > 0  # the minimum number
