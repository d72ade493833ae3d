"""What happens to a batch on the device."""

import jax
import numpy as np
import pytest

from gen_jax.data.prepare import prepare
from gen_jax.errors import UserError
from gen_jax.step import example_keys


def _keys(count):
    return example_keys(jax.random.key(0), np.arange(count))


def _batch(count):
    x = np.random.default_rng(0).integers(0, 256, (count, 3, 4, 1), np.uint8)
    x[0, 0, :2, 0] = [0, 255]
    return {"x": x, "y": np.arange(count, dtype=np.int32)}


def test_pixels_become_numbers_from_minus_one_to_one():
    batch = _batch(5)
    out = prepare()(batch, _keys(5))
    assert out["x"].dtype == np.float32
    np.testing.assert_allclose(out["x"], batch["x"] / np.float64(127.5) - 1, atol=1e-7)
    np.testing.assert_array_equal(out["x"][0, 0, :2, 0], [-1, 1])
    np.testing.assert_array_equal(out["y"], batch["y"])


def test_points_pass_as_they_are():
    x = np.float32([[0.5, -2.0]])
    np.testing.assert_array_equal(prepare()({"x": x}, _keys(1))["x"], x)
    with pytest.raises(UserError, match="points"):
        prepare(flip=True)({"x": x}, _keys(1))


def test_half_of_the_images_are_mirrored_each_by_its_own_key():
    batch, keys = _batch(400), _keys(400)
    plain = np.asarray(prepare()(batch, keys)["x"])
    out = np.asarray(jax.jit(prepare(flip=True))(batch, keys)["x"])
    # Jitted and not, rounding may differ in the last place.
    mirrored = np.isclose(out, plain[:, :, ::-1], atol=1e-6).all((1, 2, 3))
    kept = np.isclose(out, plain, atol=1e-6).all((1, 2, 3))
    assert (mirrored | kept).all()
    assert 150 < mirrored.sum() < 250  # five standard deviations
    alone = prepare(flip=True)({"x": batch["x"][7:9]}, keys[7:9])["x"]
    np.testing.assert_allclose(alone, out[7:9], atol=1e-6)
