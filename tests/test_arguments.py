"""Arguments of another type get a line before anything is computed."""

import json
import math

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from games import mean_game, scalar_player

from gen_jax import FitConfig, data, fit, load
from gen_jax import config as configs
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig
from gen_jax.game import Game, Weights, averaged, init_state
from gen_jax.ops import Ops
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


BATCH = {"x": np.linspace(-1, 1, 8, dtype=np.float32)}


def loss(players, batch, context):
    return players["model"].params["w"] ** 2, ({}, {})


@pytest.mark.parametrize(
    ("players", "says"),
    [
        ([scalar_player(loss)], "players is a list of 1: write a dict of names and pl"),
        (scalar_player(loss), "players is a value of type Player: write a dict"),
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
        *(
            ({"model": scalar_player(loss)._replace(**field)}, says)
            for field, says in (
                (
                    {"init": Weights({})},
                    "init of 'model' is .* Weights: give a function",
                ),
                (
                    {"init": nn.Dense(2)},
                    "init of 'model' is a value of type Dense: give",
                ),
                (
                    {"loss": 3},
                    "loss of 'model' is a value of type int: give a function",
                ),
                ({"ema_halflife_images": 100.0}, r"give a tuple, \(100.0,\)"),
                ({"ema_halflife_images": (math.nan,)}, "holds nan: give numbers"),
                ({"ema_halflife_images": (-5.0,)}, "holds -5.0: give numbers"),
                ({"ema_halflife_images": ("a",)}, "holds 'a': give numbers"),
            )
        ),
        (
            {"model": scalar_player(loss), "other": scalar_player(loss)},
            "'other' has a loss and an optimizer but no turn",
        ),
    ],
)
def test_players_of_another_form_are_refused(players, says):
    with pytest.raises(UserError, match=says):
        Game(players, (("model",),))


@pytest.mark.parametrize("number", ["ten", -1, 2.0, True])
def test_a_number_of_classes_is_a_count(number):
    with pytest.raises(UserError, match=r"num_classes is .*: give 0, 1, 2"):
        Game({"model": scalar_player(loss)}, (("model",),), num_classes=number)


def test_an_op_is_a_function():
    with pytest.raises(UserError, match="the op 'sample' is a value of type int"):
        Ops(sample=3)


def test_whole_variables_are_not_a_players_parameters():
    def init(rng, batch):
        return Weights(nn.Dense(2).init(rng, batch["x"]))

    game = Game({"model": scalar_player(loss)._replace(init=init)}, (("model",),))
    with pytest.raises(UserError, match="params of 'model' are a module's whole"):
        init_state(game, jax.random.key(0), {"x": np.zeros((3, 2), np.float32)})


@pytest.mark.parametrize("given", ["runs/g1", Weights({}), 3])
def test_weights_are_given_by_name(given):
    with pytest.raises(UserError, match=r"given is a value of type .*: write a dict"):
        init_state(mean_game(), jax.random.key(0), BATCH, given)


@pytest.mark.parametrize(
    ("players", "ema", "says"),
    [
        ("state", 0, "players is a value of type State: give the players of a state"),
        ("players", 1, "ema=1: the player 'model' has 1 averages"),
        ("players", -1, "ema=-1: the player 'model' has 1 averages"),
    ],
)
def test_averages_are_those_of_players(players, ema, says):
    game = mean_game(ema_halflife_images=(10.0,))
    state = init_state(game, jax.random.key(0), BATCH)
    with pytest.raises(UserError, match=says):
        averaged(state if players == "state" else state.players, ema)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"game": {"a": 1}}, r"game is a value of type dict: write Game\("),
        ({"mesh": "cpu"}, "mesh is a value of type str: give devices.data_mesh"),
        ({"workdir": ""}, "workdir is '': give a folder, or None to save nothing"),
        ({"workdir": 3}, "workdir is 3: give a folder"),
        ({"seeds": 3}, "seeds is 3: give different integers"),
        ({"seeds": (0.5, 1)}, "seeds is .*: give different integers"),
        ({"seeds": (0, -1)}, "seeds is .*: give different integers"),
        ({"seeds": (0, 0)}, "seeds is .*: give different integers"),
        ({"prepare": 3}, "prepare is a value of type int: give a function"),
        (
            {"prepare": data.prepare},
            r"prepare\(batch, keys\) fails: .*data.prepare\(\)",
        ),
        ({"prepare": lambda batch: batch}, r"prepare\(batch, keys\) fails: TypeError"),
        (
            {"prepare": lambda b, k: None},
            r"prepare\(batch, keys\) returns a value of t",
        ),
        ({"prepare": lambda b, k: {"x": b["x"][:3]}}, "must keep the 8 examples"),
        (
            {"batches": lambda s: iter([{"x": np.array(["a"] * 8)}])},
            "batch.x is an array",
        ),
    ],
)
def test_fit_names_a_wrong_argument(arguments, says, tmp_path):
    given = {"game": mean_game(), "batches": lambda step: iter([BATCH] * 9)}
    given |= {"config": FitConfig(steps=1), "workdir": tmp_path / "run"} | arguments
    with pytest.raises(UserError, match=says) as error:
        fit(**given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_load_takes_a_game(tmp_path):
    with pytest.raises(UserError, match="game is 'ddpm': give a Game"):
        load(tmp_path, "ddpm")
