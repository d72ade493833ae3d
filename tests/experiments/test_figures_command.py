"""Claims on runs too short to prove them: every figure is drawn, every number is one.

The numbers are tested in `tests/figures` and `tests/metrics`.
"""

import json

import numpy as np
import pytest
from command_line import run, shrunk, succeed
from goldens import UNET
from PIL import Image

EXPECTED = {
    "vae": "learning interpolation diversity between latents plane gaps sharpness",
    "cgan": "learning interpolation adversaries match classes diversity style "
    "sharpness",
    "ddpm": "learning interpolation diversity between latents plane gaps sharpness "
    "dissolving restoring shared_noise",
    "pix2pix": "learning translation",
    "ae": "learning interpolation diversity between latents plane gaps sharpness",
    "gan": "learning interpolation adversaries diversity sharpness",
    "dcgan": "learning interpolation adversaries diversity sharpness",
    "cvae": "learning interpolation classes diversity between latents plane gaps style "
    "sharpness",
    "flow": "learning interpolation latents plane dissolving restoring",
    "ddpm_conditional": "learning interpolation latents plane style dissolving "
    "restoring shared_noise",
}
QUICK = ("cgan", "pix2pix")  # vae and ae: next to each other
# Those that draw points above, or other pairs, on the images of their papers.
ON_IMAGES = {
    "flow": (
        {**UNET, "data.spec": "digits"},
        EXPECTED["ddpm"].removesuffix(" shared_noise"),
    ),
    "ddpm_conditional": (
        {**UNET, "data.spec": "digits", "timesteps": 25},
        f"{EXPECTED['cvae']} dissolving restoring shared_noise",
    ),
    "pix2pix": ({"data.spec": "branches", "data.task": ""}, EXPECTED["pix2pix"]),
}


def check_finite(numbers):
    """Every number in a tree as JSON has it."""
    if isinstance(numbers, dict | list):
        for each in numbers.values() if isinstance(numbers, dict) else numbers:
            check_finite(each)
    elif isinstance(numbers, float):
        assert np.isfinite(numbers)


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in EXPECTED],
)
def test_every_claim_that_applies_is_drawn(name, tmp_path):
    check_claims(name, EXPECTED[name].split(), tmp_path / "run")


@pytest.mark.parametrize("name", ON_IMAGES)
@pytest.mark.slow
def test_every_claim_about_images_is_drawn(name, tmp_path):
    fields, expected = ON_IMAGES[name]
    check_claims(name, expected.split(), tmp_path / "run", **fields)


def check_claims(name, expected, workdir, **fields):
    succeed("train", *shrunk(name, 8, **fields), f"--workdir={workdir}")
    done = succeed("figures", f"--workdir={workdir}")
    report = json.loads((workdir / "figures" / "figures.json").read_text())
    assert list(report["claims"]) == expected
    assert report["runs"][0]["experiment"] == name
    for claim, content in report["claims"].items():  # so that none hides another's
        assert all(file.startswith(claim) for file in content["pictures"])
    check_finite(report["claims"])
    pictures = [line for line in done.stdout.split() if not line.endswith(".json")]
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) >= 256
            assert np.ptp(np.asarray(picture.convert("L"))) > 0
    with Image.open(workdir / "figures" / "learning.gif") as film:
        assert film.n_frames == 3  # before the first step, after 4 and after 8


def test_two_runs_are_drawn_next_to_each_other(tmp_path):
    one, two, out = tmp_path / "one", tmp_path / "two", tmp_path / "out"
    succeed("train", *shrunk("vae", 4), f"--workdir={one}")
    succeed("train", *shrunk("ae", 4), f"--workdir={two}")
    both = f"--workdir={one}", f"--against={two}", f"--out={out}"
    succeed("figures", *both, "--seed=1", "--raw", "--only=between,learning")
    report = json.loads((out / "figures.json").read_text())
    assert {*report["claims"]} == {"between", "learning"}
    check_finite(report["claims"])
    assert [r["experiment"] for r in report["runs"]] == ["vae", "ae"]
    assert [r["weights"] for r in report["runs"]] == ["raw", "raw"]
    assert len(report["claims"]["between"]["numbers"]) == 2
    with Image.open(out / "between.png") as picture:
        assert picture.size[0] > 2 * 512


def test_mistakes_get_one_line(tmp_path):
    workdir = tmp_path / "run"
    for flags, message in (
        ([], "--workdir=DIR is needed"),
        ([f"--workdir={workdir}"], "does not exist"),
    ):
        done = run("figures", *flags)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    succeed("train", *shrunk("vae", 1), f"--workdir={workdir}")
    for flags, message in (
        (["--only=betwen"], "Did you mean between?"),
        (["--only=translation"], "does not apply"),
        (["--config.steps=3"], "the run has its own"),
    ):
        done = run("figures", f"--workdir={workdir}", *flags)
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (workdir / "figures").exists()
