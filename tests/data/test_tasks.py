"""Pairs made of images: the input is the image at a low resolution."""

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import DataConfig, Info, PairsConfig, batches, describe, load, tasks
from gen_jax.errors import UserError

RNG = np.random.default_rng(0)


def _images(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def _npz(folder, x):
    np.savez(folder / "data.npz", x=x, y=np.arange(len(x)) % 3)
    return f"npz:{folder / 'data.npz'}"


def test_low_resolution_is_the_mean_of_squares():
    images = _images(3, 4, 6, 3)
    out = tasks.low_resolution(images)
    assert (out.dtype, out.shape) == (np.uint8, images.shape)
    for b, i, j, c in np.ndindex(3, 4, 6, 3):
        top, left = i - i % 2, j - j % 2
        mean = images[b, top : top + 2, left : left + 2, c].mean()
        assert abs(out[b, i, j, c] - mean) <= 0.5


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_task_makes_pairs_of_any_images(tmp_path, channels):
    images = _images(20, 6, 8, channels)
    config = DataConfig(_npz(tmp_path, images), task="low_resolution")
    dataset, plain = load(config), load(DataConfig(config.spec))
    expected = Info((6, 8, channels), 0, (6, 8, channels))
    assert describe(config) == dataset.info == expected
    assert len(dataset.train) == len(plain.train)
    assert len(dataset.test) == len(plain.test)
    assert dataset.train.in_memory
    batch = next(batches(dataset.train, 5, seed=0)(2))
    labelled = next(batches(plain.train, 5, seed=0)(2))
    np.testing.assert_array_equal(batch["y"], labelled["x"])
    np.testing.assert_array_equal(batch["x"], tasks.low_resolution(labelled["x"]))
    assert (batch["x"].dtype, batch["x"].shape[1:]) == (np.uint8, expected.shape)


def test_a_task_uses_resized_and_streamed_images(tmp_path):
    for i in range(12):
        Image.fromarray(_images(20, 30, 3)).save(tmp_path / f"{i}.png")
    task = {"task": "low_resolution", "memory_gib": 0.0}
    dataset = load(DataConfig(f"folder:{tmp_path}", image_size=8, **task))
    assert dataset.info == Info((8, 8, 3), 0, (8, 8, 3))
    assert not dataset.train.in_memory
    batch = next(batches(dataset.train, 4, seed=0)(0))
    np.testing.assert_array_equal(batch["x"], tasks.low_resolution(batch["y"]))


def test_digits_have_a_low_resolution():
    dataset = load(DataConfig("digits", task="low_resolution"))
    assert dataset.info == Info((8, 8, 1), 0, (8, 8, 1))
    batch = dataset.test.read([0, 1])
    np.testing.assert_array_equal(batch["x"][:, ::2, ::2], batch["x"][:, 1::2, 1::2])


def _says(pattern, spec, config=DataConfig, **options):
    with pytest.raises(UserError, match=pattern) as error:
        describe(config(spec, **options))
    assert "\n" not in str(error.value)


def test_data_that_a_task_cannot_use_are_refused(tmp_path):
    low = {"task": "low_resolution"}
    _says("ring holds points, --config.data.task=low_resolution takes", "ring", **low)
    _says(
        "digits holds images of 9x9, .* takes even sides: set --config.data.image",
        "digits",
        image_size=9,
        **low,
    )
    _says("data.task is 'lowres'; allowed: '', low_resolution", "digits", task="lowres")


def test_a_direction_is_for_pairs_alone():
    _says(
        "data.direction is 'left'; allowed: a_to_b",
        "pairs:.",
        PairsConfig,
        direction="left",
    )
    _says(
        "options of PairsConfig do not apply to digits: use DataConfig",
        "digits",
        PairsConfig,
        direction="b_to_a",
    )


def test_a_task_leaves_pairs_as_they_are(tmp_path):
    for i in range(3):
        Image.fromarray(_images(4, 8, 3)).save(tmp_path / f"{i}.png")
    plain, asked = (
        load(DataConfig(f"pairs:{tmp_path}", task=task))
        for task in ("", "low_resolution")
    )
    assert plain.info == asked.info
    assert plain.left_out == ()
    assert asked.left_out == ("the task low_resolution: these data are pairs already",)
    for name in "xy":
        np.testing.assert_array_equal(
            *(data.train.read([0])[name] for data in (plain, asked))
        )
