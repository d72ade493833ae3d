"""Times drawn by their losses: unbiased, and more often at times with a large loss."""

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.diffusion import importance

T = 5
LOSS = np.array([1.0, 1.0, 2.0, 4.0, 8.0])


def _warm():
    history = importance.init(T)
    for _ in range(12):
        t = jnp.arange(1, T + 1)
        history = importance.remember(history, t, jnp.asarray(LOSS, jnp.float32))
    return history


def _draw(history, n=20_000):
    return importance.draw(history, jax.random.split(jax.random.key(0), n))


def test_times_are_uniform_until_all_have_been_seen():
    history = importance.init(T)
    history = importance.remember(history, jnp.full(100, 3), jnp.full(100, 9.0))
    t, weight = _draw(history)
    fraction = np.bincount(t, minlength=T + 1)[1:] / len(t)
    np.testing.assert_allclose(fraction, 0.2, atol=0.01)
    np.testing.assert_allclose(weight, 1)


def test_times_are_drawn_in_proportion_to_the_root_of_the_squared_loss():
    t, weight = _draw(_warm())
    p = 0.999 * LOSS / LOSS.sum() + 0.001 / T
    fraction = np.bincount(t, minlength=T + 1)[1:] / len(t)
    np.testing.assert_allclose(fraction, p, atol=0.01)
    np.testing.assert_allclose(weight, 1 / (T * p[np.asarray(t) - 1]), rtol=1e-5)
    # The weighted loss is the uniform mean, with hardly any variance.
    weighted = np.asarray(weight) * LOSS[np.asarray(t) - 1]
    np.testing.assert_allclose(weighted.mean(), LOSS.mean(), rtol=1e-2)
    assert weighted.std() < 0.05 * LOSS.std()


def test_the_running_mean_is_of_about_ten_losses():
    history = importance.init(1)
    for value in [1.0] * 50 + [3.0] * 10:
        history = importance.remember(history, jnp.array([1]), jnp.float32([value]))
    expected = 1.0
    for _ in range(10):
        expected += (9.0 - expected) / 10
    np.testing.assert_allclose(history["squared_loss"][1], expected, rtol=1e-5)
    assert history["count"][1] == 60
