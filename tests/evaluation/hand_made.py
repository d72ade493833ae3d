"""Evaluations of models that are written by hand."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import data, experiment
from gen_jax.data import DataConfig
from gen_jax.evaluation.preset import QUICK
from gen_jax.evaluation.request import Evaluation
from gen_jax.game import Game, PlayerState, State
from gen_jax.metrics.networks import features
from gen_jax.ops import Ops
from gen_jax.runs.run import Run
from tests.games import untrained_game


def game_of(ops: dict, **fields) -> Game:
    """A game of one player with these ops and no loss."""
    return untrained_game(Ops(**ops), **fields)


def state_of(params, step: int = 7) -> State:
    """The state of a game of one player, at a step."""
    player = PlayerState(params, {}, (), (), np.int32(step))
    return State(np.int32(step), {"model": player})


def evaluation_of(
    folder: Path, game: Game, params=None, spec="digits", config=None, **fields
) -> Evaluation:
    """An evaluation of a game that was trained on `spec`."""
    config = config or experiment.find("vae").config
    config = dataclasses.replace(config, data=DataConfig(spec))
    dataset = data.load(config.data)
    state = state_of({} if params is None else params)
    run = Run("model", dataset.info, game, config, state, 7, folder)
    return Evaluation(
        run, dataset, folder / "evaluation", **{"preset": QUICK, **fields}
    )


def draws(pool: np.ndarray, **ops) -> Game:
    """A model whose samples are random images of a pool [N, ...]."""

    def sample(players, keys):
        pick = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(pool)))(keys)
        return players["model"].params["pool"][pick]

    return game_of({"sample": sample, **ops})


def on_pixels(folder, pool, preset=QUICK, **fields) -> Evaluation:
    """An evaluation of `draws(pool)`, compared with real images on pixels."""
    this = evaluation_of(
        folder, draws(pool), {"pool": jnp.asarray(pool)}, preset=preset, **fields
    )
    return dataclasses.replace(this, networks=(features.raw(this.dataset),))
