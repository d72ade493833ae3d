"""Folders of pictures, good and damaged, in memory and streamed."""

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import DataConfig, Info, batches, describe, fingerprint, load
from gen_jax.errors import UserError

RNG = np.random.default_rng(0)


def _save(path, height=6, width=6, mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    pixels = RNG.integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def _config(folder, **options):
    return DataConfig(f"folder:{folder}", **options)


def _by_content(dataset):
    parts = [split.read(range(len(split))) for split in (dataset.train, dataset.test)]
    return {
        x.tobytes(): y for part in parts for x, y in zip(*part.values(), strict=True)
    }


def test_subfolders_are_classes(tmp_path):
    expected = {}
    for number, name in enumerate(["ape", "bee/deep", "cow"]):
        for i in range(4):
            pixels = _save(tmp_path / name / f"{i}.{'png' if i else 'BMP'}")
            expected[pixels.tobytes()] = number
    expected[_save(tmp_path / "stray.png").tobytes()] = -1
    (tmp_path / "ape" / "notes.txt").write_text("no image")
    _save(tmp_path / ".hidden" / "x.png", 3, 3)
    dataset, names = load(_config(tmp_path)), ("ape", "bee", "cow")
    assert describe(_config(tmp_path)) == dataset.info == Info((6, 6, 3), 3, (), names)
    assert _by_content(dataset) == expected
    assert len(dataset.test) >= 1


def test_a_flat_folder_has_no_labels(tmp_path):
    for i in range(5):
        _save(tmp_path / f"{i}.png", mode="L")
    dataset = load(_config(tmp_path))
    assert dataset.info == Info((6, 6, 1), 0)
    assert set(_by_content(dataset).values()) == {-1}


def test_train_and_val_are_splits(tmp_path):
    train = [_save(tmp_path / "train" / c / f"{i}.png") for c in "ab" for i in "01"]
    val = _save(tmp_path / "val" / "b" / "0.png")
    dataset = load(_config(tmp_path))
    assert dataset.info == Info((6, 6, 3), 2, (), ("a", "b"))
    read = dataset.train.read(range(4))
    np.testing.assert_array_equal(read["x"], train)
    np.testing.assert_array_equal(read["y"], [0, 0, 1, 1])
    np.testing.assert_array_equal(dataset.test.read([0])["x"], [val])
    np.testing.assert_array_equal(dataset.test.read([0])["y"], [1])
    _save(tmp_path / "val" / "c" / "0.png")
    with pytest.raises(UserError, match="class 'c' is not in train, which has a, b"):
        describe(_config(tmp_path))


def test_images_are_cropped_and_resized(tmp_path):
    wide, tall = _save(tmp_path / "a.png", 8, 14), _save(tmp_path / "b.png", 20, 8)
    config = _config(tmp_path, image_size=8)
    assert describe(config) == Info((8, 8, 3), 0)
    expected = {wide[:, 3:11].tobytes(): -1, tall[6:14].tobytes(): -1}
    assert _by_content(load(config)) == expected
    # Downsampling averages: a checkerboard of single pixels becomes grey.
    players = 255 * (np.indices((64, 64)).sum(0) % 2).astype(np.uint8)
    for name in "ab":
        Image.fromarray(players[:, : 64 - (name == "b")]).save(tmp_path / f"{name}.png")
    x = load(_config(tmp_path, image_size=8, channels=1)).train.read([0])["x"]
    np.testing.assert_allclose(x.astype(float), 127.5, atol=6)


def test_orientation_and_transparency_are_respected(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = np.rot90(_save(tmp_path / "a.png", 6, 8, exif=exif), -1)
    layered = _save(tmp_path / "b.png", 8, 6, "RGBA").astype(float)
    alpha = layered[..., 3:] / 255
    flat = layered[..., :3] * alpha + 255 * (1 - alpha)
    dataset = load(_config(tmp_path))
    found = [s.read([0])["x"][0].astype(float) for s in (dataset.train, dataset.test)]
    found.sort(key=lambda x: np.abs(x - turned).mean())
    np.testing.assert_array_equal(found[0], turned)
    np.testing.assert_allclose(found[1], flat, atol=1.5)


def test_sixteen_bit_greys_keep_their_range(tmp_path):
    for name, value in [("a", 0), ("b", 65535), ("c", 32768)]:
        Image.fromarray(np.full((2, 2), value, np.uint16)).save(
            tmp_path / f"{name}.png"
        )
    values = {content[0] for content in _by_content(load(_config(tmp_path)))}
    assert values == {0, 255, 128}


def test_images_of_two_sizes_need_image_size(tmp_path):
    _save(tmp_path / "a.png")
    _save(tmp_path / "b.png", 7, 6)
    with pytest.raises(
        UserError, match=r"b\.png is 7x6, others 6x6: set --config.data"
    ):
        load(_config(tmp_path))


def test_grey_and_coloured_images_need_a_choice(tmp_path):
    _save(tmp_path / "a.png", mode="L")
    colour = _save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png is coloured, the first image is grey"):
        load(_config(tmp_path))
    assert colour.tobytes() in _by_content(load(_config(tmp_path, channels=3)))
    assert load(_config(tmp_path, channels=1)).info.shape == (6, 6, 1)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no image"),
    "truncated": _truncate,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("memory_gib", [0.0, 4.0])
def test_broken_images_are_named_or_skipped(tmp_path, damage, ending, memory_gib):
    good = {_save(tmp_path / f"{i}.png", 20, 20).tobytes() for i in range(1, 6)}
    broken = tmp_path / f"0.{ending}"
    _save(broken, 20, 20)
    DAMAGES[damage](broken)
    with pytest.raises(
        UserError, match=rf"0\.{ending} is broken or truncated"
    ) as error:
        describe(_config(tmp_path))
    assert "\n" not in str(error.value)
    broken.rename(tmp_path / f"9.{ending}")  # no longer the first
    config = _config(tmp_path, memory_gib=memory_gib)
    with pytest.raises(UserError, match=rf"9\.{ending} is broken or truncated"):
        _by_content(load(config))
    dataset = load(dataclasses.replace(config, skip_broken=True))
    assert set(_by_content(dataset)) == good
    [text] = dataset.left_out
    assert text.startswith("1 of 6 images, broken or truncated, such as ")


def test_a_folder_without_images_is_named(tmp_path):
    assert describe(_config(tmp_path / "nowhere")) is None
    with pytest.raises(UserError, match="there is no such folder"):
        load(_config(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no images"):
        describe(_config(tmp_path))
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of 1 images can be decoded"):
        describe(_config(tmp_path, skip_broken=True))
    _save(tmp_path / "a.png")
    with pytest.raises(UserError, match="two different"):
        load(_config(tmp_path))


def test_streamed_and_decoded_examples_are_equal(tmp_path):
    for i in range(30):
        _save(tmp_path / "ab"[i % 2] / f"{i}.png")
    memory = load(_config(tmp_path, image_size=4))
    streamed = load(_config(tmp_path, image_size=4, memory_gib=0))
    assert (memory.train.in_memory, streamed.train.in_memory) == (True, False)
    assert len(memory.test) == len(streamed.test)
    for start in (0, 7):
        both = [batches(d.train, 8, seed=5)(start) for d in (memory, streamed)]
        for one, other in itertools.islice(zip(*both, strict=False), 6):
            np.testing.assert_array_equal(one["x"], other["x"])
            np.testing.assert_array_equal(one["y"], other["y"])


def test_a_stream_names_the_broken_image_it_meets(tmp_path):
    for i in range(5):
        _save(tmp_path / f"{i}.png", 20, 20)
    _truncate(tmp_path / "3.png")
    dataset = load(_config(tmp_path, memory_gib=0))
    everything = dataclasses.replace(dataset.train, indices=np.arange(5))
    stream = batches(everything, 8, seed=0)(0)
    with pytest.raises(UserError, match=r"3\.png is broken or truncated"):
        next(stream)


@pytest.mark.parametrize("memory_gib", [4, 0])
@pytest.mark.parametrize("splits", [["."], ["train", "test"]])
def test_other_files_have_another_fingerprint(tmp_path, memory_gib, splits):
    for split in splits:
        for i in range(20):
            _save(tmp_path / split / "ab"[i % 2] / f"{i}.png", mode="L")
    config = _config(tmp_path, memory_gib=memory_gib)
    first = fingerprint(load(config))
    assert fingerprint(load(config)) == first
    assert first["train"] + first["test"] == 20 * len(splits)
    changed = tmp_path / splits[0] / "a" / "4.png"
    kept, other = changed.read_bytes(), tmp_path / splits[0] / "b" / "4.png"
    _save(changed, mode="L")  # another picture
    assert fingerprint(load(config)) != first
    changed.write_bytes(kept)
    assert fingerprint(load(config)) == first
    changed.rename(other)  # another class, and place
    assert fingerprint(load(config)) != first
    other.unlink()
    assert fingerprint(load(config)) != first


def test_the_fingerprint_does_not_depend_on_the_decoder(tmp_path):
    for i in range(5):
        _save(tmp_path / f"{i}.png", 20, 20)
    one, other = _config(tmp_path), _config(tmp_path, image_size=4)
    assert fingerprint(load(one)) == fingerprint(load(other))
