"""Broken images that the next one replaces: their number and order stay."""

import contextlib
import dataclasses
import itertools
import shutil

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import DataConfig, PairsConfig, batches, fingerprint, load
from gen_jax.data.dataset import is_same
from gen_jax.data.registry import own_config
from gen_jax.errors import UserError


def _save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng([int(path.stem), *path.parent.name.encode()])
    Image.fromarray(numbers.integers(0, 256, (20, 20, 3), np.uint8)).save(path)


def _break(path):
    path.write_bytes(path.read_bytes()[:-300])


LAYOUTS = {
    "flat": ["."],
    "classes": ["a", "b"],
    "splits": ["train/a", "train/b", "test/a", "test/b"],
}


@pytest.fixture(params=LAYOUTS)
def config(request, tmp_path):
    """Images in folders, of which four in each are broken, the last included."""
    for folder in LAYOUTS[request.param]:
        for i in range(40):
            _save(tmp_path / "images" / folder / f"{i:02d}.png")
        for i in (7, 8, 15, 39):
            _break(tmp_path / "images" / folder / f"{i:02d}.png")
    return DataConfig(f"folder:{tmp_path / 'images'}", memory_gib=0)


def _run(dataset, start, count):
    """The first numbers of batches."""
    stream = batches(dataset.train, 5, seed=0)(start)
    found = [next(stream) for _ in range(count)]
    return [(batch["x"][:, 0, 0, 0].tolist(), batch["y"].tolist()) for batch in found]


def test_a_streamed_run_names_the_image_and_the_cure_works(config):
    steps = 3 * len(load(config).train) // 5
    with pytest.raises(UserError, match=r"is broken or trunc.*data.replace_broken"):
        _run(load(config), 0, steps)
    cured = dataclasses.replace(config, replace_broken=True)
    assert is_same(fingerprint(load(cured)), fingerprint(load(config)))
    whole = _run(load(cured), 0, steps)
    assert _run(load(cured), 4, steps - 4) == whole[4:]
    # Batches before the broken image are those that the run has seen.
    stream, seen = batches(load(config).train, 5, seed=0)(0), []
    with contextlib.suppress(UserError):
        for batch in stream:
            seen.append((batch["x"][:, 0, 0, 0].tolist(), batch["y"].tolist()))
    assert seen == whole[: len(seen)]


def test_decoded_and_streamed_examples_are_equal(config):
    cured = dataclasses.replace(config, replace_broken=True)
    both = load(cured), load(dataclasses.replace(cured, memory_gib=4))
    for split in ("train", "test"):
        streamed, decoded = (getattr(each, split) for each in both)
        assert (streamed.in_memory, decoded.in_memory) == (False, True)
        np.testing.assert_array_equal(streamed.indices, decoded.indices)
        read = [each.read(range(len(each))) for each in (streamed, decoded)]
        np.testing.assert_array_equal(read[0]["x"], read[1]["x"])
        np.testing.assert_array_equal(read[0]["y"], read[1]["y"])
    assert both[0].left_out == both[1].left_out != ()
    assert "in training the next one is read instead" in both[0].left_out[0]


@pytest.mark.parametrize("memory_gib", [0, 4])
def test_held_out_images_are_counted_once(config, memory_gib):
    """A repeated one would count twice in a measure and its interval."""
    options = {"memory_gib": memory_gib, "replace_broken": True}
    train, test = load(dataclasses.replace(config, **options))[1:3]
    seen = [x.tobytes() for x in test.read(range(len(test)))["x"]]
    assert len({*seen}) == len(seen)
    skipping = load(dataclasses.replace(config, skip_broken=True)).test
    assert {x.tobytes() for x in skipping.read(range(len(skipping)))["x"]} == {*seen}
    if train.split is test.split:
        assert not {*train.indices} & {*test.indices}


def test_no_cure_is_advised_that_the_next_start_refuses(tmp_path):
    """The digest of the data holds the bytes of an image that breaks in between."""
    for i in range(20):
        _save(tmp_path / f"{i:02d}.png")
    dataset = load(DataConfig(f"folder:{tmp_path}", memory_gib=0))
    broken = dataset.train.indices[3]
    _break(tmp_path / f"{broken:02d}.png")
    says = rf"{broken:02d}\.png is broken.*; it has changed since .*: put it back"
    with pytest.raises(UserError, match=says) as caught:
        dataset.train.read([1, 3])
    assert "replace_broken" not in str(caught.value)


@pytest.mark.parametrize("layout", ["splits", "pairs"])
@pytest.mark.parametrize("change", ["cut", "replace", "swap", "class"])
def test_streamed_data_with_a_test_split_are_known_by_all_their_files(
    tmp_path, layout, change
):
    """The contents of 64 are read; a file between these has changed."""
    sides = ("a", "b") if layout == "splits" else ("A", "B")
    for part, side in itertools.product(("train", "test"), sides):
        for i in range(80):
            _save(tmp_path / "here" / part / side / f"{i:03d}.png")
    source = {"splits": "folder", "pairs": "pairs"}[layout]
    config = own_config(DataConfig(f"{source}:{tmp_path / 'here'}", memory_gib=0))
    before = fingerprint(load(config))
    moved = dataclasses.replace(config, spec=f"{source}:{tmp_path / 'there'}")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert fingerprint(load(moved)) == before
    one, other = (tmp_path / "there" / "train" / x / "003.png" for x in sides)
    if change == "cut":
        _break(other)
    elif change == "replace":
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(one)
    elif change == "swap":
        two = one.with_name("004.png")
        two.write_bytes(two.read_bytes() + b"0")
        one.rename(tmp_path / "x.png")
        two.rename(one)
        (tmp_path / "x.png").rename(two)
    elif layout == "splits":
        last = one.with_name("079.png")
        last.rename(other.with_name("000a.png"))
    else:
        one.unlink()
        other.unlink()
    after = fingerprint(load(moved))
    assert not is_same(after, before)
    # A run of an earlier version, which knew no sizes, is compared by the digest alone.
    earlier = {name: value for name, value in before.items() if name != "sizes"}
    assert is_same(before, earlier)
    assert is_same(after, earlier) == (after["digest"] == before["digest"])


def test_the_advice_for_a_file_that_breaks_is_that_of_its_size(tmp_path):
    for part in ("train", "test"):
        for i in range(80):
            _save(tmp_path / part / f"{i:03d}.png")
    _break(tmp_path / "train" / "003.png")
    dataset = load(DataConfig(f"folder:{tmp_path}", memory_gib=0))
    _break(tmp_path / "train" / "006.png")
    with pytest.raises(UserError, match=r"003\.png is broken.*replace_broken=True"):
        dataset.train.read([3])
    with pytest.raises(UserError, match=r"006\.png is broken.*put it back as it was"):
        dataset.train.read([6])


def test_a_pair_is_replaced_by_the_next_pair(tmp_path):
    for i in range(20):
        for side in "AB":
            _save(tmp_path / side / f"{i:02d}.png")
    _break(tmp_path / "B" / "05.png")
    options = {"memory_gib": 0, "replace_broken": True}
    dataset = load(PairsConfig(f"pairs:{tmp_path}", **options))
    assert len(dataset.train) + len(dataset.test) == 20
    assert 5 not in {*dataset.train.indices, *dataset.test.indices}
    dataset.train.read(range(len(dataset.train)))


def test_a_split_without_any_whole_image_is_named(tmp_path):
    for i in range(3):
        _save(tmp_path / "train" / f"{i}.png")
        _save(tmp_path / "test" / f"{i}.png")
        _break(tmp_path / "test" / f"{i}.png")
    with pytest.raises(UserError, match="a split holds no image that can be decoded"):
        load(DataConfig(f"folder:{tmp_path}", memory_gib=0, replace_broken=True))
