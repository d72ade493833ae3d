"""MNIST's file format, good and damaged."""

import gzip
import struct

import numpy as np
import pytest

from gen_jax.data import DataConfig, Info, describe, load
from gen_jax.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (12, 4, 3), np.uint8)
Y = np.arange(12, dtype=np.uint8) % 5


def _idx(array):
    magic = bytes([0, 0, 8, array.ndim])
    return magic + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    images, labels = _idx(X), _idx(Y)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(_idx(X[:4]))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(Y[:4])))
    return tmp_path


def test_files_are_read(folder):
    config = DataConfig(f"idx:{folder}")
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 3, 1), 5)
    read = dataset.train.read(range(12))
    np.testing.assert_array_equal(read["x"], X[..., None])
    np.testing.assert_array_equal(read["y"], Y)
    np.testing.assert_array_equal(dataset.test.read([3])["x"], X[3:4, ..., None])


def test_without_test_files_some_are_held_out(folder):
    (folder / "t10k-images.idx3-ubyte").unlink()
    dataset = load(DataConfig(f"idx:{folder}"))
    assert len(dataset.train) + len(dataset.test) == 12
    assert len(dataset.test) > 0
    [text] = dataset.left_out
    assert text.endswith("t10k-labels-idx1-ubyte.gz, without images")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", None, "holds no train-labels-idx1-ubyte"),
        ("train-labels-idx1-ubyte", _idx(Y[:-1]), "expected .11, 4, 3."),
        ("train-labels-idx1-ubyte", _idx(X), "with 1 dimensions: it starts with"),
        ("train-labels-idx1-ubyte", _idx(Y) + b"more", "promises 12 bytes.*holds 16"),
        ("train-images-idx3-ubyte.gz", b"no idx", "not an IDX file .* starts with"),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(_idx(X)[:99], mtime=0),
            "holds 83",
        ),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(_idx(X), mtime=0)[:-40],
            "cannot be read",
        ),
        (
            "train-images-idx3-ubyte.gz",
            gzip.compress(b"", mtime=0),
            "is not an IDX file",
        ),
        ("train-images-idx3-ubyte.gz", gzip.compress(_idx(X[:0]), mtime=0), "0 images"),
        (
            "t10k-labels-idx1-ubyte.gz",
            gzip.compress(_idx(Y[:4] + 9), mtime=0),
            "label 9",
        ),
        ("t10k-images.idx3-ubyte", _idx(X[:4, :3]), r"expected \[4, 4, 3\]"),
    ],
)
def test_a_damaged_file_is_named(folder, name, content, message):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load(DataConfig(f"idx:{folder}"))
    assert str(folder) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    nowhere = DataConfig(f"idx:{tmp_path / 'nowhere'}")
    assert describe(nowhere) is None
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        load(nowhere)
    with pytest.raises(UserError, match="holds no train-images-idx3-ubyte"):
        describe(DataConfig(f"idx:{tmp_path}"))
