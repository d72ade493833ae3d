"""Densities against SciPy's, integrals on a grid, autodiff and solved equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from experiments.studies.truth import densities
from gen_jax import data, images
from gen_jax.errors import UserError


def skewed() -> densities.Mixture:
    """Three correlated parts in three dimensions."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((3, 3, 3))
    covariances = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(3)
    means = rng.standard_normal((3, 3))
    return densities.mixture(np.array([0.2, 0.3, 0.5]), means, covariances)


def covariances(p: densities.Mixture) -> list[np.ndarray]:
    return [a * v @ a.T for a, v in zip(p.axes, p.variances, strict=True)]


def parts(p: densities.Mixture):
    return zip(p.weights, p.means, covariances(p), strict=True)


def test_the_density_is_scipys():
    p, x = skewed(), np.random.default_rng(1).standard_normal((50, 3))
    expected = sum(w * multivariate_normal(m, c).pdf(x) for w, m, c in parts(p))
    np.testing.assert_allclose(densities.log_density(p, x), np.log(expected))
    far = densities.log_density(p, np.full((1, 3), 1e4))  # where every pdf is 0
    assert np.isfinite(far).all()


def test_the_score_is_its_gradient():
    p, x = skewed(), np.random.default_rng(1).standard_normal((50, 3))

    def log_p(x):
        return densities.log_density(p, x[None])[0]

    expected = jax.vmap(jax.grad(log_p))(jnp.float32(x))
    np.testing.assert_allclose(densities.score(p, x), expected, rtol=1e-3, atol=1e-4)
    of_jax = densities.score(p, jnp.float32(x))
    assert of_jax.dtype == jnp.float32
    np.testing.assert_allclose(of_jax, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("p", [densities.ring(5, 0.1), densities.grid(2, 0.2)])
def test_it_integrates_to_1(p):
    line = np.linspace(-2, 2, 401)
    x = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    log_p = densities.log_density(p, x)
    assert np.exp(log_p).sum() * 0.01**2 == pytest.approx(1)


def test_draws_have_the_moments_also_when_diffused():
    p, rng = skewed(), np.random.default_rng(2)
    mean, covariance = densities.moments(p)
    x = densities.sample(p, 100_000, rng)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.08)
    mean_t, covariance_t = densities.moments(densities.diffused(p, 0.3))
    np.testing.assert_allclose(mean_t, 0.3**0.5 * mean)
    np.testing.assert_allclose(covariance_t, 0.3 * covariance + 0.7 * np.eye(3))


def test_the_posterior_solves_the_joint_gaussian():
    """Of (z, x) jointly normal: the mean of z given x is S_zx S_xx^-1 (x - mean)."""
    model = densities.linear_gaussian(side=3, z_dim=2, scale=0.2)
    x = densities.sample(densities.marginal(model), 5, np.random.default_rng(0))
    of_x = densities.moments(densities.marginal(model))[1]
    gain = np.linalg.solve(of_x, model.weights).T
    mean, covariance = densities.posterior(model, x)
    np.testing.assert_allclose(mean, (x - model.mean) @ gain.T)
    np.testing.assert_allclose(covariance, np.eye(2) - gain @ model.weights, atol=1e-12)


def test_the_mixture_of_digits_draws_digits():
    p = densities.digits_mixture(parts=3, contrast=0.3)
    train = data.load(data.DataConfig("digits")).train
    x = images.from_uint8(train.read(range(len(train)))["x"]).reshape(-1, 64)
    np.testing.assert_allclose(densities.moments(p)[0], 0.3 * x.mean(0), atol=1e-3)
    assert abs(densities.sample(p, 1000, np.random.default_rng(0))).max() < 1


def test_points_of_another_dimension_are_refused():
    with pytest.raises(UserError, match=r"2 dimensions .* \[4, 3\]"):
        densities.log_density(densities.ring(), np.zeros((4, 3)))
