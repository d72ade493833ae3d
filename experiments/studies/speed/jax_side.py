"""gen_jax's side of the comparison: a row's game, and its bare train step."""

import dataclasses
import os
import resource
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import gen_jax
from experiments.recipes import adversaries, dcgan, ddpm, denoisers, pix2pix, vae
from experiments.recipes.autoencoders import Mlp
from experiments.studies.speed.rows import Row, Variant
from experiments.studies.timing import BareStep
from gen_jax import devices
from gen_jax.data.dataset import Dataset, Info, MemorySplit
from gen_jax.data.prepare import prepared_like
from gen_jax.experiment import Experiment, RunConfig
from gen_jax.game import Game, parameter_counts

_PRECISIONS = {"default": None, "tf32": "tensorfloat32", "fp32": "float32"}


def build(row: Row) -> tuple[Game, RunConfig, Dataset]:
    """Return a row's game, configuration and random data, by its recipe."""
    info, dataset = _random_data(row)
    recipe: Experiment
    fields: dict[str, Any]
    if row.family == "vae":
        recipe, fields = vae.EXPERIMENT, {"network": Mlp(hidden=(row.width,))}
    elif row.family == "ddpm":
        recipe = ddpm.CIFAR10 if row.flip else ddpm.EXPERIMENT
        network = denoisers.UNet(
            base_channels=row.width,
            channel_multipliers=row.multipliers,
            attention_resolutions=row.attention,
            dropout=row.dropout,
        )
        fields = {"network": network}
    elif row.family == "gan":
        recipe = dcgan.EXPERIMENT
        fields = {
            "generator": adversaries.ConvGenerator(row.width),
            "discriminator": adversaries.ConvDiscriminator(row.width),
        }
    else:
        recipe = pix2pix.EXPERIMENT
        fields = {
            "generator": pix2pix.UNet(row.width, row.dropout),
            "discriminator": pix2pix.PatchGan(row.width, 70),
        }
    config = dataclasses.replace(recipe.config, batch_size=row.batch, **fields)
    # A miniature of an exact recipe has another shape than the paper's.
    return recipe._replace(shape=None).build(config, info), config, dataset


def parameters(row: Row) -> dict[str, int]:
    """Count each player's parameters, without allocating any."""
    game, config, dataset = build(row)
    return parameter_counts(game, prepared_like(dataset.info, config.batch_size))


def _random_data(row: Row) -> tuple[Info, Dataset]:
    numbers = np.random.default_rng(0)

    def images():
        return numbers.integers(0, 256, (row.batch, *row.shape), np.uint8)

    is_paired = row.family == "pix2pix"
    info = Info(row.shape, 0, row.shape if is_paired else ())
    y = images() if is_paired else np.full(row.batch, -1, np.int32)
    split = MemorySplit(images(), y)
    return info, Dataset(info, split, split)


class Side:
    """A compiled step and its state. `steps_per_call` divides every number of steps."""

    def __init__(self, row: Row, variant: Variant):
        if precision := _PRECISIONS[variant.precision]:
            jax.config.update("jax_default_matmul_precision", precision)
        if "JAX_COMPILATION_CACHE_DIR" in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        self.steps_per_call = variant.scan
        self.step = BareStep(
            *build(row), devices.data_mesh(jax.devices()[:1]), variant.scan
        )
        self.parameters = parameters(row)
        self.state = jax.block_until_ready(self.step.start())

    def seconds(self, steps: int) -> float:
        """Take the steps and return their seconds; wait for the device at the end."""
        started = time.perf_counter()
        self.state = self.step.take(self.state, steps)
        return time.perf_counter() - started

    def about(self) -> dict:
        """Return versions and the device."""
        device = jax.devices()[0]
        return {
            "versions": {"jax": jax.__version__, "gen_jax": gen_jax.__version__},
            "device": f"{device.platform}: {device.device_kind}",
        }

    def memory(self) -> dict:
        """Return peak bytes so far: of the device, and of this process."""
        stats = jax.local_devices()[0].memory_stats() or {}
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"device": stats.get("peak_bytes_in_use"), "host": host}

    def operations(self) -> float:
        """Return the floating-point operations of one step, by XLA's count."""
        return self.step.flops()

    def finite(self) -> bool:
        """Return whether all parameters are finite numbers."""
        params = [player.params for player in self.state.players.values()]
        leaves = jax.tree.leaves(params)
        return bool(jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves])))
