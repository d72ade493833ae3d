"""Labels are dropped at their rate, and guidance is equation 6."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.errors import UserError
from gen_jax.game import Weights
from gen_jax.objectives.conditioning import drop_labels, guide
from gen_jax.objectives.flow import flow

KEYS = jax.random.split(jax.random.key(0), 10_000)


@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_labels_are_dropped_at_their_rate(rate):
    y = jnp.arange(10_000, dtype=jnp.int32)
    kept = np.asarray(drop_labels(y, KEYS, rate))
    dropped = kept == -1
    assert dropped.mean() == pytest.approx(rate, abs=4 * 0.5 / 100)
    np.testing.assert_array_equal(kept[~dropped], np.arange(10_000)[~dropped])
    alone = drop_labels(y[5:6], KEYS[5:6], rate)
    np.testing.assert_array_equal(alone, kept[5:6])


def test_guidance_is_equation_6():
    out, free = jnp.float32([[2.0, 5.0]]), jnp.float32([[1.0, 7.0]])
    np.testing.assert_allclose(guide(out, free, 3.0), [[2 + 3, 5 - 6]])


class ByLabel(nn.Module):
    """A constant velocity: 1 without a label, 2 + y with one."""

    def __call__(self, x, t, y, keys):
        u = jnp.where(y < 0, 1.0, 2.0 + y.astype(jnp.float32))
        return jnp.broadcast_to(u[:, None], x.shape)


def guided_flow(**options):
    options = {"num_classes": 3, **options}
    return flow(ByLabel(), shape=(2,), optimizer=optax.sgd(0.1), **options)


def test_a_flow_is_guided():
    """From t = 1 to 0 a constant velocity u takes x_1 to x_1 - u."""
    players, keys = {"model": Weights({})}, KEYS[:3]
    y = jnp.arange(3, dtype=jnp.int32)
    for game, options, w in (
        (guided_flow(), {}, 0.0),
        (guided_flow(guidance=0.5), {}, 0.5),
        (guided_flow(guidance=0.5), {"guidance": 2.0}, 2.0),
    ):
        u = 2 + np.arange(3) + w * (1 + np.arange(3))
        found = game.ops.sample(players, keys, y, **options)
        expected = game.ops.prior(players, keys) - u[:, None]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        said = game.ops.sampling_options(**options)
        assert said.get("guidance", 0.0) == w


def test_a_flow_drops_labels_in_training():
    """The loss is |eps - x_0 - u|^2, u = 1 for a dropped label and 4 for y = 2."""

    class Context:
        keys = KEYS

    batch = {"x": jnp.zeros((10_000, 2)), "y": jnp.full(10_000, 2, jnp.int32)}
    for rate in (0.0, 0.25, 1.0):
        model = guided_flow(label_dropout=rate).players["model"]
        value, _ = model.loss({"model": Weights({})}, batch, Context)
        expected = 1 + rate * 1 + (1 - rate) * 16  # E(eps - u)^2 = 1 + u^2
        assert float(value) == pytest.approx(expected, rel=0.05)


def test_guidance_without_classes_is_refused():
    with pytest.raises(UserError, match=r"guidance=0.5 needs classes, and this model"):
        guided_flow(num_classes=0, guidance=0.5)
