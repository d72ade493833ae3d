"""TFDS: a builder of our own, prepared and read without TensorFlow."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from gen_jax.data import DataConfig, Info, batches, describe, load
from gen_jax.data import tfds as source
from gen_jax.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 5, 4, 3), np.uint8)


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


class Blobs(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A user's dataset: images and a label, under unusual names."""

    name = "blobs"
    VERSION = tfds.core.Version("1.0.0")
    FEATURES = {  # noqa: RUF012
        "picture": tfds.features.Image(shape=(5, 4, 3)),
        "kind": tfds.features.ClassLabel(num_classes=3),
        "comment": tfds.features.Text(),
    }
    SPLITS = {"train": range(20), "validation": range(20, 24)}  # noqa: RUF012

    def _info(self):
        features = tfds.features.FeaturesDict(self.FEATURES)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(i) for name, i in self.SPLITS.items()}

    def _generate_examples(self, indices):
        for i in indices:
            example = {"picture": _png(PIXELS[i]), "kind": i % 3, "comment": "a"}
            yield i, {key: example[key] for key in self.FEATURES}


class Plain(Blobs, skip_registration=True):
    """Pictures of a shape that is not declared, without label or second split."""

    name = "plain"
    FEATURES = {"picture": tfds.features.Image(shape=(None, None, 3))}  # noqa: RUF012
    SPLITS = {"train": range(24)}  # noqa: RUF012


class Named(Blobs, skip_registration=True):
    """Classes that have names."""

    name = "named"
    FEATURES = {  # noqa: RUF012
        "image": tfds.features.Image(shape=(5, 4, 3)),
        "label": tfds.features.ClassLabel(names=["ape", "bee", "cow"]),
    }

    def _generate_examples(self, indices):
        for i in indices:
            yield i, {"image": _png(PIXELS[i]), "label": ("cow", "ape")[i % 2]}


class Words(Blobs, skip_registration=True):
    """No pictures at all."""

    name = "words"
    FEATURES = {"comment": tfds.features.Text()}  # noqa: RUF012


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (Blobs, Plain, Named, Words):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return str(folder)


def test_classes_have_their_names(data_dir):
    config = DataConfig("tfds:named", data_dir=data_dir)
    dataset = load(config)
    expected = Info((5, 4, 3), 3, class_names=("ape", "bee", "cow"))
    assert describe(config) == dataset.info == expected
    assert set(dataset.train.read(range(20))["y"]) == {0, 2}


@pytest.mark.parametrize("memory_gib", [0.0, 4.0])
def test_a_dataset_of_ones_own_is_read_by_name(data_dir, memory_gib):
    config = DataConfig("tfds:blobs", data_dir=data_dir, memory_gib=memory_gib)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((5, 4, 3), 3)
    assert (len(dataset.train), len(dataset.test)) == (20, 4)
    read = dataset.train.read(range(20))
    expected = {PIXELS[i].tobytes(): i % 3 for i in range(20)}
    found = zip((x.tobytes() for x in read["x"]), read["y"], strict=True)
    assert dict(found) == expected
    assert next(batches(dataset.train, 32, seed=0)(3))["x"].shape == (32, 5, 4, 3)


def test_shapes_and_splits_may_be_undeclared(data_dir):
    config = DataConfig("tfds:plain", data_dir=data_dir)
    dataset = load(config)
    assert describe(config) == dataset.info == Info((5, 4, 3), 0)
    assert len(dataset.train) + len(dataset.test) == 24
    assert set(dataset.train.read(range(5))["y"]) == {-1}
    resized = DataConfig(
        "tfds:plain:1.0.0", image_size=8, channels=1, data_dir=data_dir
    )
    assert load(resized).train.read([0, 1])["x"].shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blob", "Did you mean blobs"),
        ("mnits", "Did you mean mnist"),
        ("words", "has the features comment; needed: one uint8 Image"),
        ("mnist:9.9.9", "cannot be loaded at version 9.9.9"),
        ("a b", "Parsing builder name string a b failed"),
    ],
)
def test_a_bad_name_is_named(data_dir, name, message):
    with pytest.raises(UserError, match=message) as error:
        describe(DataConfig(f"tfds:{name}", data_dir=data_dir))
    assert "\n" not in str(error.value)


def test_another_format_is_named(data_dir, tmp_path):
    config = DataConfig("tfds:blobs", data_dir=str(tmp_path))
    (tmp_path / "blobs").symlink_to(f"{data_dir}/blobs")
    info = tmp_path / "blobs" / "1.0.0" / "dataset_info.json"
    text = info.read_text()
    info.write_text(text.replace('"array_record"', '"tfrecord"'))
    try:
        with pytest.raises(UserError, match="is prepared as tfrecord"):
            load(config)
    finally:
        info.write_text(text)


class TestStockDatasets:
    """Those that TFDS has to prepare, in a process with TensorFlow: here a fake."""

    config = DataConfig("mnist")

    @pytest.fixture(autouse=True)
    def _own_folder(self, tmp_path):
        self.config = dataclasses.replace(self.config, data_dir=str(tmp_path))

    def test_they_are_described_unprepared(self):
        assert describe(self.config) == Info((28, 28, 1), 10)
        assert describe(dataclasses.replace(self.config, image_size=32)).shape[0] == 32
        voc = dataclasses.replace(self.config, spec="tfds:voc")
        with pytest.raises(UserError, match=r"set --config\.data\.image_size"):
            describe(voc)

    def test_without_tensorflow_the_extra_is_named(self, monkeypatch, capsys):
        monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pip install 'gen_jax\[tfds\]'"):
            load(self.config)
        assert capsys.readouterr().err == ""

    def test_without_array_record_the_package_is_named(self, data_dir, monkeypatch):
        monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UserError, match="needs array_record: pip install array-re"):
            load(DataConfig("tfds:blobs", data_dir=data_dir))

    def test_a_failure_is_told_in_its_last_line(self, monkeypatch, capsys):
        monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: name)
        monkeypatch.setattr(source, "_PREPARE", "raise OSError('no network')")
        with pytest.raises(UserError, match="not prepared: OSError: no network"):
            load(self.config)
        assert capsys.readouterr().err.count("\n") == 1

    def test_they_are_prepared_in_another_process(self, monkeypatch):
        calls = []

        def run(command, **options):
            calls.append(command)
            Mnist(
                data_dir=command[-1], file_format="array_record"
            ).download_and_prepare()
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: name)
        monkeypatch.setattr(source.subprocess, "run", run)
        dataset = load(self.config)
        assert dataset.info == Info((28, 28, 1), 10)
        assert (len(dataset.train), len(dataset.test)) == (12, 4)
        load(self.config)
        assert [command[0] for command in calls] == [sys.executable]  # once


class Mnist(Blobs, skip_registration=True):
    """A few pictures under the stock name, version and shape."""

    name = "mnist"
    VERSION = tfds.core.Version("3.0.1")
    FEATURES = {  # noqa: RUF012
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    SPLITS = {"train": range(12), "test": range(4)}  # noqa: RUF012

    def _generate_examples(self, indices):
        for i in indices:
            image = Image.fromarray(np.full((28, 28), i, np.uint8))
            yield i, {"image": image, "label": i % 10}


def test_nothing_imports_tensorflow():
    assert "tensorflow" not in sys.modules
