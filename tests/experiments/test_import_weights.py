"""Published weights become a run, which then is like any other."""

import jax
import numpy as np
import pytest
from command_line import run, succeed
from diffusers_files import SCHEDULER, write
from records import logged

from gen_jax import load
from gen_jax.interop import diffusers

ADOPT = ("--diffusers=ddpm", "--workdir=run")


@pytest.fixture
def adopted(tmp_path):
    """A run made of a folder: 20 times, so that it is quick."""
    few = {"num_train_timesteps": 20, "beta_end": 0.03}
    scheduler = SCHEDULER | few | {"prediction_type": "v_prediction"}
    write(tmp_path / "ddpm", scheduler=scheduler, sample_size=8)
    fields = ["--data=digits", "--config.batch_size=8", "--config.log_every_steps=1"]
    done = succeed("import_weights", *ADOPT, *fields, cwd=tmp_path)
    assert done.stdout == "run\n"
    return tmp_path / "run"


def test_imported_weights_are_the_published_model(adopted):
    run = load(adopted)
    assert (run.step, run.config.network.groups) == (0, 1)
    assert (run.config.timesteps, run.config.prediction) == (20, "v")
    assert_noised_as_published(run)
    model = run.state.players["model"]
    params = diffusers.read(adopted.parent / "ddpm").params
    jax.tree.map(np.testing.assert_array_equal, model.params, params)
    jax.tree.map(np.testing.assert_array_equal, model.ema[0].params, params)
    succeed("sample", "--workdir=run", "--num=3", "--out=x.npy", cwd=adopted.parent)
    x = np.load(adopted.parent / "x.npy")
    assert x.shape == (3, 8, 8, 1)
    assert np.ptp(x) > 0.1


def assert_noised_as_published(run):
    """With the betas as they are stated, which ours for 20 times are not: L_T of 0."""
    assert run.config.betas == (1e-4, 0.03)
    abar = np.prod(1 - np.linspace(1e-4, 0.03, 20))
    nats = run.game.ops.prior_term(run.state.players, np.zeros((1, 8, 8, 1)))
    np.testing.assert_allclose(nats, [-32 * (abar + np.log(1 - abar))], rtol=1e-4)


@pytest.mark.slow
def test_imported_weights_are_trained_further_and_not_replaced(adopted):
    again = run("import_weights", *ADOPT, cwd=adopted.parent)
    assert (again.returncode, again.stdout) == (2, "")
    assert "run holds a run already" in again.stderr
    succeed("train", "--workdir=run", "--steps=1", cwd=adopted.parent)
    assert [record["step"] for record in logged(adopted)] == [1]


def rarely(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("flags", "scheduler", "says"),
    [
        rarely(["--diffusers=nowhere"], SCHEDULER, "nowhere: there is no such folder"),
        ([], SCHEDULER | {"clip_sample": False}, "clip_sample=false"),
        ([], None, "ddpm has no scheduler_config.json"),
        (
            ["--config.network.base_channels=8"],
            SCHEDULER,
            "network.base_channels does not apply: it is 4",
        ),
        (["--data=digits"], SCHEDULER, "ddpm is for (4, 4, 1)"),
        rarely(["--workdir="], SCHEDULER, "--workdir=DIR is needed"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(flags, scheduler, says, tmp_path):
    write(tmp_path / "ddpm", scheduler=scheduler)
    done = run("import_weights", *ADOPT, *flags, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line
    assert [path.name for path in tmp_path.iterdir()] == ["ddpm"]
