"""evaluation.json: measures are kept as long as they are valid; seeds are combined."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

from gen_jax.errors import UserError
from gen_jax.evaluation import Measured, Record, Value, record, result
from gen_jax.evaluation.measures import measures
from gen_jax.evaluation.preset import QUICK
from tests.evaluation.hand_made import draws, evaluation_of, on_pixels


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """All training digits [1637, 8, 8, 1] in [-1, 1], and their labels."""
    folder = tmp_path_factory.mktemp("real")
    return evaluation_of(folder, draws(np.zeros(1))).real(5000, "train")


def test_a_measure_is_kept_as_long_as_it_is_valid(tmp_path, real):
    x, _ = real
    quick = QUICK._replace(samples=80, pairwise=80)
    path = tmp_path / "evaluation.json"

    def taken(version=1, **options):
        this = on_pixels(tmp_path, x, quick, **options)
        [chosen] = [m for m in measures(this) if m.name == "copies"]
        chosen = chosen._replace(version=version)
        return record.run(this, [chosen], path).measures["copies"]

    first = taken()
    content = json.loads(path.read_text())
    assert content["measures"]["copies"] == dataclasses.asdict(first)
    assert first.context["step"] == 7
    content["measures"]["copies"]["seconds"] = -1
    path.write_text(json.dumps(content))
    assert taken().seconds == -1  # it was read
    assert taken(version=2).seconds >= 0
    path.write_text(json.dumps(content))
    assert taken(seed=1).seconds >= 0
    path.write_text("{")
    assert taken().values == first.values


def test_other_measures_stay_and_name_their_own_seed(tmp_path, real):
    x, _ = real
    quick = QUICK._replace(samples=80, pairwise=80)
    path = tmp_path / "evaluation.json"

    def take(*names, seed=0):
        this = on_pixels(tmp_path, x, quick, seed=seed)
        chosen = [m for m in measures(this) if m.name in names]
        assert len(chosen) == len(names)
        return record.run(this, chosen, path).measures

    both = take("copies", "on_pixels")
    assert list(take("copies", seed=1)) == ["copies"]
    kept = result.read(path).measures
    assert kept["on_pixels"] == both["on_pixels"]
    assert kept["on_pixels"].context["seed"] == 0
    assert kept["copies"].context["seed"] == 1
    content = json.loads(path.read_text())["measures"]
    path.write_text(json.dumps({"measures": {**content, "bound": {}, "parzen": 3}}))
    assert result.read(path).measures == kept  # without the damaged ones


def test_a_measure_that_fails_does_not_stop_the_others(tmp_path, real):
    x, _ = real
    quick = QUICK._replace(samples=80, pairwise=80)
    this = on_pixels(tmp_path, x, quick)
    [copies] = [m for m in measures(this) if m.name == "copies"]

    def fails(evaluation):
        """Raise an error."""
        raise UserError("not of this")

    broken = copies._replace(name="broken", run=fails)
    path = tmp_path / "evaluation.json"
    found = record.run(this, [broken, copies], path)
    assert found.missing == ["broken: not of this"]
    assert found.measures["copies"].values["memorized"].value == 1
    assert result.read(path).measures == found.measures


def test_another_network_leaves_other_measures_valid(tmp_path, real):
    x, _ = real
    quick = QUICK._replace(samples=80, pairwise=80)
    path = tmp_path / "evaluation.json"
    this = on_pixels(tmp_path, x, quick)
    [copies] = [m for m in measures(this) if m.name == "copies"]
    first = record.run(this, [copies], path).measures["copies"]
    more = quick._replace(bound_images=7, importance_samples=9)
    other = dataclasses.replace(this, networks=(), preset=more)
    assert record.run(other, [copies], path).measures["copies"] == first


def test_several_seeds_are_combined_with_a_t_interval():
    numbers = [1.0, 2.0, 4.0]

    def content(seed, number, k=1):
        values = {
            "a": Value(number, real_baseline=0.5, unit="nats"),
            "fraction": Value(number / 4, fraction=True),
        }
        by_class = {"3": {"label_accuracy": number / 4}}
        measure = Measured(values, "w", {"k": k}, by_class, seconds=1.0)
        about = {"folder": f"runs/x/seed_{seed}", "training_seed": seed}
        return Record({"m": measure}, about)

    together = record.over_seeds([content(s, x) for s, x in enumerate(numbers)])
    value = together.measures["m"].values["a"]
    low, high = scipy.stats.t.interval(
        0.95, 2, np.mean(numbers), scipy.stats.sem(numbers)
    )
    np.testing.assert_allclose([value.low, value.high], [low, high])
    assert (value.real_baseline, value.unit) == (0.5, "nats")
    mean = together.measures["m"].by_class["3"]["label_accuracy"]
    assert mean == pytest.approx(np.mean(numbers) / 4)
    fraction = together.measures["m"].values["fraction"]
    assert (fraction.low, fraction.high) == (0.0, 1.0)  # the t interval is wider
    assert together.run["training_seed"] == [0, 1, 2]
    assert together.run["folder"] == "runs/x"
    otherwise = [content(s, x, k=3 + (s == 1)) for s, x in enumerate(numbers)]
    together = record.over_seeds(otherwise)
    assert together.measures == {}
    line = "m: the seeds were not measured in the same way: k 3 (seed 0, 2), 4 (seed 1)"
    assert together.missing == [line]
    with pytest.raises(UserError, match="two of them"):
        record.over_seeds([content(0, 1.0)])


@pytest.mark.parametrize(
    ("contexts", "says"),
    [
        (
            [{"step": 40, "k": 1}, {"step": 20, "k": 1}],
            "step 40 (seed 0), 20 (seed 1)",
        ),
        (
            [{"weights": "raw", "eta": 0.5}, {"weights": "averaged"}],
            "weights raw (seed 0), averaged (seed 1); eta 0.5 (seed 0), none (seed 1)",
        ),
        ([{"samples": 1, "sha256": "a"}, {"samples": 1.0, "sha256": "b"}], ""),
    ],
)
def test_what_was_measured_in_another_way_is_named(contexts, says):
    each = [
        Record({"m": Measured({"a": Value(1.0)}, "w", context)}, about)
        for seed, context in enumerate(contexts)
        for about in [{"folder": f"x/seed_{seed}", "training_seed": seed}]
    ]
    lines = record.over_seeds(each).missing
    assert [line.partition("way: ")[2] for line in lines] == [says] * bool(says)
