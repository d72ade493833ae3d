"""What is told of a dataset, and classes found by their names."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from gen_jax import data, typed_json
from gen_jax.data import class_names, summary
from gen_jax.data.dataset import Dataset, Info, MemorySplit
from gen_jax.errors import UserError


def put(path, level, size=(4, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (level, 0, 0)).save(path)


def dataset(y_train, y_test, info, left_out=()):
    """Blank images of these labels."""

    def split(y):
        return MemorySplit(np.zeros((len(y), *info.shape), np.uint8), np.int32(y))

    return Dataset(info, split(y_train), split(y_test), left_out=left_out)


@pytest.mark.parametrize("memory_gib", [4.0, 0.0])
def test_a_folder_is_told_with_names_and_counts(tmp_path, memory_gib):
    for split, numbers in (("train", {"cat": 3, "dog": 2}), ("test", {"cat": 1})):
        for name, number in numbers.items():
            for i in range(number):
                put(tmp_path / split / name / f"{i}.png", 40 * i)
    config = data.DataConfig(f"folder:{tmp_path}", memory_gib=memory_gib)
    found = data.summarize(data.load(config))
    assert summary.lines(found)[:2] == [
        "5 + 1 held out, 4x6 (height x width) RGB, 2 classes: cat (3 + 1), dog (2 + 0)",
        "classes without held-out images: dog",
    ]


def test_labels_are_counted_without_decoding(tmp_path, monkeypatch):
    for i in range(6):
        put(tmp_path / "train" / "ab"[i % 2] / f"{i}.png", i)
        put(tmp_path / "test" / "ab"[i % 2] / f"{i}.png", 9 * i)
    loaded = data.load(data.DataConfig(f"folder:{tmp_path}", memory_gib=0.0))
    monkeypatch.setattr(type(loaded.train.split), "read", None)
    assert [each.train for each in data.summarize(loaded).classes] == [3, 3]


MANY = "with 5 channels (the first"


@pytest.mark.parametrize(
    ("shape", "target", "says"),
    [
        ((8, 8, 1), (), "2 + 1 held out, 8x8 grey"),
        ((8, 8, 5), (), f"2 + 1 held out, 8x8 {MANY} three are drawn)"),
        ((8, 8, 2), (), f"2 + 1 held out, 8x8 {MANY} is drawn)".replace("5", "2")),
        ((2,), (), "2 + 1 held out, points in 2 dimensions"),
        ((8, 8, 1), (8, 8, 3), "2 + 1 held out, pairs: 8x8 grey to 8x8 RGB"),
    ],
)
def test_kinds_of_examples(shape, target, says):
    found = data.summarize(dataset([-1, -1], [-1], Info(shape, 0, target)))
    assert summary.lines(found) == [says]


def test_empty_and_missing_classes_are_said_once():
    names = ("a", "ghost", "late", "b")
    given = dataset([0, 0, 3, -1], [0, 2, -1, -1], Info((2, 2, 1), 4, (), names))
    found = data.summarize(given._replace(left_out=("12 .heic files: not read",)))
    assert found.drawn_classes == [0, 3]
    assert summary.lines(found) == [
        "4 + 4 held out, 2x2 grey, 2 classes: a (2 + 1), b (1 + 0)",
        "empty classes: ghost",
        "classes without training images: late",
        "classes without held-out images: b",
        "images without a label: 1 training, 2 held-out",
        "left out: 12 .heic files: not read",
    ]


def test_held_out_examples_without_labels_are_no_missing_classes():
    found = data.summarize(dataset([0, 1], [-1, -1, -1], Info((2, 2, 1), 2)))
    assert summary.lines(found)[1:] == [
        "images without a label: 0 training, 3 held-out"
    ]


def test_many_classes_are_not_all_listed():
    y = np.repeat(np.arange(500), 3)
    found = data.summarize(dataset(y[1:], np.arange(500), Info((2, 2, 1), 500)))
    [line] = summary.lines(found)
    assert "500 classes (2 to 3 training images in each): 0, 1, 2" in line
    assert line.endswith("17, ..., 499")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("猫", "猫"),
        ("a\nb", r"a\nb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("gnp\u202egpj", r"gnp\u202egpj"),
        ("caf\udce9", r"caf\udce9"),
        ("x" * 99, "x" * 39 + "…"),
    ],
)
def test_names_are_shown_in_one_line_that_any_terminal_takes(name, shown):
    info = Info((2, 2, 1), 2, class_names=(name, "b"))
    [line] = summary.lines(data.summarize(dataset([0, 1], [0, 1], info)))
    assert line.endswith(f"2 classes: {shown} (1 + 1), b (1 + 1)")
    line.encode()


def test_a_summary_is_json_and_comes_back():
    info = Info((2, 2, 1), 3, class_names=("猫", "b", "c"))
    found = data.summarize(dataset([0, 1, -1], [0, 1], info, ("a reason",)))
    meta = {summary.META: json.loads(json.dumps(dataclasses.asdict(found)))}
    assert summary.of_meta(meta) == found
    assert typed_json.parse(summary.Summary, meta[summary.META]) == found
    for damaged in ({}, {summary.META: 3}, {summary.META: {"shape": "x"}}):
        assert summary.of_meta(damaged) is None


def test_a_closed_stream_does_not_stop_the_telling(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    summary.tell(data.summarize(dataset([0], [0], Info((2, 2, 1), 0))))


@pytest.mark.parametrize(
    ("text", "names", "label"),
    [
        ("cat", ("ant", "cat"), 1),
        ("1", ("ant", "cat"), 1),
        ("5", ("0", "2", "5"), 2),  # the name, not the label
        ("0", ("1", "0"), 1),
        ("猫", ("犬", "猫"), 1),
        ("a,b c", ("x", "a,b c"), 1),
    ],
)
def test_a_class_is_found_by_name_or_number(text, names, label):
    assert class_names.find_class(text, names, "--label") == label


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("cta", ("ant", "cat")),
        ("2", ("ant", "cat")),
        ("1", ("0", "2", "5")),  # a label or a name? no guess
        ("0", ("cat", "dog", "10")),
        ("-2", ("ant", "cat")),
        ("1.0", ("ant", "cat")),
        ("", ("ant", "cat")),
        ("\u0661", ("ant", "cat")),  # a digit that is not 0 to 9
    ],
)
def test_another_text_gets_one_line_with_the_names(text, names):
    with pytest.raises(UserError) as caught:
        class_names.find_class(text, names, "--label")
    line = str(caught.value)
    assert line.startswith(f"--label={text} is not a class")
    assert line.endswith(f"The classes are {', '.join(names)}")
    assert ("Did you mean cat?" in line) == (text == "cta")


def test_classes_without_names_have_numbers_and_equal_names_are_told_apart():
    assert class_names.class_names(Info((2,), 3)) == ("0", "1", "2")
    equal = Info((2,), 3, class_names=("a", "b", "a"))
    assert class_names.class_names(equal) == ("a (0)", "b (1)", "a (2)")
