"""Files of arrays whose header, compression or axes are odd or damaged."""

import dataclasses
import gzip
import struct
import time
import zipfile

import numpy as np
import pytest

from gen_jax.data import DataConfig, Info, describe, load
from gen_jax.errors import UserError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 6, 5, 1), np.uint8)


def _npz(folder, save=np.savez, **arrays):
    save(folder / "a.npz", **arrays)
    return DataConfig(f"npz:{folder / 'a.npz'}")


def _member(folder, content, name="x.npy"):
    """An npz file with one member of these bytes."""
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return DataConfig(f"npz:{folder / 'a.npz'}")


def _header(text, version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode()


FIRST = "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }\n"

DAMAGED = {
    "version 9": _header(FIRST % "(4, 2, 2)", 9) + bytes(16),
    "version 3 with other keys": _header("{'a': 1}\n", 3),
    "no dictionary": _header("[1, 2]\n"),
    "an unknown type": _header("{'descr': '?!', 'fortran_order': 0, 'shape': (4,), }"),
    "empty": b"",
    "too few bytes": _header(FIRST % "(4, 2, 2)") + bytes(15),
    "too many bytes": _header(FIRST % "(4, 2, 2)") + bytes(17),
    "a negative shape": _header(FIRST % "(4, -2, -2)") + bytes(16),
    "an immense shape": _header(FIRST % "(1000000000, 100000, 100000)"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_member_is_one_line(tmp_path, case):
    config = _member(tmp_path, DAMAGED[case])
    with pytest.raises(UserError, match=r"a\.npz") as caught:
        load(config)
    assert "\n" not in str(caught.value)


def test_a_newer_header_is_read(tmp_path):
    config = _member(tmp_path, _header(FIRST % "(4, 2, 2)", 3) + bytes(range(16)))
    assert load(config).info == Info((2, 2, 1), 0)


def test_a_flipped_bit_of_a_compressed_member_is_one_line(tmp_path):
    config = _npz(tmp_path, np.savez_compressed, x=X, y=np.arange(12) % 2)
    whole = (tmp_path / "a.npz").read_bytes()
    failed = 0
    for place in range(30, len(whole), 37):
        bad = bytearray(whole)
        bad[place] ^= 4
        (tmp_path / "a.npz").write_bytes(bad)
        failed += _fails_in_one_line(config)
    assert failed > 5


def _fails_in_one_line(config):
    """Whether loading fails, which it may do in one way alone."""
    try:
        load(config)
    except UserError as error:
        return "a.npz" in str(error) and "\n" not in str(error)
    return False


def test_arrays_too_large_are_refused_before_they_are_read(tmp_path):
    """Zeros: 200 MB behind 200 kB, which would take seconds to unpack."""
    config = _npz(
        tmp_path, np.savez_compressed, x=np.zeros((200, 1000, 1000), np.uint8)
    )
    began = time.process_time()
    assert describe(config).shape == (1000, 1000, 1)
    with pytest.raises(
        UserError, match=r"200 examples .* take 0\.186 GiB, .*memory_gib"
    ):
        load(DataConfig(config.spec, memory_gib=0.1))
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((9, 3, 16, 16), "channels first: transpose it to .N, H, W, C."),
        ((9, 1, 28, 28), "channels first"),
        ((9, 4, 8, 20), "channels first"),
        ((9, 12, 16, 16), "channels first"),
        ((16, 16, 3, 60), r"images last: .* x\.transpose\(3, 0, 1, 2\)"),
        ((28, 28, 1, 60), "images last"),
        ((48, 32, 3, 60), "images last"),
        ((9, 5, 20, 30), "channels first"),
        ((9, 7, 30, 20), "channels first"),
        ((3, 32, 32, 60), r"images last: .* x\.transpose\(3, 1, 2, 0\)"),
    ],
)
def test_axes_in_another_order_are_refused(tmp_path, shape, says):
    for name in ("x", "x_train"):
        config = _npz(tmp_path, **{name: np.zeros(shape, np.uint8)})
        with pytest.raises(UserError, match=says) as caught:
            describe(config)
    # The size that the error names, when it is stated, leaves no doubt.
    size = str(caught.value).rpartition("image_size=")[2]
    assert describe(dataclasses.replace(config, image_size=size)).shape == shape[1:]


@pytest.mark.parametrize(
    "shape",
    [
        (9, 16, 16, 4),
        (9, 2, 9, 3),
        (9, 3, 3, 16),
        (9, 16, 12, 7),
        (9, 8, 8, 16),
        (9, 3, 9),
    ],
)
def test_axes_in_order_are_read(tmp_path, shape):
    info = describe(_npz(tmp_path, x=np.zeros(shape, np.uint8)))
    assert info.shape == (*shape[1:], 1)[:3]


def test_arrays_that_are_not_read_are_named(tmp_path):
    dataset = load(_npz(tmp_path, x=X, y_train=[1], x_val=X, names=["a"]))
    assert dataset.left_out == ("the arrays y_train, x_val, names",)
    assert load(_npz(tmp_path, x=X, x_test=X, y=X[:, 0, 0, 0])).left_out == ()


def _idx(array, shape=None):
    shape = array.shape if shape is None else shape
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(
        array
    )


def _write(folder, images, labels, ending=""):
    for name, content in ("images-idx3", images), ("labels-idx1", labels):
        (folder / f"train-{name}-ubyte{ending}").write_bytes(content)
    return DataConfig(f"idx:{folder}")


IMAGES, LABELS = _idx(X[..., 0]), _idx(np.arange(12, dtype=np.uint8) % 3)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("packed", [(), ("images",), ("labels",), ("images", "labels")])
def test_gzip_is_told_by_its_bytes(tmp_path, ending, packed):
    images = gzip.compress(IMAGES) if "images" in packed else IMAGES
    labels = gzip.compress(LABELS) if "labels" in packed else LABELS
    dataset = load(_write(tmp_path, images, labels, ending))
    assert dataset.info == Info((6, 5, 1), 3)
    assert len(dataset.train) + len(dataset.test) == 12


def test_gaps_in_labels_are_named(tmp_path):
    labels = _idx(np.arange(12, dtype=np.uint8) % 2 * 7 + 1)
    info = Info((6, 5, 1), 2, (), ("1", "8"))
    assert load(_write(tmp_path, IMAGES, labels)).info == info


BOMBS = {
    "behind a small header": _idx(X[:2, :2, :2, 0]) + bytes(2 * 10**8),
    "that its header announces": _idx(b"", (2**32 - 1,) * 3) + bytes(2 * 10**8),
    "of labels": IMAGES,
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_gzip_bomb_is_refused_at_once(tmp_path, case):
    labels = _idx(np.zeros(2, np.uint8))
    if case == "of labels":
        labels = gzip.compress(LABELS + bytes(2 * 10**8), 1)
    config = _write(tmp_path, gzip.compress(BOMBS[case], 1), labels)
    began = time.process_time()
    with pytest.raises(UserError, match="is damaged"):
        load(config)
    assert time.process_time() - began < 0.2


def test_a_header_that_promises_too_much_is_refused_at_once(tmp_path):
    labels = _idx(b"", (2**32 - 1,))
    with pytest.raises(UserError, match=r"promises 4294967295 bytes .*holds 0"):
        load(_write(tmp_path, IMAGES, labels))
