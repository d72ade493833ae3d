"""A run with its name, data shape and folder; goes when `runs.run.Run` has them."""

from pathlib import Path
from typing import Any, NamedTuple

from gen_jax.data import Info
from gen_jax.game import Game, State
from gen_jax.runs import checkpoint


class Run(NamedTuple):
    """A trained game. name, config: None for a game of one's own."""

    name: str | None
    info: Info
    game: Game
    config: Any
    state: State
    step: int
    folder: Path | None


def load(path: str | Path) -> Run:
    """Return the run of a folder. Raises UserError as `checkpoint.load` does."""
    game, config, state, step = checkpoint.load(path)
    meta = checkpoint.newest_meta(checkpoint.step_directories(path))
    name, info = meta["experiment"], checkpoint.info_of(meta)
    return Run(name, info, game, config, state, step, Path(path))
