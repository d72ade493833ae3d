"""The preparation of a batch on the device."""

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


def _pairs(count, same=False):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (count, 4, 6, 3), np.uint8)
    y = x if same else rng.integers(0, 256, (count, 4, 6, 1), np.uint8)
    return {"x": x, "y": y}


CHANGES = [{"flip": True}, {"jitter": 2}, {"flip": True, "jitter": 3}]


def test_both_sides_of_a_pair_become_numbers():
    batch = _pairs(3)
    out = prepare()(batch, _keys(3))
    for side in "xy":
        assert out[side].dtype == np.float32
        np.testing.assert_allclose(
            out[side], batch[side] / np.float64(127.5) - 1, atol=1e-7
        )


@pytest.mark.parametrize("changes", CHANGES)
def test_both_sides_of_a_pair_change_alike(changes):
    batch = _pairs(64, same=True)
    out = jax.jit(prepare(**changes))(batch, _keys(64))
    np.testing.assert_array_equal(out["x"], out["y"])
    # Other channels, same change: a side of one channel is the first of three.
    batch["y"] = batch["x"][..., :1]
    out = jax.jit(prepare(**changes))(batch, _keys(64))
    np.testing.assert_allclose(out["x"][..., :1], out["y"], atol=1e-6)


@pytest.mark.parametrize("changes", CHANGES)
def test_an_example_changes_by_its_own_key_alone(changes):
    batch, keys = _pairs(16), _keys(16)
    changed = jax.jit(prepare(**changes))
    out = changed(batch, keys)
    order = np.random.default_rng(2).permutation(16)
    shuffled = changed({k: v[order] for k, v in batch.items()}, keys[order])
    other = changed({k: v[::-1] for k, v in batch.items()}, keys)
    for side in "xy":
        np.testing.assert_array_equal(shuffled[side], out[side][order])
        alone = prepare(**changes)({k: v[5:6] for k, v in batch.items()}, keys[5:6])
        np.testing.assert_allclose(alone[side], out[side][5:6], atol=1e-6)
        assert not np.array_equal(other[side], out[side][::-1])


def _enlarged(image, height, width):
    """Bilinear, pixels being squares: float [height, width, C], pixel by pixel."""
    rows, columns, channels = image.shape
    out = np.zeros((height, width, channels))
    for i, j in np.ndindex(height, width):
        y = np.clip((i + 0.5) * rows / height - 0.5, 0, rows - 1)
        x = np.clip((j + 0.5) * columns / width - 0.5, 0, columns - 1)
        for k, m in np.ndindex(rows, columns):
            weight = max(0, 1 - abs(y - k)) * max(0, 1 - abs(x - m))
            out[i, j] += weight * image[k, m]
    return out


def test_jitter_cuts_an_enlarged_image_at_every_place():
    image = np.random.default_rng(3).integers(0, 256, (4, 6, 1), np.uint8)
    batch = {"x": np.repeat(image[None], 200, 0), "y": np.arange(200, dtype=np.int32)}
    out = jax.jit(prepare(jitter=2))(batch, _keys(200))
    np.testing.assert_array_equal(out["y"], batch["y"])
    larger = _enlarged(image / 127.5 - 1, 6, 8)
    cuts = [larger[i : i + 4, j : j + 6] for i in range(3) for j in range(3)]
    distance = np.abs(np.asarray(out["x"])[:, None] - np.stack(cuts)).max((2, 3, 4))
    assert distance.min(1).max() < 1e-5
    times = np.bincount(distance.argmin(1), minlength=9)
    assert (times > 5).all()  # 22 expected, 4 standard deviations


def test_an_invalid_jitter_is_refused():
    with pytest.raises(UserError, match="jitter is -1 pixels; allowed: 0 or more"):
        prepare(jitter=-1)
    with pytest.raises(UserError, match=r"jitter is for images; .* are points"):
        prepare(jitter=2)({"x": np.float32([[0.5, -2.0]])}, _keys(1))
