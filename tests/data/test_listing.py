"""What is found below a folder, what is not read, and which folders are splits."""

import os

import numpy as np
import pytest
from PIL import Image

from gen_jax.data import DataConfig, describe, load
from gen_jax.data.labels import natural
from gen_jax.data.listing import walk
from gen_jax.errors import UserError

RNG = np.random.default_rng(0)


def _save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (4, 4, 3), np.uint8)).save(path)


def _classes(root, *names, count=2):
    for name in names:
        for i in range(count):
            _save(root / name / f"{i}.png")


def _config(root, **options):
    return DataConfig(**{"spec": f"folder:{root}", **options})


def _size(dataset):
    return len(dataset.train), len(dataset.test)


LINKS = {
    "to itself": lambda root: os.symlink(".", root / "loop"),
    "two to itself": lambda root: [os.symlink(".", root / name) for name in "ab"],
    "to its parent": lambda root: os.symlink("..", root / "cat" / "up"),
    "to a class": lambda root: os.symlink("cat", root / "a_cat"),
    "into a class": lambda root: os.symlink("../cat", root / "dog" / "cats"),
    "absolute": lambda root: os.symlink(root, root / "dog" / "all"),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_folder_is_entered_once_under_its_own_name(tmp_path, link):
    _classes(tmp_path, "cat", "dog", count=5)
    LINKS[link](tmp_path)
    dataset = load(_config(tmp_path))
    assert sum(_size(dataset)) == 10
    assert dataset.info.class_names == ("cat", "dog")
    [text] = dataset.left_out
    assert "to folders that are read under another name, such as" in text


def test_a_link_to_a_folder_elsewhere_is_read(tmp_path):
    _classes(tmp_path / "store", "x", count=4)
    _classes(tmp_path / "data", "dog", count=4)
    os.symlink(tmp_path / "store" / "x", tmp_path / "data" / "cat")
    dataset = load(_config(tmp_path / "data"))
    assert (dataset.info.class_names, dataset.left_out) == (("cat", "dog"), ())


def test_only_regular_files_are_read(tmp_path):
    for i in range(4):
        _save(tmp_path / f"{i}.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("/dev/zero", tmp_path / "endless.png")
    os.symlink("nowhere.png", tmp_path / "dangling.png")
    os.symlink("circle.png", tmp_path / "circle.png")
    os.symlink("0.png", tmp_path / "again.png")  # a file may have two names
    dataset = load(_config(tmp_path))
    assert sum(_size(dataset)) == 5
    [text] = dataset.left_out
    assert text.startswith("4 files that cannot be read as a file")


def test_unread_files_are_counted_by_their_ending(tmp_path):
    _classes(tmp_path, "cat", "dog")
    unread = ["1.HEIC", "2.heic", "cat/3.heif", "a.jxl", "t.h5", "f.mpg", "p.eps"]
    for name in [*unread, "notes.txt", "LICENSE", ".DS_Store", ".hidden/4.heic"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0 \x89HDF\r\n\x1a\n")
    dataset = load(_config(tmp_path))
    assert sum(_size(dataset)) == 4
    assert dataset.left_out[0].startswith(
        "2 files that end in .heic: no reader is inst"
    )
    said = "; ".join(dataset.left_out)
    assert "(pip install pillow-heif)" in said
    for ending in (".h5", ".mpg", ".eps", ".txt"):
        assert f"1 file that ends in {ending}" in said
    assert "1 file without an ending" in said


def test_a_folder_of_unread_files_alone_says_so(tmp_path):
    (tmp_path / "1.heic").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no images.*1 file that ends in \.heic"):
        describe(_config(tmp_path))


def test_numbers_sort_as_numbers():
    names = ["10", "9", "a2b", "a10b", "1", "A1", "01", "a"]
    expected = ["01", "1", "9", "10", "A1", "a", "a2b", "a10b"]
    assert sorted(names, key=natural) == expected


def test_classes_are_in_natural_order_and_empty_ones_are_named(tmp_path):
    _classes(tmp_path, *map(str, range(12)))
    for name in ("empty", "hollow/deep"):
        (tmp_path / name).mkdir(parents=True)
    dataset = load(_config(tmp_path))
    assert dataset.info.class_names == tuple(map(str, range(12)))
    assert dataset.left_out == ("2 folders without images: empty, hollow",)


SPLITS = {
    "ordinary": ("train", "test"),
    "capitals": ("Train", "TEST"),
    "val": ("TRAIN", "Val"),
    "MNIST as PNG": ("training", "testing"),
    "validation": ("train", "validation"),
}


@pytest.mark.parametrize("names", SPLITS.values(), ids=SPLITS)
def test_splits_are_splits_next_to_anything(tmp_path, names):
    learned, held = (tmp_path / name for name in names)
    _classes(learned, "cat", "dog", count=3)
    _classes(held, "cat", count=2)
    expected = load(_config(tmp_path))
    assert (_size(expected), expected.left_out) == ((6, 2), ())
    _classes(tmp_path, "docs", count=7)
    _save(tmp_path / "logo.png")
    (tmp_path / "doc").mkdir()
    dataset = load(_config(tmp_path))
    assert _size(dataset) == (6, 2)
    assert dataset.info.class_names == ("cat", "dog")
    assert dataset.left_out == (
        "2 folders next to those that are read: doc, docs",
        f"1 image next to the folders that are read, such as {tmp_path / 'logo.png'}",
    )


def test_of_two_held_out_folders_one_is_read_and_the_other_named(tmp_path):
    for name in ("train", "val", "test"):
        _classes(tmp_path, name)
    dataset = load(_config(tmp_path))
    assert dataset.left_out == ("1 folder next to those that are read: val",)


def test_train_alone_has_classes_and_a_tenth_is_held_out(tmp_path):
    _classes(tmp_path / "train", "cat", "dog", count=8)
    dataset = load(_config(tmp_path))
    assert sum(_size(dataset)) == 16
    assert dataset.info.class_names == ("cat", "dog")


def test_train_may_be_a_class_of_vehicles(tmp_path):
    _classes(tmp_path, "bus", "car", "train")
    dataset = load(_config(tmp_path))
    assert dataset.info.class_names == ("bus", "car", "train")
    told = "a split train: next to other classes it is read as a class"
    assert dataset.left_out == (told,)


def test_the_data_are_named_if_all_examples_are_equal(tmp_path):
    _classes(tmp_path, "cat", count=1)
    (tmp_path / "cat" / "1.png").write_bytes((tmp_path / "cat/0.png").read_bytes())
    with pytest.raises(UserError, match=f"^folder:{tmp_path}: 2 examples, 1 different"):
        load(_config(tmp_path))


def test_classes_may_differ_in_capitals_alone(tmp_path):
    """Hand-written letters have such folders, and A and B are the sides of pairs."""
    names = ("A", "B", "a", "b", "trainA", "traina")
    _classes(tmp_path, *names, count=4)
    assert describe(_config(tmp_path)).class_names == names
    with pytest.raises(UserError, match="holds both A and a: join them"):
        describe(_config(tmp_path, spec=f"pairs:{tmp_path}"))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("train2017/x", "val2017/x"), "train2017, val2017, which look like splits"),
        (("trainA", "trainB", "testA", "testB"), "trainA, trainB, testA, testB, which"),
        (("train_images", "test"), "train_images, test, which look like splits"),
        (("test/cat", "test/dog"), "holds test and no folder train"),
        (("train/cat", "train/dog", "old"), "lies next to old: if it is a split"),
        (("Train/a", "train/b", "test/a"), "holds both Train and train: join them"),
        (("train", "holdout"), "train, holdout, which look like splits"),
        (("train", "dev"), "train, dev, which look like splits"),
        (("Training", "evaluation"), "Training, evaluation, which look like splits"),
        (("train", "rest"), "lies next to rest: if it is a split, call the other one"),
        (("a", "b", "test/a", "test/b"), "test lies next to a, b: if it is a split"),
        (("a/train", "a/test", "b/train"), r"a holds train, test, which .*train/a and"),
        (("images/train", "images/val"), "images holds train, val, .*: name .*images"),
        (("x/y/Train", "x/y/dev"), "y holds Train, dev, which look like splits"),
        (("train/x/train", "train/x/test", "test/x"), "train/x holds train, test"),
    ],
)
def test_an_unknown_layout_is_an_error(tmp_path, names, says):
    _classes(tmp_path, *names)
    with pytest.raises(UserError, match=says):
        describe(_config(tmp_path))


def test_training_images_are_not_held_out_by_a_link(tmp_path):
    _classes(tmp_path, "train")
    os.symlink("train", tmp_path / "test")
    with pytest.raises(UserError, match="are one folder"):
        load(_config(tmp_path))


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    _classes(tmp_path, "cat", "dog")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"Permission denied: .*dog") as caught:
        load(_config(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_utf8_is_read(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/b\xff")
    os.mkdir(folder)
    for i in range(3):
        _save(tmp_path / "a" / f"{i}.png")
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(f"{folder}/{i}.png")
    assert describe(_config(tmp_path)).num_classes == 2
    assert len(walk(tmp_path).images) == 6
