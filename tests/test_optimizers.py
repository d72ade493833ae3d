"""SGD of 2014 against its recursion in plain Python."""

import jax.numpy as jnp
import numpy as np

from gen_jax.optimizers import sgd_of_2014


def test_rate_falls_momentum_rises():
    optimizer = sgd_of_2014(0.1, decay=1.5, momentum=(0.5, 0.7), momentum_steps=4)
    params, w, m = jnp.float32(1.0), 1.0, 0.0
    state = optimizer.init(params)
    for count in range(8):
        gradient = 2 * w
        updates, state = optimizer.update(jnp.float32(gradient), state, params)
        mu = 0.5 + 0.2 * min(count, 4) / 4
        m = mu * m - max(0.1 / 1.5**count, 1e-6) * gradient
        w += m
        params += updates
        np.testing.assert_allclose(params, w, rtol=1e-4)


def test_the_rate_has_a_minimum():
    optimizer = sgd_of_2014(0.1, decay=1e9, momentum=(0.0, 0.0), momentum_steps=1)
    state = optimizer.init(jnp.float32(0.0))
    for _ in range(3):
        updates, state = optimizer.update(jnp.float32(1.0), state)
    np.testing.assert_allclose(updates, -1e-6, rtol=1e-5)
