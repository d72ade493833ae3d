"""TensorFlow Datasets, read without TensorFlow.

`tfds.data_source` reads datasets that are prepared as array_record. Preparing a stock
dataset needs TensorFlow, so that happens in a separate process.
"""

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from gen_jax import console
from gen_jax.data.dataset import DataConfig, Dataset, Indices, Info
from gen_jax.data.encoded import EncodedImage, Record, encoded_dataset, first_shape
from gen_jax.data.source import Source
from gen_jax.errors import UserError, nearest, one_line

_PREPARE = """
import sys
import tensorflow_datasets as tfds
name, data_dir = sys.argv[1:]
builder = tfds.builder(name, data_dir=data_dir or None, file_format="array_record")
builder.download_and_prepare()
"""


@dataclasses.dataclass(frozen=True, eq=False)
class _DataSource:
    """A split of a prepared dataset, its images still encoded."""

    source: Any  # tfds.data_source's
    image: str
    label: str | None
    where: str

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Indices) -> list[Record]:
        try:
            examples = self.source.__getitems__([int(i) for i in indices])
        except Exception as error:  # readers of others raise errors of all kinds
            reason = one_line(error)
            raise UserError(f"{self.where} cannot be read: {reason}") from error
        return [self._record(*each) for each in zip(indices, examples, strict=True)]

    def _record(self, index: int, example: dict[str, Any]) -> Record:
        image = EncodedImage(example[self.image], f"{self.where}, example {index},")
        return Record((image,), int(example[self.label]) if self.label else -1)


def describe(config: DataConfig) -> Info:
    """Return shapes and classes from the dataset's own description.

    config.where: a name as `tfds.builder` takes it, "mnist" or
        "my_set/my_config:1.0.0". A dataset of one's own builder has to be prepared in
        config.data_dir as array_record; a stock one is prepared by `load`.

    Raises UserError for an unknown name, unsuitable features, or a shape that is
    unknown before the dataset is prepared.
    """
    builder = _builder(config)
    image, label = _features(config.where, builder.info.features)
    *size, channels = builder.info.features[image].shape
    if config.image_size:
        size = list(config.size)
    if None not in size and (config.channels or channels):
        shape = (*size, config.channels or channels)
    elif builder.is_prepared():
        shape = first_shape(_records(config, builder, "train"), config)
    else:
        raise UserError(
            f"{config.spec} holds images of any shape: set --config.data.image_size "
            "and channels"
        )
    if label is None:
        return Info(shape, 0)
    feature = builder.info.features[label]
    names = tuple(feature.names)
    numbers = tuple(map(str, range(feature.num_classes)))  # TFDS's own for no names
    return Info(
        shape, feature.num_classes, class_names=() if names == numbers else names
    )


def load(config: DataConfig) -> Dataset:
    """Load a dataset, prepared first if it is a stock one.

    Its test or validation split is held out; without one, a tenth.

    Raises UserError as `describe`, for another file format, and if a stock dataset
    cannot be prepared.
    """
    info = describe(config)  # raises on mistakes before anything is downloaded
    builder = _builder(config)
    if not builder.is_prepared():
        _prepare(config, builder)
        builder, info = _builder(config), describe(config)  # now with class names
    tests = (name for name in ("test", "validation") if name in builder.info.splits)
    held_out = next(tests, None)
    return encoded_dataset(
        info,
        config,
        _records(config, builder, "train"),
        _records(config, builder, held_out) if held_out else None,
    )


def _data_dir(config: DataConfig) -> str | None:
    return os.path.expanduser(config.data_dir) or None  # a Path would change a URL


def _builder(config: DataConfig) -> Any:
    import tensorflow_datasets as tfds

    name, data_dir = config.where, _data_dir(config)
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        if data_dir and Path(data_dir).is_dir():
            known += [path.name for path in Path(data_dir).iterdir()]
        where = data_dir or "TFDS's default folder"
        raise UserError(
            f"tfds:{name}: TFDS has no dataset of that name, and none is prepared in "
            f"{where} (--config.data.data_dir).{nearest(name, known)}"
        ) from None
    except Exception as error:  # TFDS raises assertions and more for bad versions
        raise UserError(f"tfds:{name}: {str(error).strip().splitlines()[0]}") from error


def _features(name: str, features: Any) -> tuple[str, str | None]:
    """Return the keys of the image and label features.

    The label's is None if there is no unique one.
    """
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


def _records(config: DataConfig, builder: Any, split: str) -> _DataSource:
    import tensorflow_datasets as tfds

    if split not in builder.info.splits:
        known = ", ".join(builder.info.splits)
        raise UserError(
            f"{config.spec} has no split {split!r}; its splits are {known}: choose one "
            "of them"
        )
    if importlib.util.find_spec("array_record") is None:
        raise UserError(
            f"reading {config.spec} needs array_record: pip install array-record "
            "(Linux and macOS only), or use another source"
        )
    image, label = _features(config.where, builder.info.features)
    decoders = {image: tfds.decode.SkipDecoding()}
    try:
        source = builder.as_data_source(split=split, decoders=decoders)
    except NotImplementedError:
        raise UserError(
            f"{builder.data_path} is prepared as {builder.info.file_format.value}, "
            "which has no random access: prepare it with file_format='array_record', "
            "or name another folder with --config.data.data_dir"
        ) from None
    return _DataSource(source, image, label, f"{config.spec} {split}")


def _prepare(config: DataConfig, builder: Any) -> None:
    """Download and prepare a stock dataset in a process with TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"{config.spec} is not prepared in {builder.data_path}, and preparing it "
            "needs TensorFlow: pip install 'gen_jax[tfds]'"
        )
    console.tell(
        f"{config.spec}: downloading and preparing into {builder.data_path}, in a "
        "separate process with TensorFlow"
    )
    command = [sys.executable, "-c", _PREPARE, config.where, _data_dir(config) or ""]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last_line = done.stderr.strip().rpartition("\n")[2]
        raise UserError(f"{config.spec} was not prepared: {last_line}")


SOURCE = Source(describe, load, where="NAME")
