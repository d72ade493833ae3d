"""Labels: classes that are there, by number or by name; one class is none."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import (
    DataConfig,
    Dataset,
    Info,
    MemorySplit,
    Source,
    describe,
    load,
    registry,
)
from gen_jax.data.labels import classes_of, names_of, numbered
from gen_jax.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), np.uint8)
Y = np.arange(30) % 3


def _npz(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return DataConfig(f"npz:{folder / 'a.npz'}")


def _labels(dataset):
    """label of each image, by its content"""
    return {
        x.tobytes(): y
        for split in (dataset.train, dataset.test)
        for x, y in zip(*split.read(range(len(split))).values(), strict=True)
    }


GAPS = {
    "gap": (np.array([0, 2, 5])[Y], ("0", "2", "5")),
    "from one, as letters of EMNIST": (Y + 1, ("1", "2", "3")),
    "hundreds": (np.array([100, 7, 30])[Y], ("7", "30", "100")),
    "names": (np.array(["b10", "b9", "ant"])[Y], ("ant", "b9", "b10")),
    "bytes": (np.array([b"b10", b"b9", b"ant"])[Y], ("ant", "b9", "b10")),
    "a column": (np.array([0, 2, 5])[Y][:, None], ("0", "2", "5")),
    "unsigned": (np.array([0, 2, 5], np.uint64)[Y], ("0", "2", "5")),
}


@pytest.mark.parametrize("case", GAPS)
def test_classes_are_those_that_occur(tmp_path, case):
    y, names = GAPS[case]
    config = _npz(tmp_path, x=X, y=y)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 4, 1), 3, (), names)
    found = _labels(dataset)
    texts = [t.decode() if isinstance(t, bytes) else str(t) for t in y.reshape(-1)]
    assert [names[found[x.tobytes()]] for x in X] == texts


def test_none_is_no_class(tmp_path):
    for y in (np.where(Y == 1, -1, Y), np.array(["a", "", "c"])[Y]):
        dataset = load(_npz(tmp_path, x=X, y=y))
        assert dataset.info.num_classes == 2
        assert sum(label == -1 for label in _labels(dataset).values()) == 10


def test_numbers_without_gaps_need_no_names(tmp_path):
    assert load(_npz(tmp_path, x=X, y=Y)).info == Info((4, 4, 1), 3)
    assert names_of(np.arange(0)) == ()


def test_held_out_labels_are_those_of_training(tmp_path):
    y = np.array([0, 2, 5])[Y]
    dataset = load(_npz(tmp_path, x=X, y=y, x_test=X[:3], y_test=[5, -1, 0]))
    np.testing.assert_array_equal(dataset.test.read(range(3))["y"], [2, -1, 0])
    says = r"y_test: label 1 of example 1 .*; allowed: 0, 2, 5 or -1 \(none\)"
    with pytest.raises(UserError, match=says):
        load(_npz(tmp_path, x=X, y=y, x_test=X[:2], y_test=[5, 1]))
    names = {"y": np.array(["a", "b"])[Y % 2], "y_test": np.array(["z"])}
    with pytest.raises(UserError, match=r"label z .*; allowed: a, b or an empty name"):
        load(_npz(tmp_path, x=X, x_test=X[:1], **names))


def test_a_label_out_of_range_is_named():
    for bad in (-2, 2**16, 2**40):
        with pytest.raises(UserError, match=f"y: label {bad} of example 2 is out of"):
            classes_of(np.array([0, 1, bad]), "y")
    y = np.array([2**16 - 1, 0])
    np.testing.assert_array_equal(numbered(y, classes_of(y, "y"), "y"), [1, 0])


def test_one_hot_rows_are_refused_with_the_cure(tmp_path):
    with pytest.raises(UserError, match=r"of one-hot rows, give y\.argmax\(1\)"):
        describe(_npz(tmp_path, x=X, y=np.eye(3)[Y]))


def _folder(folder):
    for i, x in enumerate(X):
        path = folder / "images" / "cat" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[..., 0]).save(path)
    return DataConfig(f"folder:{folder / 'images'}")


def _idx(folder):
    for name, a in (
        ("images-idx3", X[..., 0]),
        ("labels-idx1", np.full(30, 4, np.uint8)),
    ):
        sizes = np.array(a.shape, ">u4").tobytes()
        content = bytes([0, 0, 8, a.ndim]) + sizes + a.tobytes()
        (folder / f"train-{name}-ubyte").write_bytes(content)
    return DataConfig(f"idx:{folder}")


ONE_CLASS = {
    "folder": _folder,
    "streamed": lambda folder: dataclasses.replace(_folder(folder), memory_gib=0),
    "idx": _idx,
    "npz": lambda folder: _npz(folder, x=X, y=np.zeros(30, int)),
    "a name": lambda folder: _npz(folder, x=X, y=np.full(30, "cat")),
    "some": lambda folder: _npz(folder, x=X, y=np.where(Y, -1, 3)),
}


@pytest.mark.parametrize("case", ONE_CLASS)
def test_one_class_is_no_label(tmp_path, case):
    config = ONE_CLASS[case](tmp_path)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 4, 1), 0)
    assert set(_labels(dataset).values()) == {-1}


def test_one_class_of_a_stranger_s_source_is_no_label(monkeypatch):
    class Split(MemorySplit):  # of a class of its own
        in_memory = False

    split = Split(X, np.zeros(30, np.int32))
    info = Info((4, 4, 1), 1, (), ("cat",))
    for each in (split, MemorySplit(split.x, split.y)):
        source = Source(lambda _: info, lambda _, each=each: Dataset(info, each, each))
        monkeypatch.setattr(registry, "_find", lambda _, source=source: source)
        dataset = load(DataConfig("theirs"))
        assert describe(DataConfig("theirs")) == dataset.info == Info((4, 4, 1), 0)
        assert set(dataset.test.read([3, 5])["y"]) == {-1}


def test_the_class_of_a_folder_is_told(tmp_path):
    dataset = load(_folder(tmp_path))
    text = "the class cat: one class alone is not a label"
    assert dataset.left_out == (text,)
    deep = tmp_path / "images" / "cat" / "black"
    deep.mkdir()
    (tmp_path / "images" / "cat" / "3.png").rename(deep / "3.png")
    only = deep.parent
    hint = f"folders below {only} as classes: for these, name {only} itself"
    assert load(_folder(tmp_path)).left_out == (hint, text)


def test_a_single_label_of_any_source_is_told(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (9, 4, 4), np.uint8)
    for y, name in (np.full(9, 3), "3"), (np.array(["cat"] * 9), "cat"):
        np.savez(tmp_path / "a.npz", x=x, y=y)
        dataset = load(DataConfig(f"npz:{tmp_path / 'a.npz'}"))
        told = f"the class {name}: one class alone is not a label"
        assert (dataset.info.num_classes, dataset.left_out) == (0, (told,))


@pytest.mark.parametrize(
    "failure", [KeyError("x"), MemoryError(), RuntimeError("a\nb")]
)
def test_any_error_of_a_source_is_one_line(monkeypatch, failure):
    def fail(config):
        raise failure

    monkeypatch.setattr(registry, "_find", lambda _: Source(fail, fail))
    for function in (describe, load):
        with pytest.raises(UserError, match=r"^theirs cannot be read: ") as caught:
            function(DataConfig("theirs"))
        assert "\n" not in str(caught.value)
        assert type(failure).__name__ in str(caught.value)
