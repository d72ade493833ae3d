"""The truth command: what it writes, and mistakes in one line."""

import json

import pytest
from command_line import run, succeed
from PIL import Image


@pytest.mark.slow
def test_it_writes_table_plots_and_numbers(tmp_path):
    out = tmp_path / "truth"
    done = succeed("truth", "--short", "--only=frechet,coverage", f"--out={out}")
    assert "| Frechet, equal, D = 16: mean at N = 100 |" in done.stdout
    table = (out / "truth.md").read_text()
    assert "experiments.truth --short --only=frechet,coverage" in table
    content = json.loads((out / "truth.json").read_text())
    assert list(content["checks"]) == ["frechet", "coverage"]
    for check in content["checks"].values():
        assert all(row["verdict"] for row in check["rows"])
    with Image.open(out / "truth.png") as picture:
        assert min(picture.size) >= 256


def test_mistakes_get_one_line(tmp_path):
    for flag, message in (
        ("--only=frechett", "Did you mean frechet?"),
        ("--config.steps=3", "--config.steps does not apply"),
    ):
        done = run("truth", flag, f"--out={tmp_path / 'out'}")
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "out").exists()
