"""Training speed: fit() compared with the bare step, in alternation in one process.

  python -m experiments.benchmark [--experiment=vae] [--steps=2000] [--rounds=5]

The bare step repeats one batch that is already on the device. fit() also reads,
transfers, logs, samples and saves at the experiment's defaults. Both are timed over
`steps` steps of their steady state, and wait for the device only at the end.
"""

import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

from absl import flags
from jax.sharding import Mesh

from experiments import flags as parsing
from experiments.studies.timing import BareStep
from gen_jax import config as configs
from gen_jax import data, devices, experiment
from gen_jax.game import Game
from gen_jax.loop import fit

_NAME = flags.DEFINE_string("experiment", "vae", "name of the experiment")
_STEPS = flags.DEFINE_integer("steps", 2000, "timed steps per round", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "rounds, each timing both", lower_bound=1)

_WARM = 100  # steps between the first sampling and the start of the clock
_RUN_OUT = 10  # steps after the clock stops, so that the device is still busy then


def main(overrides: list[tuple[str, str]]) -> None:
    """Time both in alternation; print medians and their ratio."""
    devices.use_compilation_cache()
    recipe = experiment.find(_NAME.value)
    config = configs.override_all(recipe.config, overrides)
    first = config.sample_every_steps + _WARM
    config = dataclasses.replace(config, steps=first + _STEPS.value + _RUN_OUT)
    dataset = data.load(config.data)
    game = recipe.build(config, dataset.info)
    batches = data.batches(dataset.train, config.batch_size, config.seed)
    mesh = devices.data_mesh()
    bare_step = BareStep(game, config, dataset, mesh)
    bare, whole = [], []
    for _ in range(_ROUNDS.value):
        bare.append(bare_step.seconds(_STEPS.value, _WARM))
        whole.append(_time_fit(game, config, batches, mesh, first))
    ratios = [b / w for b, w in zip(bare, whole, strict=True)]
    for name, seconds in (("bare step", bare), ("fit", whole)):
        ms = [1e3 * s / _STEPS.value for s in seconds]
        print(f"{name}: {_spread(ms)} ms per step")
    print(
        f"fit reaches {_spread([100 * ratio for ratio in ratios])} % of the speed of "
        "the bare step"
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def _time_fit(
    game: Game,
    config: experiment.RunConfig,
    batches: Callable[[int], Iterator[data.Batch]],
    mesh: Mesh,
    first: int,
) -> float:
    """Return the seconds of the timed steps of a whole run, from step `first` on.

    The clock is read when a batch is requested. fit queues steps ahead of the device.
    The queue has the same length at both readings, so the difference is the time of the
    steps.
    """
    readings = {}

    def clocked(start):
        for step, batch in zip(itertools.count(start), batches(start)):
            if step in (first, first + _STEPS.value):
                readings[step] = time.perf_counter()
            yield batch

    with tempfile.TemporaryDirectory() as folder:
        prepare = data.prepare(flip=config.flip, jitter=config.jitter)
        fit(game, clocked, config, workdir=folder, mesh=mesh, prepare=prepare)
    return readings[first + _STEPS.value] - readings[first]


if __name__ == "__main__":
    parsing.run(main)
