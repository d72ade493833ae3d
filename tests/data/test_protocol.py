"""The data of a source of one's own are held to the protocol."""

import numpy as np
import pytest

from gen_jax.data import Dataset, Info, MemorySplit
from gen_jax.data.dataset import Subset
from gen_jax.data.protocol import check
from gen_jax.errors import UserError

X = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
Y = np.arange(20, dtype=np.int32) % 3
INFO = Info((8, 8, 1), 3)


def dataset(x=X, y=Y, info=INFO, test=None):
    return Dataset(info, MemorySplit(x, y), MemorySplit(X, Y) if test is None else test)


def floats(low, high):
    return np.linspace(low, high, X.size, dtype=np.float32).reshape(X.shape)


@pytest.mark.parametrize(
    "right",
    [
        dataset(),
        dataset(y=np.full(20, -1, np.int32)),
        dataset(x=floats(-1, 1)),
        dataset(y=Y.astype(np.uint8)),
        dataset(*(X, X, Info((8, 8, 1), 0, (8, 8, 1))), MemorySplit(X, floats(-1, 1))),
        Dataset(
            Info((2,), 0),
            *[MemorySplit(np.full((3, 2), 9.0, np.float32), np.full(3, -1))] * 2,
        ),
    ],
)
def test_a_dataset_of_the_protocol_passes(right):
    check(right, "theirs:9")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ((X, Y), "the source of theirs:9 returned a value of type tuple: `load` ret"),
        (dataset(y=Y + 1), "theirs:9, train: label 3 of example 2 is out of range"),
        (dataset(y=Y - 2), "train: label -2 of example 0 is out of range"),
        (dataset(y=Y.astype(np.float32)), r"y is float32 \[20\]; labels are integers"),
        (dataset(y=Y[:, None]), r"y is int32 \[20, 1\]; labels are integers"),
        (dataset(y=Y[:15]), "train: 20 examples x and 15 y"),
        (dataset(x=floats(0, 255)), r"x lies in \[0, 255\]: float images are in"),
        (dataset(x=floats(-1, np.nan)), r"x lies in \[nan, nan\]"),
        (dataset(x=floats(-1, 1).astype(float)), "x is float64: images are uint8"),
        (dataset(info=Info((9, 9, 1), 3)), r"examples of shape \(8, 8, 1\), its Info"),
        (
            dataset(info=INFO._replace(class_names=("a",))),
            "1 class_names for 3 classes",
        ),
        (dataset(x=X[..., 0]), r"examples of shape \(8, 8\), its Info says"),
        (dataset(info=Info((8, 8, 1), 0, (4, 4, 1))), "train: y holds examples of sh"),
        (
            dataset(test=MemorySplit(X[:0], Y[:0])),
            "theirs:9: the split test holds no example",
        ),
        (dataset(test=Subset(MemorySplit(X, Y + 9), np.arange(4))), "test: label 9 of"),
    ],
)
def test_another_dataset_is_refused_in_one_line(wrong, says):
    with pytest.raises(UserError, match=says) as error:
        check(wrong, "theirs:9")
    assert "\n" not in str(error.value)
