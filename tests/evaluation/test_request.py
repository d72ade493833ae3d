"""Evaluations of runs: clipped images, and capabilities."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax import config as configs
from gen_jax import experiment, images
from gen_jax.data import Info
from gen_jax.figures import latent_space
from gen_jax.figures.claims import claims
from gen_jax.game import State
from gen_jax.metrics.networks.classifier import Classifier
from tests.evaluation.hand_made import evaluation_of, game_of

LOUD = 7.0  # times the range of an image


def loud_ops(shape):
    """A model whose every op returns values far outside [-1, 1]."""

    def shout(players, z=None, keys=None, y=None, x=None):
        ramp = jnp.linspace(-1, 1, np.prod(shape), dtype=jnp.float32).reshape(shape)
        return jnp.broadcast_to(LOUD * ramp, (len(keys if z is None else z), *shape))

    names = ("sample", "decode", "reconstruct", "translate", "prior")
    return dict.fromkeys(names, shout)


@pytest.mark.parametrize("op", ["sample", "decode", "reconstruct", "translate"])
def test_images_are_clipped_as_in_files(op, tmp_path):
    this = evaluation_of(tmp_path, game_of(loud_ops((8, 8, 1))))
    x = this.apply(op, keys=this.keys(3))
    assert (x.min(), x.max()) == (-1, 1)
    raw = this.game.ops.by_name[op](this.players, keys=this.keys(3))
    np.testing.assert_array_equal(images.to_uint8(x), images.to_uint8(raw))
    assert np.abs(this.samples.first_float(5)).max() == 1


def test_noise_and_points_are_not_clipped(tmp_path):
    this = evaluation_of(tmp_path, game_of(loud_ops((8, 8, 1))))
    assert this.apply("prior", keys=this.keys(3)).max() == LOUD
    this = evaluation_of(tmp_path / "ring", game_of(loud_ops((2,))), spec="ring")
    assert this.apply("decode", keys=this.keys(3)).max() == LOUD
    assert np.abs(this.samples.first_float(5)).max() == LOUD


def test_the_classifier_sees_clipped_images(tmp_path):
    def sure_of_the_loud(x):
        is_loud = np.abs(x).reshape(len(x), -1).max(1) > 1
        return np.where(is_loud[:, None], [[0.9, 0.1]], [[0.5, 0.5]])

    ops = loud_ops((8, 8, 1))
    ops["encode"] = lambda players, x, keys=None, y=None: x.reshape(len(x), -1)
    this = evaluation_of(tmp_path, game_of(ops))
    classifier = Classifier(sure_of_the_loud, None, 1.0, 1, "")
    vars(this)["classifier"] = classifier
    numbers = latent_space.gaps(this).numbers
    assert numbers["fraction_sure_of_random_z_decoded"] == 0
    assert numbers["fraction_sure_of_test_images_decoded"] == 0


@pytest.mark.parametrize(
    ("name", "is_random"), [("ddpm", True), ("flow", False), ("vae", False)]
)
def test_noise_is_shared_only_if_denoising_is_random(name, is_random, tmp_path):
    recipe = experiment.find(name)
    fields = [("data.spec", "ring"), ("network", "mlp"), ("network.hidden", "8")]
    config = configs.override_all(recipe.config, fields)
    game = recipe.build(config, Info((2,), 8))
    this = evaluation_of(tmp_path, game, spec="ring")
    state = State(np.int32(1), this.first_state().players)
    this = dataclasses.replace(this, run=this.run._replace(state=state))
    named = [claim.name for claim in claims(this)]
    assert ("shared_noise" in named) == is_random
    if game.ops.denoise_between is not None:
        x_t, times = np.ones((4, 2), np.float32), {"start": 0.9, "end": 0.0}
        one, other = (
            this.apply("denoise_between", x_t=x_t, keys=this.keys(4, n), options=times)
            for n in (0, 1)
        )
        assert np.any(one != other) == is_random
