"""Sources by name: those of other packages, broken ones, their own options."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gen_jax import config as configs
from gen_jax.data import DataConfig, Info, PairsConfig, absolute, describe, load
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig

THEIRS = """
import dataclasses
import typing

import numpy as np

from gen_jax.data import DataConfig, Dataset, Info, MemorySplit, PairMeasure, Source


@dataclasses.dataclass(frozen=True)
class Config(DataConfig):
    level: int = 7
    shade: typing.Literal["dark", "light"] = "dark"


def describe(config):
    return None if config.where == "absent" else Info((8, 8, 1), 0, (8, 8, 1))


def load(config):
    x = np.full((int(config.where), 8, 8, 1), config.level, np.uint8)
    split = MemorySplit(x, x + 1)
    return Dataset(describe(config), split, split, measures=(PairMeasure(darkness),))


def darkness(x, y, y_hat):
    return {"darkness": -y_hat.mean((1, 2, 3))}


SOURCE = Source(describe, load, where="COUNT", config=Config)
FILE = Source(describe, load, where="FILE")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder with an installed package that registers sources, on sys.path."""
    (tmp_path / "stranger.py").write_text(THEIRS)
    metadata = tmp_path / "stranger_data-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: stranger-data\nVersion: 1.0\n"
    )
    (metadata / "entry_points.txt").write_text(
        "[gen_jax.data]\n"
        "theirs = stranger:SOURCE\n"
        "theirfile = stranger:FILE\n"
        "broken = stranger_that_is_missing:SOURCE\n"
        "wrong = stranger:describe\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("package")
def test_a_source_of_another_package_is_found():
    config = DataConfig("theirs:9")
    dataset = load(config)
    assert describe(config) == dataset.info == Info((8, 8, 1), 0, (8, 8, 1))
    assert len(dataset.train) == 9
    assert (dataset.train.read([3])["x"] == 7).all()
    [measure] = dataset.measures
    y_hat = np.linspace(-1, 1, 3).reshape(3, 1, 1, 1)
    scores = measure.score(None, None, y_hat)
    np.testing.assert_array_equal(scores["darkness"], [1, 0, -1])
    assert describe(DataConfig("theirs:absent")) is None


@pytest.mark.usefixtures("package")
def test_a_source_without_a_digest_is_known_by_its_examples():
    config = configs.override(RunConfig(), "data.spec", "theirs:9").data
    other = configs.override(
        configs.override(RunConfig(), "data.spec", "theirs:9"), "data.level", "8"
    ).data
    assert load(config).digest == load(config).digest != load(other).digest


@pytest.mark.usefixtures("package")
def test_its_own_options_are_fields_of_the_configuration():
    config = configs.override(RunConfig(), "data.memory_gib", "2")
    config = configs.override(config, "data.spec", "theirs:5")
    config = configs.override(config, "data.level", "30")
    assert dataclasses.asdict(config.data)["memory_gib"] == 2
    assert (load(config.data).train.read([0])["x"] == 30).all()
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert configs.from_dict(RunConfig(), saved) == config
    changed = ["data.spec", "data.memory_gib", "data.level"]
    assert configs.differences(config, RunConfig()) == changed
    assert configs.differences(RunConfig(), config) == ["data.spec", "data.memory_gib"]
    with pytest.raises(UserError, match="level=x is not a whole number"):
        configs.override(config, "data.level", "x")
    with pytest.raises(UserError, match=r"Did you mean data\.level\?"):
        configs.override(config, "data.levle", "3")
    bad = dataclasses.replace(config.data, shade="grey")
    with pytest.raises(UserError, match=r"shade is 'grey'; allowed: dark, light"):
        load(bad)
    # Another source has no such options, and keeps the settings that all have.
    config = configs.override(config, "data.spec", "digits")
    assert config.data == DataConfig("digits", memory_gib=2.0)


def test_options_of_pairs_follow_the_source():
    config = configs.override(RunConfig(), "data.spec", "pairs:x")
    config = configs.override(config, "data.direction", "b_to_a")
    assert config.data == PairsConfig("pairs:x", direction="b_to_a")
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert configs.from_dict(RunConfig(), saved) == config
    with pytest.raises(UserError, match=r"has no field 'data\.direction'"):
        configs.override(RunConfig(), "data.direction", "b_to_a")


def test_a_broken_source_is_named_and_breaks_no_other(package):
    with pytest.raises(UserError, match="No module named") as error:
        load(DataConfig("broken:x"))
    assert "'broken' of gen_jax.data (package stranger-data)" in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"of type function; expected: .*\.Source"):
        load(DataConfig("wrong"))
    assert describe(DataConfig("digits")).shape == (8, 8, 1)
    assert len(load(DataConfig("theirs:3")).train) == 3
    with pytest.raises(UserError, match=r"There are: branches, broken, .*theirs:COUNT"):
        load(DataConfig("quux"))


@pytest.mark.usefixtures("package")
def test_a_misspelt_source_gets_the_nearest_name():
    with pytest.raises(UserError, match=r"'their:4'. Did you mean theirs:COUNT\?$"):
        load(DataConfig("their:4"))
    with pytest.raises(UserError, match="'theirs' is incomplete: write theirs:COUNT"):
        load(DataConfig("theirs"))


@pytest.mark.usefixtures("package")
def test_paths_are_made_absolute_and_other_text_is_not():
    assert absolute(DataConfig("theirs:9")).spec == "theirs:9"
    here = Path.cwd() / "a.bin"
    assert absolute(DataConfig("theirfile:a.bin")).spec == f"theirfile:{here}"
    assert absolute(DataConfig("folder:x")).spec == f"folder:{Path.cwd() / 'x'}"
    assert absolute(DataConfig("quux:x")).spec == "quux:x"


def test_the_command_finds_it(package):
    command = [sys.executable, "-m", "experiments.train", "--experiment=pix2pix"]
    command += ["--dry_run", "--config.data.level=3", "--config.data.spec=theirs:8"]
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{package}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "data.level = 3" in done.stdout
    assert "batch: x float32 [1, 8, 8, 1]" in done.stdout


def test_a_name_alone_is_no_configuration():
    with pytest.raises(UserError, match=r"config is 'digits': write DataConfig\("):
        load("digits")
