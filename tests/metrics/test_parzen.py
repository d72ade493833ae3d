"""The Parzen window: SciPy's Gaussians, closed forms and tiny widths."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gen_jax.errors import UserError
from gen_jax.metrics import parzen as module
from gen_jax.metrics.parzen import SIGMAS, log_likelihood, parzen


def images(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("block", [2**21, 40])  # 40 distances are two rows
def test_it_is_a_mixture_of_scipys_gaussians(block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    x, samples = images(0, 7, 2, 3, 1), images(1, 20, 2, 3, 1)
    unit_x, unit = ((a.astype(float).reshape(-1, 6) + 1) / 2 for a in (x, samples))
    density = np.mean(
        [multivariate_normal(s, 0.2**2).pdf(unit_x) for s in unit], axis=0
    )
    found = log_likelihood(x, samples, 0.2)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.log(density), rtol=1e-10)


def test_one_sample_in_closed_form():
    """Black under one white sample of 784 pixels: finite, though its density is 0."""
    x, sample = np.full((1, 28, 28, 1), -1.0), np.ones((1, 28, 28, 1))
    for sigma in (1.0, 0.01):
        volume = 392 * np.log(2 * np.pi * sigma**2)
        expected = -784 / (2 * sigma**2) - volume
        assert log_likelihood(x, sample, sigma) == pytest.approx([expected])
        assert log_likelihood(x, x, sigma) == pytest.approx([-volume])


def test_uint8_images_are_taken_in_0_to_1():
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1), np.uint8)
    samples = np.random.default_rng(1).integers(0, 256, (9, 4, 4, 1), np.uint8)
    as_float = [a.astype(np.float32) / 127.5 - 1 for a in (x, samples)]
    at_rest = log_likelihood(x, samples, 0.1)
    np.testing.assert_allclose(at_rest, log_likelihood(*as_float, 0.1), rtol=1e-6)


def test_the_width_is_chosen_on_validation_data():
    """Noise of deviation 0.2 about samples: 0.1 and 1 are too narrow and too wide."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-0.2, 0.2, (20, 30))
    noisy = [
        np.clip(np.repeat(centres, 10, 0) + 0.4 * rng.standard_normal((200, 30)), -1, 1)
        for _ in range(2)
    ]
    found = parzen(centres, *noisy)
    assert found.sigma == pytest.approx(10 ** (-6 / 9))  # the nearest of the ten to 0.2
    values = log_likelihood(noisy[1], centres, found.sigma)
    assert found.mean == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1) / 200**0.5)
    best = max(SIGMAS, key=lambda s: log_likelihood(noisy[0], centres, s).mean())
    assert found.sigma == best
    assert parzen(centres, *noisy, sigmas=[0.5]).sigma == 0.5


def test_the_papers_widths():
    np.testing.assert_allclose(SIGMAS, 10 ** (np.arange(10) / 9 - 1))


def test_bad_input_is_refused():
    x = images(0, 5, 4)
    for call, said in [
        (lambda: log_likelihood(x, x[:, :3], 1), r"\[5, 4\] with \[5, 3\]"),
        (lambda: log_likelihood(x, x[:0], 1), "no sampled images"),
        (
            lambda: log_likelihood(x, 3 * x, 1),
            r"sampled images must lie in \[-1, 1\], not",
        ),
        (
            lambda: log_likelihood(x / 0, x, 1),
            r"held-out images must lie in \[-1, 1\], not",
        ),
        (lambda: log_likelihood(x, x.astype(int), 1), "not int64"),
        (lambda: log_likelihood(x, x, 0), "width is above 0"),
        (lambda: log_likelihood(x, x, np.nan), "width is above 0"),
        (lambda: parzen(x, x, x[:1]), "two test images, not 1"),
        (lambda: parzen(x, x, x, []), "no sigma can be chosen"),
    ]:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            call()
