"""Pairs made of images: low resolution, edges, grey and holes."""

import itertools

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import DataConfig, Info, PairsConfig, batches, describe, load, tasks
from gen_jax.errors import UserError

RNG = np.random.default_rng(0)
TASKS = ("low_resolution", "edges", "grey", "holes")


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


def test_grey_equals_pillows():
    images = _images(2, 5, 7, 3)
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in images]
    np.testing.assert_array_equal(tasks.grey(images)[..., 0], expected)


def test_edges_are_sobels():
    kernel = np.outer([-1, 0, 1], [1, 2, 1])
    images = _images(2, 6, 5, 1) // 4
    out = tasks.edges(images)
    assert (out.dtype, out.shape) == (np.uint8, images.shape)
    for image, lines in zip(images[..., 0].astype(float), out[..., 0], strict=True):
        wide = np.pad(image, 1, "edge")
        for i, j in np.ndindex(image.shape):
            down = (kernel * wide[i : i + 3, j : j + 3]).sum()
            across = (kernel.T * wide[i : i + 3, j : j + 3]).sum()
            expected = 255 - min(np.hypot(down, across) / 2, 255)
            assert abs(lines[i, j] - expected) < 0.51
    flat = np.full((1, 4, 4, 3), 7, np.uint8)
    np.testing.assert_array_equal(tasks.edges(flat), 255)
    flat[:, :, 2:] = 200
    step = tasks.edges(flat)[0, ..., 0]
    np.testing.assert_array_equal(step, [[255, 0, 0, 255]] * 4)


def test_a_hole_depends_on_its_own_image_alone():
    images = _images(200, 6, 9, 3)
    images[images == 128] = 129
    out = tasks.holes(images)
    hole = (out == 128).all(-1)
    np.testing.assert_array_equal(out[~hole], images[~hole])
    places = set()
    for mask in hole:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == 9
        assert (np.ptp(rows), np.ptp(columns)) == (2, 2)
        places.add((rows[0], columns[0]))
    assert places == set(itertools.product(range(4), range(7)))
    np.testing.assert_array_equal(tasks.holes(images[7:8]), out[7:8])
    np.testing.assert_array_equal(tasks.holes(images[::-1]), out[::-1])


@pytest.mark.parametrize("task", TASKS)
def test_a_task_makes_pairs_of_any_images(tmp_path, task):
    images = _images(20, 6, 8, 3)
    config = DataConfig(_npz(tmp_path, images), task=task)
    dataset, plain = load(config), load(DataConfig(config.spec))
    channels = 1 if task in ("edges", "grey") else 3
    expected = Info((6, 8, channels), 0, (6, 8, 3))
    assert describe(config) == dataset.info == expected
    assert len(dataset.train) == len(plain.train)
    assert len(dataset.test) == len(plain.test)
    assert dataset.train.in_memory
    batch = next(batches(dataset.train, 5, seed=0)(2))
    labelled = next(batches(plain.train, 5, seed=0)(2))
    np.testing.assert_array_equal(batch["y"], labelled["x"])
    np.testing.assert_array_equal(batch["x"], getattr(tasks, task)(labelled["x"]))
    assert (batch["x"].dtype, batch["x"].shape[1:]) == (np.uint8, expected.shape)


def test_a_task_uses_resized_and_streamed_images(tmp_path):
    for i in range(12):
        Image.fromarray(_images(20, 30, 3)).save(tmp_path / f"{i}.png")
    config = DataConfig(f"folder:{tmp_path}", image_size=8, task="grey", memory_gib=0.0)
    dataset = load(config)
    assert dataset.info == Info((8, 8, 1), 0, (8, 8, 3))
    assert not dataset.train.in_memory
    batch = next(batches(dataset.train, 4, seed=0)(0))
    np.testing.assert_array_equal(batch["x"], tasks.grey(batch["y"]))


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
    for task in TASKS:
        _says(f"ring holds points, --config.data.task={task} takes", "ring", task=task)
    _says("1 channels, --config.data.task=grey takes 3", "digits", task="grey")
    _says(
        "digits holds images of 9x9, .* takes even sides: set --config.data.image",
        "digits",
        image_size=9,
        task="low_resolution",
    )
    _says(
        "1x1, too small for --config.data.task=holes: it needs sides of at least 2",
        "digits",
        image_size=1,
        task="holes",
    )
    _says(
        "2 channels, .*edges takes 1 or 3",
        _npz(tmp_path, _images(9, 4, 4, 2)),
        task="edges",
    )
    _says("data.task is 'egdes'; allowed: '', low_resolution", "digits", task="egdes")


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
        load(DataConfig(f"pairs:{tmp_path}", task=task)) for task in ("", "grey")
    )
    assert plain.info == asked.info
    assert plain.left_out == ()
    assert asked.left_out == ("the task grey: these data are pairs already",)
    for name in "xy":
        np.testing.assert_array_equal(
            *(data.train.read([0])[name] for data in (plain, asked))
        )
