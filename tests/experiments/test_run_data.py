"""A run's data are known by their content; streamed ones are read block by block."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from command_line import run, shrunk, succeed
from PIL import Image

from experiments.run_config import check_data, of_new
from gen_jax import config as configs
from gen_jax import data, experiment, report
from gen_jax.config import from_dict, to_dict
from gen_jax.data import DataConfig
from gen_jax.errors import UserError
from gen_jax.evaluation import run_measures
from gen_jax.evaluation.measure import Measure
from gen_jax.evaluation.preset import QUICK
from gen_jax.evaluation.record import compute
from gen_jax.evaluation.request import of_folder
from gen_jax.evaluation.result import Result
from gen_jax.evaluation.run_data import absolute_spec, loaded, trained_on
from gen_jax.figures import draw
from gen_jax.runs.checkpoint import newest_meta, step_directories
from tests.evaluation.hand_made import draws, evaluation_of

RNG = np.random.default_rng(0)
NO_VALUES = Measure("nothing", lambda _: Result({}, {}), (), ())


def put(path, side=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (side, side), np.uint8)).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of cvae on a folder whose test images have no labels."""
    folder = tmp_path_factory.mktemp("run_data")
    for i in range(60):
        put(folder / "pics" / "train" / ("cat", "dog")[i % 2] / f"{i}.png")
        if i < 8:
            put(folder / "pics" / "test" / f"{i}.png")
    flags = [f"--workdir={folder / 'run'}", f"--data=folder:{folder / 'pics'}"]
    succeed("train", *shrunk("cvae", 2), *flags)
    return folder


def test_all_that_test_images_without_labels_allow_is_measured_and_drawn(trained):
    this = of_folder(trained / "run", out=trained / "out")
    found = run_measures(this)
    assert "kernel_distance" in found.measures["on_classifier"].values
    assert found.measures["by_class"].values["label_accuracy"].value is not None
    assert found.measures["copies"].values["memorized"].real_baseline is not None
    lines = "\n".join(found.missing)
    assert "bound: this model takes labels, and none of 8 test images has one" in lines
    assert "Error" not in lines
    assert (trained / "out" / "evaluation.json").exists()
    assert not (trained / "run" / "evaluation.json").exists()
    drawn = draw([this], trained / "figures")
    assert {"classes.png", "style.png", "sharpness.png"} <= {
        path.name for path in (trained / "figures").iterdir()
    }
    assert any("latents: this model takes labels" in line for line in drawn.missing)
    assert "Error" not in "\n".join(drawn.missing)


def test_moved_data_are_taken_by_their_content(trained, capsys):
    moved = shutil.copytree(trained / "pics", trained / "moved")
    place, away = trained / "pics", trained / "away"
    place.rename(away)
    try:
        with pytest.raises(UserError, match="if the data were moved, add --data=SPEC"):
            of_folder(trained / "run")
        this = of_folder(trained / "run", spec=f"folder:{moved}")
        assert this.about_run["data"] == f"folder:{moved}"
        assert "data" not in compute(this, NO_VALUES).context
        spec = absolute_spec(trained / "run", f"folder:{moved}")
        report.write([trained / "run"], trained / "report.html", spec)
        assert (
            f"--config.data.spec=folder:{moved}"
            in (trained / "report.html").read_text()
        )
        put(moved / "train" / "cat" / "0.png")  # as many, but another one
        says = r"holds other data .* held out as then, but of other content$"
        with pytest.raises(UserError, match=says):
            of_folder(trained / "run", spec=f"folder:{moved}")
        (moved / "train" / "cat" / "0.png").unlink()
        with pytest.raises(UserError, match="59 examples and 8 held out now, 60"):
            absolute_spec(trained / "run", f"folder:{moved}")
        # At their own place, other data are taken, and told.
        moved.rename(place)
        this = of_folder(trained / "run")
        told = f"folder:{place} has changed since the training: 59 examples and 8 held "
        assert told in capsys.readouterr().err
        assert compute(this, NO_VALUES).context["data"].startswith(told)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        away.rename(place)


def test_the_command_takes_the_place_of_moved_data_and_prints_all(trained):
    place, away = trained / "pics", trained / "away"
    place.rename(away)
    try:
        flags = [f"--workdir={trained / 'run'}", f"--out={trained / 'by_command'}"]
        only = "--only=copies,bound"
        done = run("evaluate", *flags, only, f"--data=folder:{away}")
    finally:
        away.rename(place)
    assert done.returncode == 2
    assert "memorized" in done.stdout
    assert "bound: left out" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: left out: bound: this model")
    assert "Traceback" not in done.stderr
    content = json.loads((trained / "by_command" / "evaluation.json").read_text())
    assert content["measures"]["bound"]["left_out"]


def test_classes_of_other_names_are_told_on_resume(trained, capsys):
    meta = newest_meta(step_directories(trained / "run"))
    config = from_dict(experiment.find("cvae").config, meta["config"])
    again = {**meta, "info": {**meta["info"], "class_names": ["cat", "wolf"]}}
    check_data(config, meta, meta, trained / "run")
    assert capsys.readouterr().err == ""
    check_data(config, again, meta, trained / "run")
    line = "classes have other names: dog is now wolf\n"
    assert capsys.readouterr().err == line
    other = {**meta, "data": {**meta["data"], "digest": "0" * 32}}
    with pytest.raises(UserError, match="then, of other content; to begin a new run"):
        check_data(config, other, meta, trained / "run")
    fewer = {**meta, "data": {**meta["data"], "test": 7}}  # broken ones are left out
    check_data(config, fewer, meta, trained / "run")
    streamed = dataclasses.replace(config.data, memory_gib=0.0)
    config = dataclasses.replace(config, data=streamed)
    with pytest.raises(UserError, match=r"other files: set --config.data.memory_gib=4"):
        check_data(config, other, meta, trained / "run")
    assert configs.may_change_on_resume(config, "data.memory_gib")


@pytest.mark.parametrize("spec", ["folder:{}/gone", "npz:{}/gone.npz", "pairs:{}/gone"])
def test_data_that_are_gone_get_a_hint(tmp_path, spec):
    with pytest.raises(UserError, match=r"no such .*; if the data were moved, add --d"):
        loaded(DataConfig(spec.format(tmp_path)))
    (tmp_path / "here").mkdir()
    with pytest.raises(UserError, match="holds no images") as caught:
        loaded(DataConfig(f"folder:{tmp_path / 'here'}"))
    assert "moved" not in str(caught.value)


def test_a_new_run_on_other_pairs_may_have_another_layout(trained, monkeypatch):
    meta = newest_meta(step_directories(trained / "run"))
    pairs = data.PairsConfig("pairs:/old", layout="folders", direction="b_to_a")
    config = dataclasses.replace(experiment.find("pix2pix").config, data=pairs)
    saved = {**meta, "experiment": "pix2pix", "config": to_dict(config)}
    monkeypatch.setattr("gen_jax.runs.checkpoint.newest_meta", lambda _: saved)

    def layout(*overrides):
        return of_new(None, str(trained / "run"), list(overrides))[1].data.layout

    new = ("data.spec", "pairs:/new")
    assert layout() == "folders"
    assert layout(new) == "auto"
    assert layout(new, ("data.layout", "aligned")) == "aligned"
    assert layout(("data.layout", "aligned"), new) == "aligned"


def test_imported_weights_have_no_data_to_compare(trained, tmp_path):
    checkpoint = max((trained / "run" / "checkpoints").iterdir())
    config = DataConfig(f"folder:{trained / 'pics'}")
    saved = json.loads((checkpoint / "meta.json").read_text())
    assert saved["data"]["digest"] == trained_on(checkpoint, config)[1].digest


def test_streamed_images_are_not_all_in_memory(tmp_path):
    """At most a thousand are read at once."""
    number, side = 2500, 64
    x = RNG.integers(0, 256, (number, side, side, 3), np.uint8)

    class Streamed:
        in_memory, largest = False, 0

        def __len__(self):
            return number

        def read(self, indices):
            self.largest = max(self.largest, len(indices))
            return {"x": x[indices], "y": np.full(len(indices), -1, np.int32)}

    pool = RNG.uniform(-1, 1, (20, side, side, 3)).astype("f4")
    preset = QUICK._replace(samples=60, pairwise=60)
    this = evaluation_of(tmp_path, draws(pool), {"pool": pool}, preset=preset)
    train = Streamed()
    info = data.Info((side, side, 3), 0)
    test = data.MemorySplit(x[:60], np.full(60, -1, np.int32))
    dataset = data.Dataset(info, train, test, "of this test")
    this = dataclasses.replace(this, dataset=dataset)
    found = run_measures(this, preset)
    assert not found.missing
    assert {*found.measures} == {"on_pixels_4x4", "copies"}
    assert train.largest <= 1000


def test_a_translator_draws_the_held_out_images_of_moved_data(tmp_path):
    for i in range(20):
        for side in "AB":
            put(tmp_path / "here" / side / f"{i}.png")
    work, out = f"--workdir={tmp_path / 'run'}", f"--out={tmp_path / 'x.npy'}"
    here, there = (f"--data=pairs:{tmp_path / name}" for name in ("here", "there"))
    succeed("train", *shrunk("pix2pix", 1), "--config.data.task=", here, work)
    succeed("sample", work, out)
    expected = np.load(tmp_path / "x.npy")
    (tmp_path / "here").rename(tmp_path / "there")
    done = run("sample", work, out)
    assert done.returncode == 2
    assert "if the data were moved, add --data=SPEC" in done.stderr
    succeed("sample", work, out, there)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    put(tmp_path / "there" / "A" / "3.png")
    done = run("sample", work, out, there)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "holds other data than the run was trained on" in done.stderr
