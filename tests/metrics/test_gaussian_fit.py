"""Numbers of latent spaces compared with SciPy, brute force and known cases."""

import numpy as np
import pytest
from scipy import linalg
from scipy.spatial import distance

from gen_jax.metrics import gaussian_fit

RNG = np.random.default_rng(0)


def test_pairs_are_different_and_of_one_class_if_labels_are_given():
    i, j = gaussian_fit.pairs(None, 30, 100)
    assert len({(a, b) for a, b in zip(i, j, strict=True)}) == 100
    assert (i < j).all()
    y = np.arange(30) % 3
    i, j = gaussian_fit.pairs(y, 30, 1000)
    assert len(i) == 3 * 10 * 9 // 2  # all pairs
    assert (y[i] == y[j]).all()


def test_distances_are_those_of_brute_force():
    x, real = RNG.normal(size=(300, 4, 4, 1)), RNG.normal(size=(40, 4, 4, 1))
    residual = distance.cdist(x.reshape(300, -1), real.reshape(40, -1)) / 4
    np.testing.assert_allclose(
        gaussian_fit.nearest_rms(x, real), residual.min(1), rtol=1e-6
    )
    np.testing.assert_allclose(gaussian_fit.rms(x[:40], real), residual[:40].diagonal())


def test_the_interval_is_as_wide_as_the_mean_of_pairs_varies():
    """The mean of u_i + u_j over all pairs is twice the mean of u."""
    u = RNG.normal(size=100)
    i, j = np.triu_indices(100, 1)
    found = gaussian_fit.mean_and_interval(u[i] + u[j], i, j)
    np.testing.assert_allclose(found["mean"], 2 * u.mean())
    width = 2 * 1.96 * 2 * u.std() / np.sqrt(100)
    np.testing.assert_allclose(found["high"] - found["low"], width, rtol=0.15)
    assert found["low"] < found["mean"] < found["high"]


def test_the_distance_to_normal_is_a_frechet_distance():
    z = RNG.normal(size=(500, 5)) @ RNG.normal(size=(5, 5)) + 0.5
    mean, cov = z.mean(0), np.cov(z, rowvar=False)
    expected = mean @ mean + np.trace(cov + np.eye(5) - 2 * linalg.sqrtm(cov).real)
    np.testing.assert_allclose(gaussian_fit.distance_to_normal(z), expected)
    assert gaussian_fit.distance_to_normal(RNG.normal(size=(100_000, 5))) < 1e-3
    assert gaussian_fit.distance_to_normal(np.full((10, 1), 2.0)) == pytest.approx(5)


def test_a_probe_finds_a_linear_boundary_and_no_other():
    y = np.arange(200) % 2
    separable = RNG.normal(size=(200, 3)) + 10 * y[:, None]
    assert gaussian_fit.probe_accuracy(separable, y, separable, y) == 1
    noise = RNG.normal(size=(2000, 3))
    y = RNG.integers(0, 2, 2000)
    found = gaussian_fit.probe_accuracy(noise[:1000], y[:1000], noise[1000:], y[1000:])
    assert abs(found - 0.5) < 0.05
    y = np.where(np.arange(200) < 5, -1, np.arange(200) % 2)  # some have no label
    assert gaussian_fit.probe_accuracy(separable, y, separable, y) == 1


def test_principal_axes_are_those_of_the_largest_variance():
    z = RNG.normal(size=(1000, 3)) * [1, 10, 3] + 5
    centre, axes = gaussian_fit.principal_axes(z, 2)
    np.testing.assert_allclose(centre, z.mean(0))
    np.testing.assert_allclose(axes, [[0, 1, 0], [0, 0, 1]], atol=0.1)
    centre, axes = gaussian_fit.principal_axes(z[:, :2], 2)  # two axes stay as they are
    np.testing.assert_array_equal(centre, [0, 0])
    np.testing.assert_array_equal(axes, np.eye(2))
