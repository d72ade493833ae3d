"""What cannot be measured is left out with a line, and the rest is measured."""

import errno
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax import data
from gen_jax.data import Dataset, Info, MemorySplit
from gen_jax.errors import UserError
from gen_jax.evaluation import (
    Measured,
    Record,
    Value,
    by_class,
    distances,
    record,
    result,
    run_measures,
)
from gen_jax.evaluation.measure import Measure
from gen_jax.evaluation.preset import QUICK
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result
from gen_jax.figures import adversaries, draw, latent_space
from gen_jax.metrics.networks import features
from gen_jax.metrics.networks.classifier import Classifier
from gen_jax.runs.run import Run
from tests.evaluation.hand_made import draws, game_of, state_of

RNG = np.random.default_rng(0)


def dataset_of(number, shape=(8, 8, 1), y=None, y_test=None, held=20) -> Dataset:
    """Random images with these labels."""
    x, x_test = (RNG.integers(0, 256, (n, *shape), np.uint8) for n in (number, held))
    y = np.full(number, -1) if y is None else np.asarray(y)
    y_test = np.full(held, -1) if y_test is None else np.asarray(y_test)
    info = Info(shape, 1 + int(y.max()) if y.max() > 0 else 0)
    splits = (MemorySplit(a, b.astype(np.int32)) for a, b in ((x, y), (x_test, y_test)))
    return data.dataset.identified(Dataset(info, *splits))


def evaluation_on(dataset, folder, game=None, params=None, **fields) -> Evaluation:
    """An evaluation of random samples, or of a game, on a dataset."""
    pool = jnp.asarray(RNG.uniform(-1, 1, (50, *dataset.info.shape)).astype("f4"))
    game = game or draws(pool)
    state = state_of({"pool": pool} if params is None else params)
    run = Run("model", dataset.info, game, None, state, 7, folder)
    return Evaluation(run, dataset, folder / "evaluation", **fields)


@pytest.mark.parametrize(
    ("shape", "number", "name", "dim"),
    [
        ((32, 32, 3), 4000, "pixels_8x8", 192),
        ((32, 32, 3), 300, "pixels_4x4", 48),
        ((8, 8, 1), 4000, "pixels", 64),
        ((7, 12, 1), 100, "pixels_4x6", 24),
        ((64, 48, 4), 600, "pixels_8x6", 192),
    ],
)
def test_pixels_are_reduced_until_they_fit(shape, number, name, dim, tmp_path):
    this = evaluation_on(dataset_of(number, shape), tmp_path)
    network = features.fitting(this.dataset, this.max_features)
    assert (network.name, network.dim) == (name, dim)
    x = this.dataset.train.x[:3]
    found = network.features(x)
    assert found.shape == (3, dim)
    height, width = (int(s) for s in (re.findall(r"\d+", name) or shape[:2]))
    if shape[0] % height == shape[1] % width == 0:
        blocks = x.reshape(
            3, height, shape[0] // height, width, shape[1] // width, shape[2]
        )
        expected = blocks.mean((2, 4)).reshape(3, -1) / 127.5 - 1
        np.testing.assert_allclose(found, expected, atol=1e-5)
    again = features.network(name.replace("_", ":"), this.dataset)
    np.testing.assert_array_equal(again.features(x), found)


@pytest.mark.parametrize("text", ["pixels:", "pixels:0x4", "pixels:9x8", "pixels:4"])
def test_sizes_of_pixels_that_are_none(text):
    with pytest.raises(UserError, match="pixels"):
        features.network(text, dataset_of(10))


def test_without_a_covariance_the_other_numbers_are_there(tmp_path):
    """With 64 features, 71 images are 63 without a tenth, and 72 are 64."""
    for number, has_distance in ((71, False), (73, True)):
        folder = tmp_path / str(number)
        this = evaluation_on(dataset_of(2 * number), folder)
        network = features.raw(this.dataset)
        found = distances.on_network(this, network)
        assert ("frechet_distance" in found.values) == has_distance
        assert {"kernel_distance", "precision", "coverage"} <= {*found.values}
        assert bool(found.left_out) != has_distance
    [line] = distances.on_network(
        evaluation_on(dataset_of(142), tmp_path / "again"), network
    ).left_out
    least = int(re.search(r"at least (\d+) images", line)[1])
    assert least - -(-least // 10) > 64  # as the jackknife leaves a tenth out
    assert (least - 1) - -(-(least - 1) // 10) <= 64


@pytest.mark.parametrize("number", [1, 2, 5, 19, 30])
def test_few_images_leave_measures_out_and_never_end_with_a_traceback(tmp_path, number):
    this = evaluation_on(dataset_of(number, held=1), tmp_path)
    found = run_measures(this)
    assert {"on_pixels", "copies"} & {name.partition(":")[0] for name in found.measures}
    for name, measure in found.measures.items():
        assert measure.values or measure.left_out, name
        assert all("Error" not in line for line in measure.left_out)
    if number < 20:
        assert any("at least 10 examples" in line for line in found.missing)
    if number > 1:
        assert found.measures["copies"].values["memorized"].value is not None
    kept = json.loads((tmp_path / "evaluation.json").read_text())["measures"]
    assert kept.keys() == found.measures.keys()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("say what"), "say what"),
        (ValueError("a\nb"), "ValueError: a b"),
        (KeyError("x"), "KeyError: 'x'"),
        (MemoryError("10 GiB"), "out of memory: 10 GiB"),
        (OSError(errno.ENOSPC, "No space left", "a.npy"), "No space left: a.npy"),
        (RuntimeError("RESOURCE_EXHAUSTED: 3"), "out of memory: RESOURCE_EXHAUSTED: 3"),
    ],
)
def test_whatever_a_measure_raises_is_its_own(tmp_path, error, line):
    def fail(evaluation):
        """Fail."""
        raise error

    def succeed(evaluation):
        """Succeed."""
        return Result({"a": Value(1.0)}, {})

    this = evaluation_on(dataset_of(10), tmp_path)
    measures = [Measure("bad", fail, (), ()), Measure("good", succeed, (), ())]
    path = tmp_path / "evaluation.json"
    found = record.run(this, measures, path)
    assert found.missing == [f"bad: {line}"]
    assert found.measures["good"].values["a"].value == 1
    # Another failure does not replace numbers that are there.
    record.run(this, [Measure("good", fail, (), (), version=2)], path)
    assert result.read(path).measures["good"].values["a"].value == 1


def test_parallel_commands_lose_nothing(tmp_path):
    path, described = tmp_path / "evaluation.json", Record({}, {}, {})

    def add(number):
        one = {f"m{number}": Measured({"a": Value(float(number))})}
        for _ in range(5):
            assert record._merge(described, one, path) == []

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(16)))
    found = result.read(path).measures
    assert {name: m.values["a"].value for name, m in found.items()} == {
        f"m{number}": number for number in range(16)
    }


def test_a_file_that_may_not_be_read_is_not_replaced(tmp_path):
    this = evaluation_on(dataset_of(10), tmp_path)
    (tmp_path / "evaluation.json").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        record.run(this, [], tmp_path / "evaluation.json")


def test_numbers_that_cannot_be_written_are_returned(tmp_path, monkeypatch):
    this = evaluation_on(dataset_of(40), tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "evaluation.json")

    monkeypatch.setattr(Record, "write", full)
    monkeypatch.setattr("gen_jax.evaluation.chunks.save_array", full)
    found = run_measures(this, only=["copies"])
    assert found.measures["copies"].values["memorized"].value is not None
    assert "No space left" in found.missing[0]


def classifier_of(num_classes, accuracy=1.0):
    """A classifier whose features are pixels, and which finds the brightest class."""

    def probabilities(x):
        place = (x.reshape(len(x), -1).mean(1) + 1) / 2 * num_classes
        return np.eye(num_classes)[place.astype(int).clip(0, num_classes - 1)]

    return Classifier(probabilities, lambda x: x.reshape(len(x), -1), accuracy, 9, "")


def conditional(**ops):
    def sample(players, keys, y):
        return (
            jnp.zeros((len(keys), 8, 8, 1))
            + y.astype(jnp.float32)[:, None, None, None] / 10
        )

    return game_of({"sample": sample, **ops}, num_classes=3)


@pytest.mark.parametrize("few", [1, 6])
def test_a_class_of_few_images_is_left_out_alone(tmp_path, few):
    y = np.concatenate([np.arange(400) % 2, np.full(few, 2)])
    dataset = dataset_of(len(y), y=y)
    dataset = dataset._replace(info=Info((8, 8, 1), 3, class_names=("a", "b", "owl")))
    this = evaluation_on(dataset, tmp_path, conditional(), {})
    vars(this)["classifier"] = classifier_of(3, accuracy=None)
    found = by_class.by_class(this)
    assert list(found.by_class) == ["a", "b"]
    number = len(range(2, (400 + few) // 2, 3))  # every third of half as many samples
    line = f"classes left out: owl ({number} and {few // 2 * 2}); precision, recall"
    assert found.left_out[0].startswith(line)
    assert found.values["recall"].value is not None
    assert found.values["label_accuracy"].real_baseline is None
    assert "classifier_accuracy" not in found.values


def test_a_frechet_distance_by_class_says_what_to_do(tmp_path):
    y = np.arange(6000) % 3
    for preset, advice in (
        (QUICK._replace(samples=2000, pairwise=90), "--preset=paper takes 10,000"),
        (QUICK._replace(samples=90), "use --samples=240"),
        (QUICK._replace(samples=90), "use data with more images"),
    ):
        dataset = dataset_of(len(y) if "data" not in advice else 180, y=y[:6000])
        if "data" in advice:
            dataset = dataset_of(180, y=y[:180])
        this = evaluation_on(dataset, tmp_path, conditional(), {}, preset=preset)
        vars(this)["classifier"] = classifier_of(3)
        found = by_class.by_class(this)
        assert found.note.startswith("no frechet distance by class")
        assert advice in found.note
        assert not found.left_out  # the rest is measured, so the command succeeds


@pytest.mark.parametrize("labels", [[-1] * 20, [-1] * 19 + [1], [0] * 20])
def test_labels_of_minus_one_are_known_inside(tmp_path, labels):
    """A model of labels is tried on images that have one, or left out with a line."""

    def score(players, x, y):
        return x.mean((1, 2, 3)) + y.astype(jnp.float32)

    encode = {"encode": lambda players, x, keys=None, y=None: x.reshape(len(x), -1)}
    game = conditional(score=score, decode=lambda players, z, y: z, **encode)
    dataset = dataset_of(300, y=np.arange(300) % 3, y_test=labels)
    this = evaluation_on(dataset, tmp_path, game, {})
    known = sum(label >= 0 for label in labels)
    if not known:
        for figure in (adversaries.match, latent_space.scatter):
            with pytest.raises(UserError, match="none of 20 test images has one"):
                figure(this)
        return
    numbers = adversaries.match(this).numbers
    assert numbers["images"] == known
    # The score rises with the label, so the last class always wins.
    wins = np.mean([label / 2 for label in labels if label >= 0])
    assert numbers["true_label_scores_above_a_wrong_one"] == pytest.approx(wins)
    found = latent_space.scatter(this)
    assert found.numbers["most_frequent_class"] == 1
    assert 0 <= found.numbers["linear_probe_accuracy"] <= 1


def test_an_unconditional_model_has_a_probe_only_with_labels(tmp_path):
    encode = {"encode": lambda players, x, keys=None, y=None: x.reshape(len(x), -1)}
    dataset = dataset_of(300, y=np.arange(300) % 3)
    found = latent_space.scatter(evaluation_on(dataset, tmp_path, game_of(encode), {}))
    assert "linear_probe_accuracy" not in found.numbers
    assert "needs test images with labels" in found.left_out[0]
    assert found.pictures["latents"].ndim == 3


def test_figures_go_on_after_one_that_fails(tmp_path):
    def prior(players, keys):
        return jnp.zeros((len(keys), 3))

    def decode(players, z, y=None):
        raise ZeroDivisionError("of a plugin")

    pool = RNG.uniform(-1, 1, (50, 8, 8, 1)).astype("f4")
    game = draws(pool, prior=prior, decode=decode)
    this = evaluation_on(dataset_of(100), tmp_path, game, {"pool": jnp.asarray(pool)})
    found = draw([this], tmp_path / "figures")
    assert found.missing == ["interpolation: ZeroDivisionError: of a plugin"]
    assert (tmp_path / "figures" / "sharpness.png").exists()
    content = json.loads((tmp_path / "figures" / "figures.json").read_text())
    assert content["claims"]["sharpness"]["pictures"] == ["sharpness.png"]
    only = draw([this], tmp_path / "figures", ["learning"])
    assert list(only.claims) == ["learning"]
    after = json.loads((tmp_path / "figures" / "figures.json").read_text())
    assert {*after["claims"]} == {*content["claims"]}  # earlier claims stay


def test_a_seed_that_fails_is_left_out_alone():
    def of(seed, *values, line=""):
        named = {"a": Value(values[0])} if values else {}
        measure = Measured(named, context={"k": 1}, left_out=[line] if line else [])
        return Record({"m": measure}, {"folder": "x/s", "training_seed": seed})

    bad = of(1, line="no images")
    found = record.over_seeds([of(0, 1.0), bad, of(2, 3.0)])
    assert found.measures["m"].values["a"].value == 2
    assert "2 training seeds" in found.measures["m"].values["a"].interval
    assert found.missing == ["m: seed 1: no images"]
    alone = record.over_seeds([of(0, 1.0), bad])
    assert (alone.measures, alone.missing) == ({}, ["m: seed 1: no images"])
    alike = record.over_seeds([of(s, float(s), line="few") for s in (0, 1)])
    assert alike.missing == ["m: few"]


def test_a_network_that_cannot_be_had_fails_alone(tmp_path):
    this = evaluation_on(dataset_of(200), tmp_path)
    found = run_measures(this, features=["classifier", "pixels"])
    assert "kernel_distance" in found.measures["on_pixels"].values
    [line] = found.measures["on_classifier"].left_out
    assert "a classifier needs labels" in line
    with pytest.raises(UserError, match="'resnet' is unknown"):
        run_measures(this, features=["pixels", "resnet"])


def test_labels_of_one_class_are_no_labels(tmp_path):
    dataset = dataset_of(200, y=np.zeros(200))
    for classes in (0, 1):
        info = dataset.info._replace(num_classes=classes)
        this = evaluation_on(dataset._replace(info=info), tmp_path / str(classes))
        assert "labels" not in this.capabilities
        assert list(run_measures(this).measures) == ["on_pixels", "copies"]
    # Two are promised, but one has images: pixels are taken.
    info = dataset.info._replace(num_classes=2)
    this = evaluation_on(dataset._replace(info=info), tmp_path / "two")
    found = run_measures(this)
    assert "on_pixels" in found.measures
    assert "a classifier needs labels" in found.measures["class_fractions"].left_out[0]
