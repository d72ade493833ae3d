"""The comparison of speed: its ratios, its parameter counts, and a run in miniature."""

import json

import numpy as np
import pytest
from command_line import succeed
from scipy import stats

from experiments.studies.speed import jax_side, summary
from experiments.studies.speed.rows import ROWS, variant


def test_a_ratio_has_students_interval_of_its_logarithms():
    theirs, ours = [2.0, 2.2, 1.9, 2.5], [1.0, 1.05, 1.0, 1.1]
    found = summary.paired_ratio(theirs, ours)
    logs = np.log(np.divide(theirs, ours))
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert np.isclose(found["mean"], np.exp(logs.mean()))
    assert np.allclose([found["low"], found["high"]], np.exp(expected))


def test_one_round_has_no_interval():
    assert np.isnan(summary.paired_ratio([2.0], [1.0])["low"])


@pytest.mark.parametrize("name", ["jaxy", "jax_overhead", "torch_scan", "tensor"])
def test_an_unknown_variant_is_refused(name):
    with pytest.raises(ValueError, match="variant"):
        variant(name, 20)


def test_parameters_are_those_of_the_papers_networks():
    layers = [(784, 500), (500, 40), (20, 500), (500, 784)]  # 784-500-20
    expected = sum(inputs * outputs + outputs for inputs, outputs in layers)
    assert jax_side.parameters(ROWS["vae"]) == {"model": expected}
    millions = jax_side.parameters(ROWS["cifar10"])["model"] / 1e6
    assert round(millions, 1) == 35.7  # Ho et al. 2020, appendix B


@pytest.mark.slow
def test_a_variant_that_fails_costs_one_line(tmp_path):
    out = tmp_path / "speed.json"
    flags = "--rows=vae", "--variants=jax_scan,torch_compile", "--miniature"
    times = "--rounds=2", "--seconds=0.05", "--scan=2", "--device=cpu"
    first = "--first_s=60"
    succeed("studies.speed.side_by_side", *flags, *times, first, f"--out={out}")
    (row,) = json.loads(out.read_text())["rows"]
    ours = row["variants"]["jax_scan"]
    assert len(ours["ms"]) == 2
    assert ours["finite"]
    theirs = row["variants"]["torch_compile"]
    assert "error" in theirs or theirs["parameters"] == row["parameters"]
