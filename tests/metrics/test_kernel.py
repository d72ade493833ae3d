"""The kernel distance: compared with brute force, unbiased, and over subsets."""

import itertools

import numpy as np
import pytest

from gen_jax.errors import UserError
from gen_jax.metrics.kernel import kernel_distance, squared_mmd


def brute_force(x, y):
    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def among(s):
        return np.mean([k(a, b) for a, b in itertools.permutations(s, 2)])

    return among(x) + among(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def drawn(seed, count, mean=0.0):
    return mean + np.random.default_rng(seed).standard_normal((count, 3))


def test_by_brute_force():
    x, y = drawn(0, 6).astype(np.float32), drawn(1, 9, 0.5).astype(np.float32)
    expected = brute_force(x.astype(float), y.astype(float))
    assert squared_mmd(x, y) == pytest.approx(expected, rel=1e-12)
    assert squared_mmd(y, x) == pytest.approx(expected, rel=1e-12)


def test_in_closed_form():
    """Between vectors of ones k is 8, and with zeros it is 1."""
    ones, zeros = np.ones((5, 4), np.uint8), np.zeros((7, 4), np.uint8)
    assert squared_mmd(ones, zeros) == 8 + 1 - 2
    assert kernel_distance(ones, zeros, subsets=3) == (7, 0)


def test_it_is_unbiased():
    """For sets of two and three. With k(x, x) included the mean would be 9."""
    alike = [squared_mmd(drawn(2 * i, 2), drawn(2 * i + 1, 3)) for i in range(4000)]
    error = np.std(alike) / len(alike) ** 0.5
    assert abs(np.mean(alike)) < 3 * error < 0.3
    # In one dimension E (xy + 1)^3 = m_3^2 + 3 m_2^2 + 3 m_1^2 + 1 for moments m. The
    # squared distance is this sum for the differences of moments of N(1, 1), N(0, 1).
    different = [
        squared_mmd(drawn(2 * i, 5, 1)[:, :1], drawn(2 * i + 1, 5)[:, :1])
        for i in range(4000)
    ]
    error = np.std(different) / len(different) ** 0.5
    assert np.mean(different) == pytest.approx(4**2 + 3 * 1 + 3 * 1, abs=3 * error)


def test_subsets_depend_on_the_seed():
    real, samples = drawn(0, 50), drawn(1, 40, 0.5)
    options = {"subsets": 30, "size": 20}
    mean, deviation = kernel_distance(real, samples, **options)
    assert kernel_distance(real, samples, **options) == (mean, deviation)
    assert kernel_distance(real, samples, **options, seed=1) != (mean, deviation)
    whole = squared_mmd(real, samples)
    assert mean == pytest.approx(whole, abs=4 * deviation / 30**0.5)
    assert deviation > 0


def test_a_subset_as_large_as_the_set_is_the_set():
    """A subset has no example twice."""
    real, samples = drawn(0, 30), drawn(1, 30, 0.5)
    mean, deviation = kernel_distance(real, samples, subsets=4)
    assert mean == pytest.approx(squared_mmd(real, samples), rel=1e-12)
    assert deviation < 1e-12


def test_bad_input_is_refused():
    x = drawn(0, 5)
    for call, said in [
        (lambda: kernel_distance(x, x[:, :2]), r"\[5, 3\] with \[5, 2\]"),
        (lambda: kernel_distance(x, x[:0]), r"\[0, 3\]"),
        (lambda: kernel_distance(x, x[:1]), "1 real and 1 sampled"),
        (lambda: kernel_distance(x, x, subsets=0), "0 of 1000"),
        (lambda: kernel_distance(x, x, size=1), "100 of 1"),
        (lambda: squared_mmd(x[:1], x), "1 real and 5 sampled"),
        (lambda: squared_mmd(x, x / 0), "sampled images contain NaN or infinity"),
    ]:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            call()
