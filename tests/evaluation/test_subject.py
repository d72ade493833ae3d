"""What judges are shown of a run: no more than a viewer sees."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax import config as configs
from gen_jax import experiment, figures, images
from gen_jax.data import DataConfig, Info
from gen_jax.evaluation.subject import Subject
from gen_jax.figures import latent_space
from gen_jax.game import Game, Player, State, Weights
from gen_jax.metrics.networks.classifier import Classifier
from gen_jax.runs import checkpoint

LOUD = 7.0  # times what an image may hold


def subject_of(ops, folder, spec="digits") -> Subject:
    config = experiment.find("vae").config
    config = dataclasses.replace(config, data=DataConfig(spec))
    game = Game({"model": Player(None, None)}, (), ops)
    run = checkpoint.Run(game, config, State(1, {}), 1)
    return Subject("model", run, folder, {"model": Weights({})})


def loud_ops(shape):
    """A model that says everything too loud, but its noise as it is."""

    def shout(players, z=None, keys=None, y=None):
        ramp = jnp.linspace(-1, 1, np.prod(shape), dtype=jnp.float32).reshape(shape)
        return jnp.broadcast_to(LOUD * ramp, (len(keys if z is None else z), *shape))

    names = ("sample", "decode", "reconstruct", "translate", "prior")
    return dict.fromkeys(names, shout)


@pytest.mark.parametrize("op", ["sample", "decode", "reconstruct", "translate"])
def test_images_that_are_made_are_those_that_a_file_would_hold(op, tmp_path):
    subject = subject_of(loud_ops((8, 8, 1)), tmp_path)
    x = subject.call(op, keys=subject.keys(3))
    assert (x.min(), x.max()) == (-1, 1)
    raw = subject.game.ops[op](subject.players, keys=subject.keys(3))
    np.testing.assert_array_equal(images.to_uint8(x), images.to_uint8(raw))
    assert np.abs(subject.samples[0]).max() == 1


def test_noise_and_points_are_as_they_are(tmp_path):
    subject = subject_of(loud_ops((8, 8, 1)), tmp_path)
    assert subject.call("prior", keys=subject.keys(3)).max() == LOUD
    subject = subject_of(loud_ops((2,)), tmp_path, "ring")
    assert subject.call("decode", keys=subject.keys(3)).max() == LOUD
    assert np.abs(subject.samples[0]).max() == LOUD


def test_a_judge_that_is_sure_of_loudness_is_not_heard(tmp_path):
    def sure_of_the_loud(x):
        is_loud = np.abs(x).reshape(len(x), -1).max(1) > 1
        return np.where(is_loud[:, None], [[0.9, 0.1]], [[0.5, 0.5]])

    ops = loud_ops((8, 8, 1))
    ops["encode"] = lambda players, x, keys=None, y=None: x.reshape(len(x), -1)
    subject = subject_of(ops, tmp_path)
    classifier = Classifier(sure_of_the_loud, None, 1.0, 1, "")
    vars(subject)["classifier"] = classifier
    numbers = latent_space.gaps(subject).numbers
    assert numbers["fraction_sure_of_normal_draws_decoded"] == 0
    assert numbers["fraction_sure_of_held_out_images_decoded"] == 0


@pytest.mark.parametrize(
    ("name", "by_chance"), [("ddpm", True), ("flow", False), ("vae", False)]
)
def test_noise_is_shared_only_where_restoring_draws_some(name, by_chance, tmp_path):
    recipe = experiment.find(name)
    fields = [("data.spec", "ring"), ("network", "mlp"), ("network.hidden", "8")]
    config = configs.override_all(recipe.config, fields)
    game = recipe.build(config, Info((2,), 8))
    run = checkpoint.Run(game, config, State(1, {}), 1)
    subject = Subject(name, run, tmp_path, {})
    players = subject.first_state().players
    subject = dataclasses.replace(subject, players=players)
    named = [claim.name for claim in figures.claims(subject)]
    assert ("shared_noise" in named) == by_chance
    if "denoise_between" in game.ops:
        x_t, times = np.ones((4, 2), np.float32), {"start": 0.9, "end": 0.0}
        one, other = (
            subject.call(
                "denoise_between", x_t=x_t, keys=subject.keys(4, n), options=times
            )
            for n in (0, 1)
        )
        assert np.any(one != other) == by_chance
