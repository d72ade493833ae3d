"""TensorFlow Datasets, read without TensorFlow.

`tfds.data_source` reads what is prepared as array_record. Preparing a stock dataset
takes TensorFlow, so that happens in a process of its own.
"""

import dataclasses
import difflib
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gen_jax.data.dataset import DataConfig, Dataset, Info, Source
from gen_jax.data.encoded import Picture, Record, encoded_dataset, first_shape
from gen_jax.errors import UserError

_PREPARE = """
import sys
import tensorflow_datasets as tfds
name, data_dir = sys.argv[1:]
builder = tfds.builder(name, data_dir=data_dir or None, file_format="array_record")
builder.download_and_prepare()
"""


@dataclasses.dataclass(frozen=True, eq=False)
class _DataSource:
    """A split of a prepared dataset, its pictures still encoded."""

    source: Any  # tfds.data_source's
    image: str
    label: str | None
    where: str

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Sequence[int]) -> list[Record]:
        examples = self.source.__getitems__([int(i) for i in indices])
        return [self._record(*each) for each in zip(indices, examples, strict=True)]

    def _record(self, index: int, example: dict[str, Any]) -> Record:
        picture = Picture(example[self.image], f"{self.where}, example {index},")
        return Record((picture,), int(example[self.label]) if self.label else -1)


def open_tfds(config: DataConfig, name: str) -> Source:
    """A dataset by its TFDS name, with an image feature and perhaps a class label.

    name: as `tfds.builder` takes it, "mnist" or "my_set/my_config:1.0.0"; a dataset of
        one's own builder has to be prepared in config.data_dir as array_record, a
        stock one is prepared on loading. Its test or validation split is held out.

    Raises UserError for an unknown name, features or formats that do not fit, and
    where a stock dataset cannot be prepared.
    """
    builder = _builder(name, config.data_dir)
    image, label = _features(name, builder.info.features)
    *size, channels = builder.info.features[image].shape
    if config.image_size:
        size = [config.image_size] * 2
    num_classes = builder.info.features[label].num_classes if label else 0
    if None not in size and (config.channels or channels):
        shape = (*size, config.channels or channels)
    elif _is_prepared(builder):
        shape = first_shape(_records(name, builder, "train"), config)
    else:
        raise UserError(
            f"tfds:{name} holds images of any shape: set --config.data.image_size "
            "and channels"
        )
    info = Info(shape, num_classes)

    def load() -> Dataset:
        if not _is_prepared(builder):
            _prepare(name, builder, config.data_dir)
        prepared = _builder(name, config.data_dir)
        tests = [
            _records(name, prepared, split)
            for split in ("test", "validation")
            if split in prepared.info.splits
        ]
        return encoded_dataset(
            info, config, _records(name, prepared, "train"), *tests[:1]
        )

    return Source(info, load)


def _builder(name: str, data_dir: str):
    import tensorflow_datasets as tfds

    data_dir = str(Path(data_dir).expanduser()) if data_dir else None
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        if data_dir and Path(data_dir).is_dir():
            known += [path.name for path in Path(data_dir).iterdir()]
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        where = data_dir or "TFDS's default folder"
        raise UserError(
            f"tfds:{name}: {hint}TFDS has no dataset of that name, and none is "
            f"prepared in {where} (--config.data.data_dir)"
        ) from None
    except Exception as error:  # TFDS raises assertions and more for bad versions
        raise UserError(f"tfds:{name}: {str(error).strip().splitlines()[0]}") from error


def _features(name: str, features) -> tuple[str, str | None]:
    """The keys of the image and of the label, found by type."""
    import tensorflow_datasets as tfds

    def keys(kind: type, usual: str) -> list[str]:
        found = [key for key, feature in features.items() if isinstance(feature, kind)]
        return [usual] if usual in found else found

    images = keys(tfds.features.Image, "image")
    labels = keys(tfds.features.ClassLabel, "label")
    if len(images) != 1 or features[images[0]].np_dtype != np.uint8:
        raise UserError(
            f"tfds:{name} has the features {', '.join(features)}; needed: one uint8 "
            'Image, or one named "image"'
        )
    return images[0], labels[0] if len(labels) == 1 else None


def _records(name: str, builder, split: str) -> _DataSource:
    import tensorflow_datasets as tfds

    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise UserError(f"tfds:{name} has no split {split!r}, only {known}")
    image, label = _features(name, builder.info.features)
    decoders = {image: tfds.decode.SkipDecoding()}
    try:
        source = builder.as_data_source(split=split, decoders=decoders)
    except NotImplementedError:
        raise UserError(
            f"{builder.data_path} is prepared as {builder.info.file_format.value}, "
            "which has no random access: prepare it with file_format='array_record', "
            "or name another folder with --config.data.data_dir"
        ) from None
    return _DataSource(source, image, label, f"tfds:{name} {split}")


def _prepare(name: str, builder, data_dir: str) -> None:
    """Downloads and prepares a stock dataset in a process with TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"tfds:{name} is not prepared in {builder.data_path}, and preparing it "
            "takes TensorFlow: pip install 'gen_jax[tfds]'"
        )
    print(
        f"tfds:{name}: downloading and preparing into {builder.data_path}, in a "
        "process of its own with TensorFlow",
        file=sys.stderr,
    )
    data_dir = str(Path(data_dir).expanduser()) if data_dir else ""
    command = [sys.executable, "-c", _PREPARE, name, data_dir]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"tfds:{name} was not prepared: {_last_line(done.stderr)}")


def _last_line(text: str) -> str:
    return ([""] + [line for line in text.splitlines() if line.strip()])[-1].strip()


def _is_prepared(builder) -> bool:
    """Whether the files are there, without TFDS's own warning where they are not."""
    logger = logging.getLogger("absl")
    disabled, logger.disabled = logger.disabled, True
    try:
        return builder.is_prepared()
    finally:
        logger.disabled = disabled
