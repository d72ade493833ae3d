"""The bare train step for timing, on a batch that is already on the device."""

import time

import jax
import numpy as np
from jax.sharding import Mesh

from gen_jax import data, devices
from gen_jax.data import Dataset
from gen_jax.experiment import RunConfig
from gen_jax.game import Game, State, init_state
from gen_jax.step import make_train_step


class BareStep:
    """The train step of a game by its configuration, on the first batch of its data.

    mesh: the devices; None for all. steps_per_call: it divides every number of steps.
    """

    def __init__(
        self,
        game: Game,
        config: RunConfig,
        dataset: Dataset,
        mesh: Mesh | None = None,
        steps_per_call: int = 1,
    ):
        self._game, self._steps_per_call = game, steps_per_call
        self._prepare = data.prepare(flip=config.flip, jitter=config.jitter)
        self._rng = jax.random.key(config.seed)
        batches = data.batches(dataset.train, config.batch_size, config.seed)
        batch = next(iter(batches(0)))
        keys = jax.random.split(self._rng, config.batch_size)
        self._example = jax.eval_shape(self._prepare, batch, keys)
        self._like = jax.eval_shape(lambda *x: x, batch, self._rng)
        if steps_per_call > 1:
            batch = {k: np.stack([x] * steps_per_call) for k, x in batch.items()}
        self._batch = jax.device_put(batch)
        self._step = make_train_step(
            game,
            mesh=mesh or devices.data_mesh(),
            prepare=self._prepare,
            steps_per_call=steps_per_call,
        )

    def start(self) -> State:
        """Return a new state."""
        return init_state(self._game, self._rng, self._example)

    def take(self, state: State, steps: int) -> State:
        """Return the state after the steps; wait for the device only at the end."""
        for _ in range(steps // self._steps_per_call):
            state, _ = self._step(state, self._batch, self._rng)
        return jax.block_until_ready(state)

    def seconds(self, steps: int, warm: int) -> float:
        """Return the seconds of the steps after the warm ones, from a new state."""
        state = self.take(self.start(), warm)
        started = time.perf_counter()
        self.take(state, steps)
        return time.perf_counter() - started

    def flops(self) -> float:
        """Count the FLOPs of a step.

        XLA counts them for a CPU, before it optimises. So they are the same on any
        machine; XLA cannot count them for a GPU.
        """
        cpu = devices.data_mesh(jax.devices("cpu")[:1])
        state_like = jax.eval_shape(self.start)
        with devices.implementation("cpu"):
            step = make_train_step(
                self._game, mesh=cpu, prepare=self._prepare, compiler_options={}
            )
            return float(step.lower(state_like, *self._like).cost_analysis()["flops"])
