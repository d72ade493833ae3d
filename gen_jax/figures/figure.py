"""Figure: the pictures and numbers of a claim; and the content of figures.json."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from gen_jax import images

Picture = np.ndarray  # uint8 [H, W, 1 or 3]


class Figure(NamedTuple):
    """Pictures, numbers and films by name. Numbers are as JSON has them.

    left_out: a line for each number that could not be computed.
    """

    pictures: dict[str, Picture]
    numbers: dict[str, Any] = {}  # noqa: RUF012
    films: dict[str, list[Picture]] = {}  # noqa: RUF012  frames of one size
    left_out: tuple[str, ...] = ()


def grid_of(name: str, x: np.ndarray, columns: int) -> dict[str, Picture]:
    """Return a grid of images [N, H, W, C] by name; no picture of points [N, D]."""
    return {name: images.grid(x, columns)} if x.ndim == 4 else {}


@dataclasses.dataclass(frozen=True)
class DrawnClaim:
    """A claim in figures.json.

    pictures: file names. seconds: the time that it took.
    numbers: of one run, or a list with an element per run; null if the claim does not
        apply to a run.
    left_out: a line for each run for which the claim could not be drawn.
    """

    description: str = ""
    pictures: list[str] = dataclasses.field(default_factory=list)
    numbers: Any = None
    seconds: float = 0.0
    left_out: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class FiguresRecord:
    """The content of figures.json.

    runs: folder, experiment, data, training_seed, step, weights and seed of each run.
    """

    runs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    claims: dict[str, DrawnClaim] = dataclasses.field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Return a line for everything that could not be drawn."""
        return [f"{n}: {line}" for n, c in self.claims.items() for line in c.left_out]
