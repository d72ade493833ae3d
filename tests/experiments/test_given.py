"""A recipe of another package names its teacher's weights, once."""

import os

import numpy as np
from command_line import ROOT, run

from gen_jax import load_params

THEIRS = """
import jax, jax.numpy as jnp, numpy as np, optax
from gen_jax import Game, Player
from gen_jax.experiment import Experiment, RunConfig
from gen_jax.game import Weights


def build(config, info):
    def init(rng, batch):
        return Weights({"w": jax.random.normal(rng, (3,))})

    def loss(players, batch, context):
        student, teacher = (players[n].params["w"] for n in ("student", "teacher"))
        return jnp.mean((student - teacher) ** 2), ({}, {})

    student = Player(init, loss, optax.sgd(0.1))
    return Game({"student": student, "teacher": Player(init, None)}, (("student",),))


def given(config):
    return {"teacher": Weights({"w": np.arange(3, dtype=np.float32)})}


DISTIL = Experiment(RunConfig(), build, given=given)
"""


def test_a_new_run_begins_from_the_weights_that_its_recipe_names(tmp_path):
    (tmp_path / "theirs.py").write_text(THEIRS)
    metadata = tmp_path / "theirs-1.0.dist-info"
    metadata.mkdir()
    text = "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n"
    (metadata / "METADATA").write_text(text)
    registered = "[gen_jax.experiments]\ndistil = theirs:DISTIL\n"
    (metadata / "entry_points.txt").write_text(registered)
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    flags = ["--experiment=distil", "--workdir=run", "--batch_size=8"]
    done = run("train", *flags, "--steps=2", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    weights = load_params(tmp_path / "run")
    np.testing.assert_array_equal(weights["teacher"].params["w"], [0, 1, 2])
