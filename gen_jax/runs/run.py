"""A trained run, loaded from its folder; nothing else is needed."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gen_jax import experiment
from gen_jax.config import from_dict, to_dict
from gen_jax.data import summary as summaries
from gen_jax.data.dataset import Info
from gen_jax.errors import UserError, named
from gen_jax.game import Game, State, Weights
from gen_jax.runs import checkpoint
from gen_jax.runs.description import info_of as info_of

_OF_ANOTHER = "; its meta.json may be another program's, or another game was given"


class Run(NamedTuple):
    """A trained run.

    name: name of its experiment; None for your own game.
    info: the shapes of its data; None if its meta has none.
    config: None if the game was given to `load`.
    folder: the run's folder, not the checkpoint's; None if it has none.
    summary: of its training data; None if its meta has none.
    """

    name: str | None
    info: Info | None
    game: Game
    config: experiment.RunConfig | None
    state: State
    step: int
    folder: Path | None
    summary: summaries.Summary | None = None


def make_meta(name: str, config: Any, info: Info) -> dict[str, Any]:
    """Return the meta that rebuilds the game of a registered experiment.

    config: the experiment's configuration, a dataclass.
    """
    facts = {
        name: list(value) if isinstance(value, tuple) else value  # as JSON has them
        for name, value in info._asdict().items()
    }
    return {"experiment": name, "config": to_dict(config), "info": facts}


def load(path: str | Path, game: Game | None = None) -> Run:
    """Load a run from its folder (the newest checkpoint), or from one checkpoint.

    game: needed for your own game. Otherwise the experiment that the checkpoint names
        builds it. The state is placed on the default device.

    Raises UserError if no checkpoint can be read. Also raises it if the game differs
    from the saved one; the error then names the leaf.
    """
    if game is not None and not isinstance(game, Game):
        raise UserError(f"game is {game!r:.60}: give a Game, or nothing for the run's")
    found = checkpoint.newest(checkpoint.step_directories(path))
    meta, config, info = found.meta, None, None
    with contextlib.suppress(UserError):
        info = info_of(meta)
    name = meta.get("experiment")
    # Recipes and games trust the shapes of their data.
    with named(f"no game can be built for {found.directory}", _OF_ANOTHER):
        if game is None:
            if name is None or info is None:
                raise UserError(
                    f"{path} was trained with your own game: in Python, pass "
                    "game=GAME, or call evaluation.evaluate; for commands, register "
                    "the game as an experiment (README)"
                )
            recipe = experiment.of_run(name, path)
            config = from_dict(recipe.config, meta.get("config"))
            game = recipe.build(config, info)
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        batch = checkpoint.batch_like(meta["batch"])
        like = checkpoint.state_like(game, batch, device)
    state = checkpoint.restore(found, like)
    folder = checkpoint.run_folder(found.directory)
    step, summary = int(state.step), summaries.of_meta(meta)
    return Run(name, info, game, config, state, step, folder, summary=summary)


def load_params(path: str | Path, ema: int | None = 0) -> dict[str, Weights]:
    """Load every player's weights as numpy arrays; no game or model code is needed.

    ema: index of the averaged weights (0 is the first half-life), taken if a player
        has any; None for the raw weights.

    Raises UserError if there is no checkpoint that can be read, or no such average.
    """
    if ema is not None and (isinstance(ema, bool) or not isinstance(ema, int)):
        raise UserError(f"ema is {ema!r}: give a number, or None for the raw weights")
    found = checkpoint.newest(checkpoint.step_directories(path))
    players = checkpoint.restore_weights(found)
    return {name: _weights(name, player, ema) for name, player in players.items()}


def _weights(name: str, player: Mapping[str, Any], ema: int | None) -> Weights:
    averages = player["ema"]
    if ema is None or not averages:
        return Weights(player["params"], player["mutable"])
    if not 0 <= ema < len(averages):
        raise UserError(
            f"ema={ema}: the player {name!r} has {len(averages)} averages; choose "
            f"ema=0 to {len(averages) - 1}, or ema=None for the raw weights"
        )
    return Weights(**averages[ema])
