"""Training on samples of a known density: no example is ever seen twice."""

import itertools
from collections.abc import Iterator

import jax
import numpy as np

from experiments.studies.truth import densities
from experiments.studies.truth.densities import Mixture
from gen_jax import devices
from gen_jax.config import FitConfig
from gen_jax.game import Game, State
from gen_jax.loop import fit

_STEPS_PER_CALL = 50


def trained(
    game: Game,
    p: Mixture,
    *,
    shape: tuple[int, ...] = (2,),
    steps: int,
    batch_size: int,
    start: State | None = None,
) -> State:
    """Return the game's state after `steps` steps on fresh samples of p.

    shape: of an example; it holds as many numbers as p has dimensions.
    steps: total number of steps, including those of `start`.
    batch_size: examples per step.
    start: state to continue from; None for a new one.
    """

    def batches(first: int) -> Iterator[dict[str, np.ndarray]]:
        for step in itertools.count(first):
            rng = np.random.default_rng((0, step))
            x = densities.sample(p, batch_size, rng).astype(np.float32)
            yield {"x": x.reshape(-1, *shape)}

    config = FitConfig(steps=steps, steps_per_call=_STEPS_PER_CALL)
    mesh = devices.data_mesh(jax.local_devices()[:1])
    return fit(game, batches, config, mesh=mesh, start=start)
