"""gen_jax: generative models of images in JAX, all trained by one step.

Every objective is a game of one or more players; see `game.py` for the idea and
`step.py` for the step. The names below are the public ones.
"""

from gen_jax.config import FitConfig
from gen_jax.game import (
    Context,
    Game,
    Player,
    PlayerState,
    State,
    Turn,
    Weights,
    averaged,
    init_state,
)
from gen_jax.loop import fit
from gen_jax.ops import Ops
from gen_jax.runs.checkpoint import Run, load, load_params
from gen_jax.step import make_train_step, train_step

__all__ = [
    "Context",
    "FitConfig",
    "Game",
    "Ops",
    "Player",
    "PlayerState",
    "Run",
    "State",
    "Turn",
    "Weights",
    "averaged",
    "fit",
    "init_state",
    "load",
    "load_params",
    "make_train_step",
    "train_step",
]
