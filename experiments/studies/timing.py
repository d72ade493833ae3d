"""The bare train step for timing, on a batch that is already on the device."""

import time
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from gen_jax import data, devices
from gen_jax.data import Dataset
from gen_jax.experiment import RunConfig
from gen_jax.game import Game, init_state
from gen_jax.step import make_train_step


def bare_step(
    game: Game, config: RunConfig, dataset: Dataset, mesh: Mesh | None = None
) -> tuple[Callable[[int, int], float], float]:
    """Return a function (steps, warm) -> seconds of the steps after the warm ones.

    The second result is the FLOPs of a step. Each call begins with a new state and
    waits for the device only at the end. XLA counts the FLOPs of the step for a CPU,
    before it optimises. So they are the same on any machine; XLA cannot count them for
    a GPU.
    """
    mesh = mesh or devices.data_mesh()
    prepare = data.prepare(flip=config.flip, jitter=config.jitter)
    step = make_train_step(game, mesh=mesh, prepare=prepare)
    rng = jax.random.key(config.seed)
    batches = data.batches(dataset.train, config.batch_size, config.seed)
    batch = jax.device_put(next(iter(batches(0))))
    keys = jax.random.split(rng, config.batch_size)
    example = jax.eval_shape(prepare, batch, keys)
    like = jax.eval_shape(lambda: init_state(game, rng, example))

    def run(state, steps):
        for _ in range(steps):
            state, _ = step(state, batch, rng)
        return jax.block_until_ready(state)

    def seconds(steps: int, warm: int) -> float:
        state = run(init_state(game, rng, example), warm)
        started = time.perf_counter()
        run(state, steps)
        return time.perf_counter() - started

    cpu = devices.data_mesh(jax.devices("cpu")[:1])
    batch_like, rng_like = jax.eval_shape(lambda *x: x, batch, rng)
    with devices.implementation("cpu"):
        counted = make_train_step(game, mesh=cpu, prepare=prepare, compiler_options={})
        costs = counted.lower(like, batch_like, rng_like).cost_analysis()
    return seconds, costs["flops"]
