"""Experiments by name: a configuration and the builder of its game.

The registry is the entry-point group `gen_jax.experiments`: this project's experiments
are lines of pyproject.toml, and any installed package can register more. A checkpoint
names its experiment, and only registered code is ever imported for it.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gen_jax import plugins
from gen_jax.config import FitConfig, kind_of, within
from gen_jax.data.dataset import MAX_PIXELS, DataConfig, Info
from gen_jax.errors import UserError, hint
from gen_jax.game import Game

GROUP = "gen_jax.experiments"


@dataclasses.dataclass(frozen=True)
class RunConfig(FitConfig):
    """The configuration that all experiments share; a recipe's is a subclass.

    batch_size: examples of all devices together.
    flip: whether training images are mirrored left to right at random.
    jitter: pixels by which training images are enlarged, then cropped at random.
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    batch_size: int = within(1, 2**20, default=128)
    flip: bool = False
    jitter: int = within(0, MAX_PIXELS, default=0)


class Experiment(NamedTuple):
    """A recipe: the configuration of an experiment, and the builder of its game.

    config: the default values; every field can be overridden.
    game: (config, info of the data) -> Game; UserError if the data do not suit.
    shape: shape of one example if the recipe is exact; None adapts to the data.
    needs: properties of the data, of "images", "points", "labels" and "pairs".
    about: one line for --list.
    given: config -> weights by player's name, with which a new run begins: those of a
        frozen or warm-started player, such as a teacher. None for none. It is not asked
        when a run resumes: the run's folder holds them.
    """

    config: RunConfig
    game: Callable[[Any, Info], Game]  # of a configuration of config's class
    shape: tuple[int, ...] | None = None
    needs: tuple[str, ...] = ()
    about: str = ""
    given: Callable[[Any], Mapping[str, Any]] | None = None

    def build(self, config: RunConfig, info: Info) -> Game:
        """Return the game. Raises UserError if the data do not suit the recipe."""
        spec, has = config.data.spec, _properties(info)
        for need in self.needs:
            if not has[need]:
                raise UserError(f"this recipe needs {need}; {spec} has none")
        if has["pairs"] and "pairs" not in self.needs:
            raise UserError(
                f"{spec} has pairs of images, which this recipe cannot use: choose a "
                "recipe for pairs, see --list"
            )
        if self.shape is not None and info.shape != self.shape:
            raise UserError(
                f"this recipe is for examples of shape {self.shape}; "
                f"{spec} has {info.shape}"
            )
        config = settled(config, info)
        for field in dataclasses.fields(config):
            for need in getattr(getattr(config, field.name), "needs", ()):
                check_suits(config, info, field.name, need)
        return self.game(config, info)


def settled(config: RunConfig, info: Info) -> RunConfig:
    """Return the configuration with the networks that suit the data in place of `auto`.

    `auto` is any nested value with a method for_data(info), which returns another.
    """
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    chosen = {
        name: value.for_data(info)
        for name, value in values.items()
        if hasattr(value, "for_data")
    }
    return dataclasses.replace(config, **chosen)


def check_suits(config: RunConfig, info: Info, field: str, need: str) -> None:
    """Raise UserError if a field's value needs data with a property that they lack.

    need: one of "images", "points", "labels" and "pairs".
    """
    if not _properties(info)[need]:
        value = kind_of(config, field) or getattr(config, field)
        spec = config.data.spec
        raise UserError(f"{field}={value} is for {need}; {spec} has none")


def _properties(info: Info) -> dict[str, bool]:
    return {
        "images": len(info.shape) == 3,
        "points": len(info.shape) == 1,
        "labels": info.num_classes > 0,
        "pairs": bool(info.target_shape),
    }


def of_run(name: str, path: str | os.PathLike) -> Experiment:
    """Return the experiment by which the run at `path` was trained.

    Raises UserError as `find`; if none is registered, it names the run.
    """
    if name not in names():
        raise UserError(
            f"{path} was trained by the experiment {name!r}, which no installed "
            "package registers: install its package, or in Python pass game=GAME"
        )
    return find(name)


def names() -> list[str]:
    """Return the names of the registered experiments, in alphabetical order."""
    return plugins.names(GROUP)


def find(name: str) -> Experiment:
    """Return the experiment that is registered as `name`.

    Raises UserError, with the nearest name, if there is none, and if its package
    cannot be imported or registers parts of other types.
    """
    if (found := plugins.find(GROUP, name, Experiment)) is not None:
        if not isinstance(found.config, RunConfig) or not callable(found.game):
            raise UserError(
                f"the experiment {name!r} is registered with other parts: give "
                "Experiment(a RunConfig, a function (config, info) -> Game)"
            )
        return found
    if not (known := names()):
        raise UserError(
            "no experiment is registered: install the project (pip install -e .)"
        )
    raise UserError(f"no experiment {name!r}.{hint(name, known)}")
