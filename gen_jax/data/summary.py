"""A dataset as it was understood: sizes, classes with their counts, what was left out.

A training prints it, and keeps it in config.json and in its checkpoints' meta. Reports
show it, and `experiments.look` draws it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gen_jax import console, typed_json
from gen_jax.data.class_names import MAX_NAME, class_names, listed, shown
from gen_jax.data.dataset import Dataset, Info, MemorySplit, Split, Subset

META = "data_summary"  # the entry of a checkpoint's meta
_MAX_COUNTED = 12  # classes whose counts are part of a line
_CHANNELS = {1: "grey", 3: "RGB"}


@dataclasses.dataclass(frozen=True)
class ClassCount:
    """A class and its numbers of examples; None if they are not known."""

    name: str
    train: int | None = None
    test: int | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """A dataset as it was understood, in values that JSON keeps.

    shape, target_shape: as in `Info`.
    train, test: numbers of training and held-out examples; None if not known.
    classes: in the order of the labels; [] without labels.
    unlabelled: the examples without a label, of data that have classes.
    left_out: what the source holds that was not read, and why, a text each.
    """

    shape: list[int]
    target_shape: list[int] = dataclasses.field(default_factory=list)
    train: int | None = None
    test: int | None = None
    classes: list[ClassCount] = dataclasses.field(default_factory=list)
    unlabelled: ClassCount | None = None
    left_out: list[str] = dataclasses.field(default_factory=list)

    @property
    def drawn_classes(self) -> list[int]:
        """Return the labels of the classes that have training examples."""
        return [i for i, each in enumerate(self.classes) if each.train != 0]


def described(info: Info) -> Summary:
    """Return the summary of a dataset that was not loaded: no counts are known."""
    classes = [ClassCount(name) for name in class_names(info)]
    return Summary(list(info.shape), list(info.target_shape), classes=classes)


def summarize(dataset: Dataset) -> Summary:
    """Return the summary of a dataset; no image is decoded for it."""
    found = described(dataset.info)
    classes, unlabelled = found.classes, None
    if classes:
        train, test = (
            _counts(labels(split), len(classes))
            for split in (dataset.train, dataset.test)
        )
        *classes, unlabelled = (
            ClassCount(name, *counts)
            for name, *counts in zip(
                [*(each.name for each in classes), ""], train, test, strict=True
            )
        )
        has_any = unlabelled.train or unlabelled.test
        unlabelled = unlabelled if has_any else None
    return dataclasses.replace(
        found,
        train=len(dataset.train),
        test=len(dataset.test),
        classes=classes,
        unlabelled=unlabelled,
        left_out=list(dataset.left_out),
    )


def of_meta(meta: Mapping[str, Any]) -> Summary | None:
    """Return the summary in a checkpoint's meta; None if it has none that fits."""
    return typed_json.read(Summary, meta.get(META), [])


def labels(split: Split) -> np.ndarray | None:
    """Return the labels of a split, int [N], if no image has to be decoded for it.

    None stands for labels that are not known, and for pairs.
    """
    if isinstance(split, Subset):
        whole = labels(split.split)
        return None if whole is None else whole[split.indices]
    if isinstance(split, MemorySplit):
        return split.y if split.y.ndim == 1 else None
    # A streamed split's records, such as the files of a folder, may know their labels.
    known = getattr(getattr(split, "records", split), "labels", None)
    return None if known is None else np.asarray(known, np.int64)


def tell(summary: Summary) -> None:
    """Print the summary's lines on standard error; a closed one changes nothing."""
    for line in lines(summary):
        console.tell(f"data: {line}")


def _counts(y: np.ndarray | None, classes: int) -> list[int | None]:
    """Return the number of examples of each class, then of those without a label."""
    if y is None:
        return [None] * (classes + 1)
    counts = np.bincount(np.where(y < 0, classes, y), minlength=classes + 1)
    return [*counts.tolist()]


def lines(summary: Summary) -> list[str]:
    """Return the summary as lines of text: one, and one for each thing to know.

    The first is such as "600 + 66 held out, 8x8 grey, 2 classes: cat (300 + 30), dog
    (300 + 36)".
    """
    parts = [_sizes(summary), _kind(summary)]
    if summary.classes:
        parts.append(_classes(summary))
    found = [", ".join(filter(None, parts))]
    for line, names in _gaps(summary).items():
        found += [f"{line}: {listed(names)}"] if names else []
    if unlabelled := summary.unlabelled:
        counts = f"{unlabelled.train} training, {unlabelled.test} held-out"
        found.append(f"{_noun(summary)} without a label: {counts}")
    if summary.left_out:
        found.append(f"left out: {'; '.join(map(shown, summary.left_out))}")
    return found


def _gaps(summary: Summary) -> dict[str, list[str]]:
    """Return the names of classes that are empty, in one split or in both."""
    empty, train, test = [], [], []
    for each in summary.classes:
        if each.train == each.test == 0:
            empty.append(each.name)
        elif each.train == 0:
            train.append(each.name)
        elif each.test == 0:
            test.append(each.name)
    if unlabelled := summary.unlabelled:
        test = [] if unlabelled.test == summary.test else test  # none has a label
    return {
        "empty classes": empty,
        f"classes without training {_noun(summary)}": train,
        f"classes without held-out {_noun(summary)}": test,
    }


def _noun(summary: Summary) -> str:
    """Return the word for the examples."""
    return "images" if len(summary.shape) == 3 else "points"


def _sizes(summary: Summary) -> str:
    if summary.train is None:
        return ""
    return f"{summary.train} + {summary.test} held out"


def _kind(summary: Summary) -> str:
    """Return the kind of the examples, such as "8x8 grey"."""
    shape, target = _image(summary.shape), _image(summary.target_shape)
    if summary.target_shape:
        return f"pairs: {shape} to {target}"
    return shape


def _image(shape: Sequence[int]) -> str:
    if len(shape) == 3:
        height, width, channels = shape
        sides = f"{height}x{width}" + ("" if height == width else " (height x width)")
        drawn = "the first is" if channels == 2 else "the first three are"
        many = f"with {channels} channels ({drawn} drawn)"
        return f"{sides} {_CHANNELS.get(channels, many)}"
    return f"points in {shape[0]} dimensions" if len(shape) == 1 else ""


def _classes(summary: Summary) -> str:
    """Return the classes that are not empty, with counts if they are few."""
    known = [summary.classes[i] for i in summary.drawn_classes]
    count = f"{len(known)} class{'es' if len(known) > 1 else ''}"
    if any(each.train is None for each in known):
        return f"{count}: {listed([each.name for each in known])}"
    if len(known) <= _MAX_COUNTED:
        each = [f"{shown(c.name, MAX_NAME)} ({c.train} + {c.test})" for c in known]
        return f"{count}: {', '.join(each)}"
    sizes = [each.train for each in known if each.train is not None]
    of_each = f"{min(sizes)} to {max(sizes)} training {_noun(summary)} in each"
    return f"{count} ({of_each}): {listed([each.name for each in known])}"
