"""gen_jax: generative models of images in JAX, all trained by one step.

Every objective is a game of one or more players; see `game.py` for the idea and
`step.py` for the step. The names below are the public ones. `Run`, `load` and
`load_params` are imported at their first use, together with data and checkpoints.
"""

from typing import TYPE_CHECKING, Any

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
from gen_jax.step import make_train_step, train_step

if TYPE_CHECKING:
    from gen_jax.runs.run import Run, load, load_params

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

__version__ = "0.2.0"

_LATE = ("Run", "load", "load_params")


def __getattr__(name: str) -> Any:
    """Import a name of `runs/run.py` at its first use."""
    if name not in _LATE:
        raise AttributeError(f"module 'gen_jax' has no attribute {name!r}")
    from gen_jax.runs import run

    return getattr(run, name)


def __dir__() -> list[str]:
    """List the public names, the late ones included."""
    return sorted({*globals(), *_LATE})
