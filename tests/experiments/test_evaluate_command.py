"""`experiments.evaluate` on runs too short to be good: all is measured, in context.

The numbers are tested in `tests/evaluation` and `tests/metrics`.
"""

import json
import shutil

import numpy as np
import pytest
from command_line import run, shrunk, succeed

QUICK = ("--samples=150", "--features=pixels")
SAMPLED = "on_pixels copies"
EXPECTED = {
    "vae": f"{SAMPLED} bound importance_bound reconstruction class_fractions",
    "pix2pix": "translation",
    "cgan": "on_pixels by_class copies parzen",
    "gan": f"{SAMPLED} parzen class_fractions",
    "dcgan": f"{SAMPLED} parzen class_fractions",
    "ae": f"{SAMPLED} reconstruction class_fractions",
    "cvae": "on_pixels by_class copies bound importance_bound reconstruction",
    "ddpm": f"{SAMPLED} bound class_fractions",
    "ddpm_conditional": "on_points copies bound",
    "flow": "on_points copies",
}
ORDINARY = ("vae", "pix2pix")


def check_values(measure):
    """Check that each value is a number within its interval."""
    assert measure["description"].endswith(".")
    assert measure["context"]
    for value in measure["values"].values():
        assert value["value"] is not None
        assert np.isfinite(value["value"])
        if value["low"] is not None:
            assert value["low"] <= value["value"] <= value["high"]
            assert value["interval"]


@pytest.mark.parametrize(
    "name",
    [n if n in ORDINARY else pytest.param(n, marks=pytest.mark.slow) for n in EXPECTED],
)
def test_all_that_applies_is_measured(name, tmp_path):
    workdir = tmp_path / "run"
    succeed("train", *shrunk(name, 4), f"--workdir={workdir}")
    draws = "translation" not in EXPECTED[name]
    flags = QUICK if draws and "points" not in EXPECTED[name] else QUICK[: int(draws)]
    done = succeed("evaluate", f"--workdir={workdir}", *flags)
    content = json.loads((workdir / "evaluation.json").read_text())
    assert list(content["measures"]) == EXPECTED[name].split()
    assert content["run"]["experiment"] == name
    for measure in content["measures"].values():
        assert measure["context"]["step"] == 4
        assert measure["context"]["preset"] == "quick"
        check_values(measure)
    for key in content["measures"]:
        assert key in done.stdout
    again = succeed("evaluate", f"--workdir={workdir}", *flags)
    assert "measuring" not in again.stderr  # all is kept
    assert again.stdout == done.stdout


def test_of_several_seeds_the_intervals_are_over_trainings(tmp_path):
    done = succeed("train", *shrunk("vae", 2), "--seeds=3", f"--workdir={tmp_path}")
    assert f"report: {tmp_path / 'report.html'}" in done.stderr
    succeed("evaluate", f"--workdir={tmp_path}", "--only=reconstruction")
    content = json.loads((tmp_path / "evaluation.json").read_text())
    assert content["run"]["training_seed"] == [0, 1, 2]
    value = content["measures"]["reconstruction"]["values"]["l1"]
    assert value["interval"] == "Student's t over 3 training seeds"
    check_values(content["measures"]["reconstruction"])
    succeed("report", f"--workdir={tmp_path}")
    assert "Student&#39;s t over 3 training" in (tmp_path / "report.html").read_text()
    shutil.rmtree(tmp_path / "seed_1" / "checkpoints")  # its failure is its own
    done = run("evaluate", f"--workdir={tmp_path}", "--only=reconstruction")
    assert done.returncode == 2
    assert "l1" in done.stdout
    assert "error: left out: seed 1: " in done.stderr
    assert "holds no checkpoint" in done.stderr
    content = json.loads((tmp_path / "evaluation.json").read_text())
    value = content["measures"]["reconstruction"]["values"]["l1"]
    assert value["interval"] == "Student's t over 2 training seeds"


def test_mistakes_get_one_line_and_cost_nothing(tmp_path):
    workdir = tmp_path / "run"
    succeed("train", *shrunk("vae", 1), f"--workdir={workdir}")
    flags = ["--features=pixels", "--samples=65", "--only=reconstruction"]
    succeed("evaluate", f"--workdir={workdir}", *flags)
    kept = (workdir / "evaluation.json").read_text()
    junk = tmp_path / "inception.pth"
    junk.write_bytes(b"no weights")
    for flags, message in (
        (
            ["--features=resnet"],
            "feature network 'resnet' is unknown: choose one of classifier",
        ),
        (["--features=inception:nowhere.pth"], "nowhere.pth"),
        (["--features=inception"], "needs a file of weights: inception:FILE"),
        (["--features=inception:"], "needs a file of weights: inception:FILE"),
        ([f"--features=inception:{junk}"], "sha256"),
        (["--preset=papers"], "preset 'papers' is unknown: choose one of quick, paper"),
        (["--only=boundd"], "Did you mean bound?"),
        (["--only=by_class"], "no measure 'by_class' of this run"),
        (["--sampler=ddim"], "--sampler does not apply"),
        (["--config.steps=3"], "the run has its own"),
    ):
        done = run("evaluate", f"--workdir={workdir}", *flags)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert (workdir / "evaluation.json").read_text() == kept


def test_a_classifier_needs_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "unlabelled.npz", x=images)
    data = f"--data=npz:{tmp_path / 'unlabelled.npz'}"
    workdir = tmp_path / "run"
    succeed("train", *shrunk("vae", 1), data, f"--workdir={workdir}")
    done = run("evaluate", f"--workdir={workdir}", "--features=classifier")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: left out: on_classifier: a classifier needs labels")
    assert "memorized" in done.stdout  # the rest is measured and printed
    assert "Traceback" not in done.stderr
