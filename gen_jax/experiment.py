"""Experiments by name: a recipe and the builder of its game.

The registry is the entry-point group `gen_jax.experiments`: this project's own are
lines of pyproject.toml, and any installed package can register more. A checkpoint
names its experiment, and only what is registered is ever imported for it.
"""

import dataclasses
import importlib.metadata
from collections.abc import Callable
from typing import NamedTuple

from gen_jax.config import FitConfig, within
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
    """A recipe.

    config: its defaults; every field can be overridden.
    game: (config, info of the data) -> Game; UserError where the data do not suit.
    shape: the examples' shape, where the recipe is exact; None adapts to the data.
    needs: what the data have to be, of "images", "labels" and "pairs".
    about: one line for --list.
    """

    config: RunConfig
    game: Callable[[RunConfig, Info], Game]
    shape: tuple[int, ...] | None = None
    needs: tuple[str, ...] = ()
    about: str = ""

    def build(self, config: RunConfig, info: Info) -> Game:
        """The game, after checking that the data are what the recipe needs."""
        spec = config.data.spec
        has = {
            "images": len(info.shape) == 3,
            "labels": info.num_classes > 0,
            "pairs": bool(info.target_shape),
        }
        for need in self.needs:
            if not has[need]:
                raise UserError(f"this recipe needs {need}; {spec} has none")
        if has["pairs"] and "pairs" not in self.needs:
            raise UserError(f"{spec} has pairs of images, which are for pix2pix")
        if self.shape is not None and info.shape != self.shape:
            raise UserError(
                f"this recipe is for examples of shape {self.shape}; "
                f"{config.data.spec} has {info.shape}"
            )
        return self.game(config, info)


def images_only(config: RunConfig, info: Info, field: str) -> None:
    """Raises UserError where the data are points, to which a field's value is unfit."""
    if len(info.shape) != 3:
        value, spec = getattr(config, field), config.data.spec
        raise UserError(f"{field}={value} is for images; {spec} has none")


def names() -> list[str]:
    """The registered experiments, in alphabetical order."""
    return sorted(
        {entry.name for entry in importlib.metadata.entry_points(group=GROUP)}
    )


def find(name: str) -> Experiment:
    """The experiment registered as `name`.

    Raises UserError, with the nearest name, where there is none.
    """
    entries = importlib.metadata.entry_points(group=GROUP, name=name)
    for entry in entries:
        return entry.load()
    if not (known := names()):
        raise UserError(
            "no experiment is registered: install the project (pip install -e .)"
        )
    raise UserError(f"no experiment {name!r}.{hint(name, known)}")
