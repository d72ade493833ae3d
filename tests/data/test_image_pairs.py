"""Pairs of pictures: aligned files, folders A and B, what is wrong with them."""

import dataclasses
import itertools
import os

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import (
    DataConfig,
    Info,
    PairsConfig,
    batches,
    describe,
    load,
    read_inputs,
)
from gen_jax.errors import UserError

RNG = np.random.default_rng(0)


def _save(path, height=6, width=6, channels=3):
    """Random pixels as a file: uint8 [H, W, C]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(path)
    return pixels


def _config(folder, **options):
    return PairsConfig(f"pairs:{folder}", **options)


def _everything(dataset):
    """The pairs of both splits by their content."""
    parts = [split.read(range(len(split))) for split in (dataset.train, dataset.test)]
    return {
        (x.tobytes(), y.tobytes())
        for part in parts
        for x, y in zip(part["x"], part["y"], strict=True)
    }


@pytest.mark.parametrize("memory_gib", [0.0, 4.0])
def test_aligned_files_hold_the_input_on_the_left(tmp_path, memory_gib):
    pictures = [_save(tmp_path / f"{i}.png", 6, 12) for i in range(30)]
    config = _config(tmp_path, memory_gib=memory_gib)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((6, 6, 3), 0, (6, 6, 3))
    assert _everything(dataset) == {
        (p[:, :6].tobytes(), p[:, 6:].tobytes()) for p in pictures
    }
    assert 1 <= len(dataset.test) <= 10
    plain = load(DataConfig(config.spec, memory_gib=memory_gib))
    assert _everything(plain) == _everything(dataset)  # by default x is A
    turned = load(dataclasses.replace(config, direction="b_to_a"))
    assert _everything(turned) == {(y, x) for x, y in _everything(dataset)}
    # Turned around, the same pairs are held out.
    np.testing.assert_array_equal(turned.test.indices, dataset.test.indices)


def test_a_batch_holds_two_arrays_of_bytes(tmp_path):
    for i in range(4):
        _save(tmp_path / f"{i}.png", 4, 8)
    batch = next(batches(load(_config(tmp_path)).train, 5, seed=0)(0))
    assert {k: (v.dtype, v.shape) for k, v in batch.items()} == {
        "x": (np.uint8, (5, 4, 4, 3)),
        "y": (np.uint8, (5, 4, 4, 3)),
    }


@pytest.mark.parametrize("test", ["test", "val"])
def test_aligned_files_have_splits(tmp_path, test):
    train = [_save(tmp_path / "train" / f"{i}.png", 4, 8) for i in range(2)]
    held = _save(tmp_path / test / "0.png", 4, 8)
    dataset = load(_config(tmp_path))
    read = dataset.train.read([0, 1])
    np.testing.assert_array_equal(np.concatenate([read["x"], read["y"]], 2), train)
    read = dataset.test.read([0])
    np.testing.assert_array_equal(np.concatenate([read["x"], read["y"]], 2), [held])


LAYOUTS = {
    "split first": ("train/A", "train/B", "val/A", "val/B"),
    "side first": ("A/train", "B/train", "A/test", "B/test"),
    "CycleGAN's": ("trainA", "trainB", "testA", "testB"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_of_two_sides_have_splits(tmp_path, layout):
    folders = [tmp_path / name for name in LAYOUTS[layout]]
    images = [
        [_save(folder / f"{i}.png", channels=channels) for i in (1, 0)]
        for folder, channels in zip(folders, (3, 1, 3, 1), strict=True)
    ]
    dataset = load(_config(tmp_path))
    assert describe(_config(tmp_path)) == dataset.info == Info((6, 6, 3), 0, (6, 6, 1))
    for split, x, y in (dataset.train, *images[:2]), (dataset.test, *images[2:]):
        read = split.read([1, 0])  # in the order of their names
        np.testing.assert_array_equal(read["x"], x)
        np.testing.assert_array_equal(read["y"], y)


def test_folders_without_splits_pair_by_name_and_hold_out_a_tenth(tmp_path):
    expected = set()
    for i in range(30):
        # Deeper folders are part of a name, its ending is not.
        a = _save(tmp_path / "A" / "deep" / f"{i}.bmp")
        b = _save(tmp_path / "B" / "deep" / f"{i}.png")
        expected.add((b.tobytes(), a.tobytes()))
    dataset = load(_config(tmp_path, direction="b_to_a"))
    assert _everything(dataset) == expected
    assert 1 <= len(dataset.test) <= 10


def test_both_halves_are_cropped_resized_and_recoloured_alike(tmp_path):
    # Sides of 8x4: the centred square is rows 2 to 6, in both.
    pictures = [_save(tmp_path / f"{i}.png", 8, 8) for i in range(3)]
    dataset = load(_config(tmp_path, image_size=4, layout="aligned"))
    assert dataset.info == Info((4, 4, 3), 0, (4, 4, 3))
    assert _everything(dataset) == {
        (p[2:6, :4].tobytes(), p[2:6, 4:].tobytes()) for p in pictures
    }
    grey = load(_config(tmp_path, channels=1, layout="aligned"))
    assert grey.info == Info((8, 4, 1), 0, (8, 4, 1))
    luma = {
        np.asarray(Image.fromarray(p).convert("L"))[:, :4].tobytes() for p in pictures
    }
    assert {x for x, _ in _everything(grey)} == luma


def test_streamed_and_decoded_examples_are_equal(tmp_path):
    for i in range(20):
        for side in "AB":
            _save(tmp_path / side / f"{i}.png")
    memory = load(_config(tmp_path, image_size=4))
    streamed = load(_config(tmp_path, image_size=4, memory_gib=0))
    assert (memory.train.in_memory, streamed.train.in_memory) == (True, False)
    # Both sides count: 20 pairs of 4x4x3 bytes each.
    half = load(_config(tmp_path, image_size=4, memory_gib=1.5 * 20 * 48 / 2**30))
    assert not half.train.in_memory
    both = [batches(d.train, 8, seed=5)(3) for d in (memory, streamed)]
    for one, other in itertools.islice(zip(*both, strict=False), 4):
        np.testing.assert_array_equal(one["x"], other["x"])
        np.testing.assert_array_equal(one["y"], other["y"])


def _says(folder, pattern, **options):
    with pytest.raises(UserError, match=pattern) as error:
        load(_config(folder, **options))
    assert "\n" not in str(error.value)


def test_an_error_names_the_fault_of_a_folder(tmp_path):
    assert describe(_config(tmp_path / "nowhere")) is None
    _says(tmp_path / "nowhere", "there is no such folder")
    _says(tmp_path, "holds no images")
    _save(tmp_path / "A" / "one.png")
    _says(tmp_path, "A has no partner folder .*B")
    _save(tmp_path / "B" / "onee.png")
    _says(tmp_path, r"one\.png has no partner of that name in .*B\. Did you mean .*ee")
    _save(tmp_path / "B" / "one.png")
    _says(tmp_path, r"onee\.png has no partner of that name in .*A")
    (tmp_path / "B" / "onee.png").unlink()
    _says(tmp_path, "two different")
    _save(tmp_path / "A" / "one.bmp")
    _says(tmp_path, r"one\.png and one\.bmp have the same name: remove")
    (tmp_path / "A" / "one.bmp").unlink()
    for side, size in ("A", 6), ("B", 7):
        _save(tmp_path / side / "two.png", size)
    _says(tmp_path, r"B.two\.png is 7x6, its partner .*A.two\.png 6x6", image_size=4)


def test_an_odd_width_is_named(tmp_path):
    for i in range(3):
        _save(tmp_path / f"{i}.png", 6, 12 + (i == 2))
    options = {"layout": "aligned"}
    _says(tmp_path, r"2\.png is 13 pixels wide: an aligned pair", **options)
    _says(tmp_path, r"2\.png is 13 pixels wide", skip_broken=True, **options)
    _save(tmp_path / "2.png", 6, 14)
    says = r"2\.png is 6x7, others 6x6: set --config.data.image_size"
    _says(tmp_path, says, **options)


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 24), (8, 15), (5, 12)])
@pytest.mark.parametrize("memory_gib", [0.0, 4.0])
def test_a_file_that_is_not_two_squares_is_not_halved_unasked(
    tmp_path, size, memory_gib
):
    """It may be a single image, three panels, or A above B."""
    for i in range(4):
        _save(tmp_path / f"{i}.png", *size)
    says = f"0.png is {size[0]}x{size[1]}, not twice .*layout=aligned. Known are A"
    _says(tmp_path, says, memory_gib=memory_gib)
    _says(tmp_path, says, skip_broken=True, image_size=4)
    if size[1] % 2 == 0:
        half = size[0], size[1] // 2, 3
        config = _config(tmp_path, memory_gib=memory_gib, layout="aligned")
        assert load(config).info == Info(half, 0, half)


@pytest.mark.parametrize("name", ["{}_A", "{}-b", "{}a", "cat{} B"])
def test_two_files_of_a_pair_in_one_folder_are_not_halved(tmp_path, name):
    last = name[-1]
    for i in range(3):
        for side in "AB" if last.isupper() else "ab":
            _save(tmp_path / "train" / f"{name[:-1]}{side}.png".format(i), 4, 8)
    _says(tmp_path, "names end in A and in B, such as .*: move them into folders")
    assert load(_config(tmp_path, layout="aligned")).info.shape == (4, 4, 3)


def test_splits_within_a_side_are_not_mixed(tmp_path):
    for side, part in itertools.product("AB", ("train", "test")):
        _save(tmp_path / side / "deep" / part / "0.png")
    _says(tmp_path, "deep holds train, test, which look like splits")


@pytest.mark.parametrize("memory_gib", [0.0, 4.0])
def test_a_broken_half_is_named_or_the_pair_skipped(tmp_path, memory_gib):
    for i in range(5):
        for side in "AB":
            _save(tmp_path / side / f"{i}.png", 20, 20)
    broken = tmp_path / "B" / "3.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    config = _config(tmp_path, memory_gib=memory_gib)
    if memory_gib:
        _says(tmp_path, r"B.3\.png is broken or truncated")
    dataset = load(dataclasses.replace(config, skip_broken=True))
    assert len(_everything(dataset)) == 4
    [text] = dataset.left_out
    assert text.startswith("1 of 5 images, broken or truncated, such as ")
    assert f"B{os.sep}3.png" in text


@pytest.mark.parametrize("direction", ["a_to_b", "b_to_a"])
def test_an_aligned_file_is_read_as_its_input_side(direction, tmp_path, capsys):
    """The input side is as wide as the images that the run was trained on."""
    a, b = (RNG.integers(0, 256, (6, 4, 3), np.uint8) for _ in "AB")
    Image.fromarray(np.concatenate([a, b], 1)).save(tmp_path / "both.png")
    Image.fromarray(a).save(tmp_path / "one.png")
    config = _config("anywhere", direction=direction, layout="aligned")
    x = read_inputs(tmp_path, (6, 4, 3), config)
    np.testing.assert_array_equal(x, [a if direction == "a_to_b" else b, a])
    [line] = capsys.readouterr().err.splitlines()
    half = "left half, A" if direction == "a_to_b" else "right half, B"
    assert line.startswith("1 of 2 images, such as ")
    assert "both.png" in line
    assert line.endswith(half)


def test_a_wide_input_of_other_data_is_cropped_in_silence(tmp_path, capsys):
    pixels = RNG.integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    low = {"task": "low_resolution"}
    for config in (DataConfig(**low), DataConfig("folder:x", **low)):
        [x] = read_inputs(tmp_path / "wide.png", (6, 4, 3), config)
        np.testing.assert_array_equal(x, pixels[:, 2:6])
    [x] = read_inputs(tmp_path / "wide.png", (6, 6, 3), _config("not_twice_as_wide"))
    np.testing.assert_array_equal(x, pixels[:, 1:7])
    folders = _config("gone", layout="folders")
    [x] = read_inputs(tmp_path / "wide.png", (6, 4, 3), folders)
    np.testing.assert_array_equal(x, pixels[:, 2:6])
    assert capsys.readouterr().err == ""


def test_a_broken_input_is_named_with_what_helps(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    with pytest.raises(UserError, match=r"torn\.png is broken") as error:
        read_inputs(tmp_path, (6, 4, 3), DataConfig())
    assert str(error.value).endswith("; repair or remove it")
    assert "skip_broken" not in str(error.value)
    with pytest.raises(UserError, match="there is no image and no folder"):
        read_inputs(tmp_path / "none", (6, 4, 3), DataConfig())


KNOWN = {
    "small letters": ("a", "b"),
    "Train and Test": ("Train/A", "Train/B", "TEST/a", "TEST/b"),
    "training": ("training/A", "training/B", "testing/A", "testing/B"),
    "a/train": ("a/train", "b/train", "a/val", "b/val"),
    "traina": ("traina", "trainb", "testa", "testb"),
}


@pytest.mark.parametrize("layout", KNOWN.values(), ids=KNOWN)
def test_capitals_of_a_layout_do_not_matter(tmp_path, layout):
    for name in layout:
        for i in range(3):
            _save(tmp_path / name / f"{i}.png")
    dataset = load(_config(tmp_path))
    assert dataset.info == Info((6, 6, 3), 0, (6, 6, 3))  # not halved
    assert len(dataset.train) + len(dataset.test) == 3 * len(layout) // 2
    assert dataset.left_out == ()


UNKNOWN = {
    "input and target": ("input", "target"),
    "one folder": ("pictures",),
    "classes": ("train/cat", "train/dog", "test/cat"),
    "cities": ("train/aachen", "val/bonn"),
    "deep sides": ("one/A", "one/B"),
}


@pytest.mark.parametrize("folders", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_layout_is_not_halved(tmp_path, folders):
    for name in folders:
        for i in range(3):
            _save(tmp_path / name / f"{i}.png")
    _says(tmp_path, "is not a known layout of pairs: .* Known are A and B; train/A and")


def test_folders_next_to_the_pairs_are_told(tmp_path):
    for name in ("A", "B", "C", "test"):
        for i in range(3):
            _save(tmp_path / name / f"{i}.png")
    (tmp_path / "A" / "1.heic").write_bytes(b"")
    left_out = load(_config(tmp_path)).left_out
    assert left_out[0].startswith("1 file that ends in .heic")
    assert left_out[1:] == ("2 folders next to those that are read: C, test",)


def test_one_folder_is_not_both_sides(tmp_path):
    _save(tmp_path / "A" / "0.png")
    os.symlink("A", tmp_path / "B")
    _says(tmp_path, "are one folder, not the sides of pairs")


def test_the_layout_is_settled_by_the_folder(tmp_path):
    for i in range(3):
        _save(tmp_path / "whole" / f"{i}.png", 6, 12)
        for side in "AB":
            _save(tmp_path / "two" / side / f"{i}.png", 6, 12)
    settled = {
        name: _config(tmp_path / name).for_data(None).layout
        for name in ("whole", "two", "gone")
    }
    assert settled == {"whole": "aligned", "two": "folders", "gone": "auto"}
    says = "has the layout aligned, not folders"
    _says(tmp_path / "whole", says, layout="folders")
    assert load(_config(tmp_path / "two", layout="folders")).info.shape == (6, 12, 3)


@pytest.mark.parametrize("image_size", [0, 4])
def test_wide_inputs_are_halved_only_if_those_of_training_were(
    tmp_path, capsys, image_size
):
    """Inputs of 2:1 that training cropped to squares are cropped again."""
    pixels = _save(tmp_path / "two" / "A" / "0.png", 4, 8)
    for i, side in ("1", "A"), ("0", "B"), ("1", "B"):
        _save(tmp_path / "two" / side / f"{i}.png", 4, 8)
    config = _config(tmp_path / "two", image_size=image_size)
    file = tmp_path / "two" / "A" / "0.png"
    [x] = read_inputs(file, (4, 4, 3), config)
    np.testing.assert_array_equal(x, pixels[:, 2:6])
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"0\.png is twice as wide as an input, and"):
        read_inputs(file, (4, 4, 3), _config(tmp_path / "gone"))


def test_pairs_wider_than_two_inputs_are_halved_before_they_are_cropped(tmp_path):
    pixels = _save(tmp_path / "0.png", 4, 16)
    _save(tmp_path / "1.png", 4, 16)
    config = _config(tmp_path, image_size=4, layout="aligned")
    [x] = read_inputs(tmp_path / "0.png", (4, 4, 3), config)
    np.testing.assert_array_equal(x, pixels[:, 2:6])
    assert x.tobytes() in {x for x, _ in _everything(load(config))}
