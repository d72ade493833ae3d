import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from gen_jax import devices


def init(rng, batch):
    return nn.Dense(300).init(rng, batch["x"])


def test_init_weights_draws_what_init_draws_for_any_batch_of_the_shape():
    key = jax.random.key(0)
    x = np.ones((4, 50), np.float32)
    eager = init(key, {"x": x})["params"]["kernel"]
    expected = devices.init_weights(init, key, {"x": x})["params"]["kernel"]
    np.testing.assert_allclose(expected, eager, atol=1e-6)
    abstract = {"x": jax.ShapeDtypeStruct((4, 50), jnp.float32)}
    for batch in ({"x": np.full_like(x, np.nan)}, abstract):
        weights = devices.init_weights(init, key, batch)["params"]
        np.testing.assert_array_equal(weights["kernel"], expected)
        np.testing.assert_array_equal(weights["bias"], 0)
