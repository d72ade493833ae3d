"""Fixtures of the tests of a run's folder."""

import shutil
from pathlib import Path

import jax
import pytest
from saved_runs import adam_game, save


@pytest.fixture(autouse=True)
def _ranks_may_differ():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    """A run of adam_game with checkpoints at steps 1 and 2."""
    with jax.numpy_rank_promotion("allow"):
        folder = tmp_path_factory.mktemp("runs") / "run"
        save(folder, adam_game(), steps=(1, 2))
    return folder


@pytest.fixture
def copy(one_and_two, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(one_and_two, tmp_path / "copy"))
