"""The flags of sampling: what is passed on, and what is refused before anything."""

from pathlib import Path

import pytest
from absl import flags

from experiments import flags as parsing
from gen_jax import experiment
from gen_jax.errors import UserError
from gen_jax.ops import Ops
from gen_jax.runs.run import Run
from tests.games import untrained_game


def sample(
    players,
    keys,
    y=None,
    *,
    sampler="ddim",
    sampling_steps=None,
    eta=0.0,
    guidance=None,
):
    """As a DDPM's."""


CONFIG = experiment.find("ddpm_conditional").config
GAME = untrained_game(Ops(sample=sample))
RUN = Run("ddpm_conditional", None, GAME, CONFIG, {}, 0, Path())


@pytest.fixture
def given():
    """(flags, ...) -> what is read of them."""
    parsing.define_sampling()

    def read(*arguments):
        flags.FLAGS(["sample", *arguments])
        return parsing.sampling_options(RUN)

    yield read
    for name in parsing.SAMPLING:
        delattr(flags.FLAGS, name)


def test_given_flags_are_passed_on(given):
    assert given() == {}
    options = given("--sampler=ddim", "--sampling_steps=7", "--eta=1", "--guidance=100")
    expected = {"sampler": "ddim", "sampling_steps": 7, "eta": 1.0, "guidance": 100.0}
    assert options == expected
    assert [*map(type, options.values())] == [*map(type, expected.values())]


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--guidance=nan", "--guidance=nan is not a finite number"),
        ("--guidance=inf", "--guidance=inf is not a finite number"),
        ("--guidance=1e999", "--guidance=inf is not a finite number"),
        ("--guidance=101", "--guidance=101.0 is out of range: at most 100"),
        ("--eta=nan", "--eta=nan is not a finite number"),
    ],
)
def test_invalid_sampling_options_are_refused(flag, says, given):
    with pytest.raises(UserError) as refused:
        given(flag)
    assert str(refused.value) == says


@pytest.mark.parametrize(
    "flag", ["--guidance=-1", "--eta=-0.1", "--eta=1.1", "--eta=inf", "--eta=x"]
)
def test_values_out_of_range_are_refused_on_reading(flag, given):
    with pytest.raises(flags.IllegalFlagValueError):
        given(flag)
