"""digits, ring and npz files; the held-out tenth."""

import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from gen_jax.data import DataConfig, Info, describe, fingerprint, load
from gen_jax.data.dataset import digest, digest_of, held_out
from gen_jax.errors import UserError


def _everything(dataset):
    """x and y of both splits together."""
    parts = [split.read(range(len(split))) for split in (dataset.train, dataset.test)]
    return (np.concatenate([part[key] for part in parts]) for key in "xy")


def test_the_import_is_light():
    heavy = "sklearn PIL grain tensorflow_datasets tensorflow"
    code = f"import sys, gen_jax.data; print(set('{heavy}'.split()) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_digits_are_those_of_scikit_learn():
    config = DataConfig()
    dataset = load(config)
    assert describe(config) == dataset.info == Info((8, 8, 1), 10)
    x, y = _everything(dataset)
    assert (x.dtype, y.dtype, x.shape) == (np.uint8, np.int32, (1797, 8, 8, 1))
    digits = load_digits()
    expected = (digits.images * 255 / 16).sum(axis=(1, 2))
    for label in range(10):
        total = x[y == label].sum(dtype=float)
        assert total == pytest.approx(expected[digits.target == label].sum(), rel=1e-3)
    assert 130 < len(dataset.test) < 230


def test_ring_has_its_moments():
    dataset = load(DataConfig("ring"))
    assert describe(DataConfig("ring")) == dataset.info == Info((2,), 8)
    x, y = _everything(dataset)
    assert x.dtype == np.float32
    assert np.abs(x).max() < 1.1
    for label in range(8):
        mean = 0.8 * np.exp(2j * np.pi * label / 8)
        mine = x[y == label]
        np.testing.assert_allclose(mine.mean(0), [mean.real, mean.imag], atol=0.01)
        np.testing.assert_allclose(mine.std(0), 0.05, rtol=0.1)


def test_content_decides_which_tenth_is_held_out():
    digests = np.array([digest(bytes([i, j])) for i in range(50) for j in range(50)])
    held = held_out(digests, "x")
    assert 0.08 < held.mean() < 0.12
    order = np.random.default_rng(0).permutation(len(digests))
    np.testing.assert_array_equal(held_out(digests[order], "x"), held[order])
    half = held_out(digests[: len(digests) // 2], "x")
    np.testing.assert_array_equal(half, held[: len(half)])
    twice = held_out(np.repeat(digests, 2), "x")
    np.testing.assert_array_equal(twice, np.repeat(held, 2))


@pytest.mark.parametrize("seed", range(20))
def test_a_few_examples_leave_some_on_either_side(seed):
    digests = np.random.default_rng(seed).integers(0, 2**64, 2, np.uint64)
    np.testing.assert_array_equal(np.sort(held_out(digests, "x")), [False, True])


def test_the_digest_is_fixed():
    assert digest(b"gen_jax") == 0x4BAD6B48513E8A19


def _npz(path, **arrays):
    np.savez(path / "a.npz", **arrays)
    return DataConfig(f"npz:{path / 'a.npz'}")


def _images(count, *shape):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def test_npz_with_its_own_split(tmp_path):
    x, x_test = _images(6, 4, 5, 3), _images(3, 4, 5, 3)
    y, y_test = np.array([0, 2, 1, -1, 0, 1]), np.array([2, 0, 1], np.uint8)
    config = _npz(tmp_path, x=x, y=y, x_test=x_test, y_test=y_test)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 5, 3), 3)
    read = dataset.train.read([5, 0])
    np.testing.assert_array_equal(read["x"], x[[5, 0]])
    np.testing.assert_array_equal(read["y"], [1, 0])
    np.testing.assert_array_equal(dataset.test.read(range(3))["y"], y_test)


def test_npz_without_labels_or_split(tmp_path):
    x = _images(30, 4, 4)
    dataset = load(_npz(tmp_path, x_train=x))
    assert dataset.info == Info((4, 4, 1), 0)
    read, y = _everything(dataset)
    assert sorted(map(bytes, read)) == sorted(map(bytes, x))
    assert set(y) == {-1}


def test_arrays_are_resized_and_recoloured(tmp_path):
    x = _images(3, 8, 12)
    config = _npz(tmp_path, x=x, x_test=x)
    config = DataConfig(config.spec, image_size=4, channels=3)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 4, 3), 0)
    whole = Image.fromarray(x[1]).resize(
        (4, 4), Image.Resampling.BICUBIC, (2, 0, 10, 8)
    )
    read = dataset.train.read([1])["x"][0]
    np.testing.assert_array_equal(read, np.repeat(np.asarray(whole)[..., None], 3, 2))


GOOD = _images(4, 6, 6, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": GOOD}, "holds pictures; it needs x, uint8"),
        ({}, "holds no arrays"),
        ({"x": GOOD.astype(np.float32)}, "x is float32 .*allowed: uint8"),
        ({"x": GOOD[0, 0]}, r"x is uint8 \[6, 3\]; allowed"),
        ({"x": GOOD[:1]}, "x holds 1 images; it needs at least 2"),
        (
            {"x": GOOD, "y": np.zeros(3, int)},
            r"y is int64 \[3\]; allowed: integers \[4",
        ),
        ({"x": GOOD, "y": np.zeros(4)}, "y is float64"),
        ({"x": GOOD, "y": np.array([0, 1, -2, 0])}, "label -2 of example 2 is out of"),
        ({"x": GOOD, "y": np.array([0, 1, 2**40, 0])}, "label 1099511627776"),
        ({"x": GOOD, "x_test": GOOD[:, :5]}, "two shapes"),
        ({"x": GOOD, "x_test": GOOD[:0]}, "x_test holds 0 images"),
        ({"x": np.array([None, "a"])}, "not an npz file of plain arrays|x is object"),
    ],
)
def test_a_bad_npz_is_named(tmp_path, arrays, message):
    config = _npz(tmp_path, **arrays)
    with pytest.raises(UserError, match=message):
        describe(config)


def test_bad_npz_content_is_named(tmp_path):
    config = _npz(tmp_path, x=GOOD, y=np.arange(4), x_test=GOOD, y_test=np.full(4, 4))
    with pytest.raises(UserError, match=r"y_test: label 4 .*allowed: 0\.\.3 or -1"):
        load(config)
    with pytest.raises(UserError, match="two different"):
        load(_npz(tmp_path, x=np.zeros((5, 2, 2), np.uint8)))
    with pytest.raises(UserError, match="2 channels can be neither grey nor RGB"):
        describe(DataConfig(_npz(tmp_path, x=GOOD[..., :2]).spec, channels=1))
    with pytest.raises(UserError, match="memory_gib"):
        load(DataConfig(_npz(tmp_path, x=GOOD).spec, memory_gib=1e-9))


def test_a_damaged_npz_is_named(tmp_path):
    file = tmp_path / "a.npz"
    config = _npz(tmp_path, x=_images(9, 30, 30, 3))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])
    with pytest.raises(UserError, match=r"a\.npz is not an npz file"):
        describe(config)
    file.write_bytes(whole[:2000] + b"damaged" + whole[2007:])
    with pytest.raises(UserError, match=r"a\.npz is not an npz file"):
        load(config)
    file.unlink()
    assert describe(config) is None
    with pytest.raises(UserError, match="there is no such file"):
        load(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DataConfig("digit"), r"Did you mean digits\?$"),
        (DataConfig("fashion_mnits"), "Did you mean fashion_mnist"),
        (DataConfig("folders:x"), "Did you mean folder:DIR"),
        (DataConfig("DIGITS"), "Did you mean digits"),
        (DataConfig(""), "unknown dataset ''. There are: branches, digits, folder:DIR"),
        (DataConfig("digits", image_size=10**7), "out of range: at most 4096"),
        (DataConfig("quux"), "There are: branches, .*ring, tfds:NAME, mnist, fashion"),
        (DataConfig("npz"), "incomplete: write npz:FILE"),
        (DataConfig("folder:"), "'folder:' is incomplete: write folder:DIR"),
        (DataConfig("tfds:"), "'tfds:' is incomplete: write tfds:NAME"),
        (DataConfig("digits:x"), "nothing may follow the name; write digits"),
        (DataConfig("digits", image_size=-1), r"data\.image_size=-1 is out of range"),
        (DataConfig("digits", channels=2), "channels=2 is not one of 0, 1, 3"),
        (DataConfig("digits", memory_gib=-1), "memory_gib=-1 is out of range"),
        (DataConfig("ring", image_size=8), "ring holds points"),
    ],
)
def test_a_bad_specification_is_named(config, message):
    with pytest.raises(UserError, match=message):
        describe(config)


def test_one_pixel_and_one_label_make_other_data(tmp_path):
    x, y = _images(20, 4, 4), np.arange(20) % 3
    arrays = {"x": x, "y": y, "x_test": x[:3], "y_test": y[:3]}
    first = fingerprint(load(_npz(tmp_path, **arrays)))
    assert fingerprint(load(_npz(tmp_path, **arrays))) == first
    for name in ("x", "y", "x_test"):
        changed = arrays[name].copy()
        changed.flat[-1] = 1 - changed.flat[-1] % 2
        assert fingerprint(load(_npz(tmp_path, **{**arrays, name: changed}))) != first


def test_a_fingerprint_costs_little():
    x = np.zeros((60_000, 28, 28, 1), np.uint8)
    started = time.process_time()
    digest_of([x])
    assert time.process_time() - started < 0.2
