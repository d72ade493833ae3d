"""Arguments of another type get a line before anything is computed."""

import json

import numpy as np
import optax
import pytest
from games import scalar_player

from gen_jax import FitConfig
from gen_jax import config as configs
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig
from gen_jax.game import Game
from gen_jax.optimizers import adam


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        (FitConfig, {"steps": 3.0}, r"steps=3\.0 is not a whole number"),
        (FitConfig, {"steps": "3"}, "steps=3 is not a whole number"),
        (FitConfig, {"seed": True}, "seed=True is not a whole number"),
        (FitConfig, {"log_every_steps": None}, "log_every_steps=None is not a whole"),
        (FitConfig, {"steps": np.float32(3)}, r"steps=3\.0 is not a whole number"),
        (FitConfig, {"checkpoint_every_seconds": "1"}, "seconds=1 is not a number"),
        (
            *(FitConfig, {"checkpoint_every_seconds": float("nan")}),
            "seconds=nan is not a finite number",
        ),
        (RunConfig, {"flip": 1}, "flip=1 is not true or false"),
        (RunConfig, {"batch_size": 8.0}, r"batch_size=8\.0 is not a whole number"),
    ],
)
def test_a_field_of_another_type_is_refused(kind, fields, says):
    with pytest.raises(UserError, match=says):
        kind(**fields)


def test_numbers_of_numpy_are_numbers():
    config = FitConfig(steps=np.int64(3), checkpoint_every_seconds=np.float32(0.5))
    assert config == FitConfig(steps=3, checkpoint_every_seconds=0.5)
    assert json.loads(json.dumps(configs.to_dict(config)))["steps"] == 3
    assert FitConfig(checkpoint_every_seconds=1).checkpoint_every_seconds == 1


def loss(players, batch, context):
    return players["model"].params["w"] ** 2, ({}, {})


@pytest.mark.parametrize(
    ("players", "says"),
    [
        ([scalar_player(loss)], "players is a list of 1: write a dict of names and pl"),
        (scalar_player(loss), "players is a Player of 4: write a dict"),
        (
            {"model": loss},
            "the player 'model' is a value of type function: write Player",
        ),
        ({"model": (None, loss)}, "the player 'model' is a tuple of 2: write Player"),
        (
            {"model": scalar_player(loss)._replace(optimizer=adam)},
            "optimizer of 'model' is a value of type function, .*: call it, as adam",
        ),
        (
            {"model": scalar_player(loss)._replace(optimizer=1e-3)},
            "optimizer of 'model' is a value of type float, not one of optax$",
        ),
        (
            {"model": scalar_player(loss)._replace(optimizer=optax.sgd)},
            "optimizer of 'model' is .*: call it",
        ),
    ],
)
def test_players_of_another_form_are_refused(players, says):
    with pytest.raises(UserError, match=says):
        Game(players, (("model",),))
