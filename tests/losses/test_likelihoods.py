"""Every likelihood at extreme and at ordinary outputs of a decoder."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gen_jax.errors import UserError
from gen_jax.losses import likelihoods, terms

X = jnp.array([[[[-1.0], [1 / 255]], [[0.5019608], [1.0]]]])  # of 256 levels
LIKELIHOODS = {
    "bernoulli": likelihoods.bernoulli(),
    "gaussian": likelihoods.gaussian(0.1),
    "discretised_logistic": likelihoods.discretised_logistic(),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_values_and_slopes_are_finite_for_extreme_decoder_outputs(name):
    likelihood = LIKELIHOODS[name]
    extreme = (-1e4, -90.0, 0.0, 90.0, 1e4)
    rows = np.stack(np.meshgrid(*[extreme] * likelihood.channels), -1)
    rows = rows.reshape(-1, 1, 1, 1, likelihood.channels)
    out = jnp.float32(np.broadcast_to(rows, (len(rows), *X.shape[:-1], rows.shape[-1])))
    total = jax.value_and_grad(lambda out: likelihood.log_prob(X, out).sum())
    value, slope = jax.vmap(total)(out)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert np.isfinite(likelihood.mean(out)).all()


def test_a_logistic_that_is_too_wide_is_led_back():
    """log p of a bin falls by 1 with each log scale, however wide it has become."""
    likelihood = LIKELIHOODS["discretised_logistic"]

    def log_p(log_scale):
        out = jnp.stack([jnp.zeros(2), jnp.full(2, log_scale)], -1)
        return likelihood.log_prob(X[0, :1, 1:].repeat(2, 1)[0], out).mean()

    for log_scale in (6.0, 20.0, 1e4):
        np.testing.assert_allclose(jax.grad(log_p)(log_scale), -1, rtol=1e-3)
    assert jax.grad(log_p)(-6.0) == 0  # kept above a tenth of a bin


def test_the_gaussians_scale_is_given():
    x, mean = jnp.array([[0.3]]), jnp.array([[-0.1]])
    found = likelihoods.gaussian(0.2).log_prob(x, mean)
    np.testing.assert_allclose(found, scipy.stats.norm.logpdf(0.3, -0.1, 0.2), 1e-5)
    with pytest.raises(UserError, match="above 0"):
        likelihoods.gaussian(0.0)


def test_the_discretised_logistic_is_a_probability_of_grey_levels():
    p_x = likelihoods.discretised_logistic()
    levels = jnp.arange(256, dtype=jnp.float32)[:, None] / 127.5 - 1
    out = jnp.broadcast_to(jnp.float32([[0.3, -1.0]]), (256, 2))
    log_p = p_x.log_prob(levels, out)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, rtol=1e-5)
    expected = terms.discretised_logistic_log_likelihood(
        levels, jnp.full((256, 1), 0.3), jnp.full((256, 1), -3.0)
    )
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)
    assert p_x.channels == 2
    np.testing.assert_allclose(p_x.mean(out)[0], [0.3], rtol=1e-6)
