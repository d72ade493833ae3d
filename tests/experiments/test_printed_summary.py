"""The summary of the data, as train, look, sample and the report print it."""

import json

import numpy as np
import pytest
from command_line import run, shrunk, succeed
from PIL import Image

NAMES = ("<i>ant", "bear", "猫")
LINE = "14 + 4 held out, 8x8 grey, 3 classes: <i>ant (6 + 2), bear (4 + 1), 猫 (4 + 1)"


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Three classes whose images are dark, grey and bright."""
    folder = tmp_path_factory.mktemp("data") / "pets"
    for split, counts in (("train", (6, 4, 4)), ("test", (2, 1, 1))):
        for place, (name, number) in enumerate(zip(NAMES, counts, strict=True)):
            (folder / split / name).mkdir(parents=True)
            for i in range(number):
                x = np.full((8, 8), 90 * place + i, np.uint8)
                x[0, 0] = 9 * (split == "test")
                Image.fromarray(x).save(folder / split / name / f"{i}.png")
    return folder


def test_a_training_tells_its_data_and_samples_are_drawn_by_name(pets, tmp_path):
    workdir = tmp_path / "run"
    flags = shrunk("cvae", 2, **{"data.spec": f"folder:{pets}"})
    assert f"data: {LINE}" in succeed("train", *flags, "--dry_run").stdout
    said = succeed("train", *flags, f"--workdir={workdir}").stderr
    assert f"data: {LINE}\n" in said
    for path in (workdir / "config.json", workdir / "checkpoints" / "2" / "meta.json"):
        meta = json.loads(path.read_text())
        assert [each["name"] for each in meta["data_summary"]["classes"]] == [*NAMES]
        assert meta["sample_columns"] == [*NAMES]
    html = (workdir / "report.html").read_text()
    assert "&lt;i&gt;ant" in html
    assert "<i>ant" not in html
    by_class = succeed("sample", f"--workdir={workdir}").stderr
    assert "columns: <i>ant, bear, 猫\n" in by_class
    every, cats = tmp_path / "every.npy", tmp_path / "cats.npy"
    for out, flags in ((every, ()), (cats, ("--label=猫",))):
        succeed("sample", f"--workdir={workdir}", f"--out={out}", "--num=6", *flags)
    np.testing.assert_allclose(np.load(every)[2::3], np.load(cats)[2::3], atol=1e-6)
    done = run("sample", f"--workdir={workdir}", "--label=baer")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Did you mean bear? The classes are <i>ant, bear, 猫" in done.stderr


def test_look_draws_the_images_that_a_training_reads(pets, tmp_path):
    out = tmp_path / "pets.png"
    said = succeed("look", f"--data=folder:{pets}", f"--out={out}").stdout
    assert said.splitlines() == [
        LINE,
        "label  training  held out  class",
        "    0         6         2  <i>ant",
        "    1         4         1  bear",
        "    2         4         1  猫",
        str(out),
    ]
    streamed = tmp_path / "streamed.png"
    flags = (f"--data=folder:{pets}", "--config.data.memory_gib=0")
    succeed("look", *flags, f"--out={streamed}")
    assert streamed.read_bytes() == out.read_bytes()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "--data=SPEC is needed"),
        (("--data=folder:nowhere",), "there is no such folder"),
        (("--data=digits", "--out=x.jpg"), "name a file that ends in .png"),
        (("--data=digits", "--out=nowhere/x.png"), "nowhere"),
        (("--data=digits", "--out=/proc/x.png"), "/proc/x.png"),
        (("--data=digits", "--config.steps=3"), "--config.steps does not apply"),
        (("--data=digits", "--config.data.size=3"), "no field 'data.size'"),
    ],
)
def test_look_refuses_in_one_line(flags, says, tmp_path):
    done = run("look", *flags, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert says in done.stderr
    assert not list(tmp_path.iterdir())
