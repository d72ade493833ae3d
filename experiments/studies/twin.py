"""A comparison of `vae` with a twin in plain PyTorch (`speed/torch_models.py`)."""

import dataclasses
import itertools
import math
import time
from typing import Any

import jax
import numpy as np
import torch

from experiments.studies.speed.torch_models import Vae
from experiments.studies.speed.torch_steps import floats
from gen_jax import averaged, data, experiment
from gen_jax.errors import UserError
from gen_jax.loop import fit
from gen_jax.sampling import call
from gen_jax.step import sample_keys

_AT_ONCE = 1000  # images per batch when computing the bound


def compare(data_spec: str, steps: int, seeds: int, draws: int) -> None:
    """Train both models from seeds 0 .. seeds - 1, and print their bounds.

    draws: samples of z per held-out image. Raises UserError if the data are not
    images.
    """
    recipe = experiment.find("vae")
    spec = dataclasses.replace(recipe.config.data, spec=data_spec)
    config = dataclasses.replace(recipe.config, data=spec, steps=steps)
    dataset = data.load(config.data)
    if len(dataset.info.shape) != 3:
        raise UserError(
            f"--data={data_spec} has points, but the twin is for images: give a "
            "dataset of images such as digits"
        )
    test = dataset.test.read(range(len(dataset.test)))["x"]
    differences = []
    for seed in range(seeds):
        now = dataclasses.replace(config, seed=seed)
        ours = _ours(recipe, now, dataset, test, draws)
        theirs = _theirs(now, dataset, test, draws)
        difference = ours - theirs
        print(f"seed {seed}: gen_jax - PyTorch {_mean(difference)}", flush=True)
        differences.append(difference.mean())
    if len(differences) > 1:
        each = ", ".join(f"{difference:+.2f}" for difference in differences)
        print(f"gen_jax - PyTorch: mean of seeds {np.mean(differences):+.2f} ({each})")


def _ours(
    recipe: experiment.Experiment,
    config: Any,
    dataset: data.Dataset,
    test: np.ndarray,
    draws: int,
) -> np.ndarray:
    """Train gen_jax's VAE; return the bounds of the held-out images, nats [N]."""
    game = recipe.build(config, dataset.info)
    batches = data.batches(dataset.train, config.batch_size, config.seed)
    started = time.perf_counter()
    state = jax.block_until_ready(fit(game, batches, config, prepare=data.prepare()))
    seconds = time.perf_counter() - started
    precise = dataclasses.replace(config, draws=draws)
    bound = recipe.build(precise, dataset.info).ops.by_name["bound"]
    prepare = data.prepare()
    keys = sample_keys(config.seed, np.arange(len(test)))

    def bound_of_bytes(players, x, keys):
        return bound(players, prepare({"x": x}, keys)["x"], keys)

    def bounds(players):
        inputs = {"x": test, "keys": keys}
        return call(bound_of_bytes, players, inputs, batch_size=_AT_ONCE)

    last = bounds(state.players)
    print(
        f"seed {config.seed}: gen_jax {_mean(last)}, {seconds:.0f} s; "
        f"averaged weights {_mean(bounds(averaged(state.players)))}",
        flush=True,
    )
    return last


def _theirs(
    config: Any, dataset: data.Dataset, test: np.ndarray, draws: int
) -> np.ndarray:
    """Train the twin; return the bounds of the held-out images, nats [N]."""
    batches = data.batches(dataset.train, config.batch_size, config.seed)(0)
    (hidden,) = config.network.hidden
    started = time.perf_counter()
    torch.manual_seed(config.seed)
    model = Vae(test[0].size, hidden, config.z_dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    for batch in itertools.islice(batches, config.steps):
        loss = -_torch_bounds(model, batch["x"], 1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - started
    chunks = np.split(test, range(_AT_ONCE, len(test), _AT_ONCE))
    with torch.no_grad():
        bounds = torch.cat([_torch_bounds(model, x, draws) for x in chunks]).numpy()
    print(f"seed {config.seed}: PyTorch {_mean(bounds)}, {seconds:.0f} s", flush=True)
    return bounds


def _torch_bounds(model: Vae, x: np.ndarray, draws: int) -> torch.Tensor:
    """Return the bound of images uint8 [N, H, W, C], nats [N], by `draws` of z."""
    eps = torch.randn(draws, len(x), model.mean.out_features)
    return model(floats(torch.from_numpy(x)).flatten(1), eps)


def _mean(nats: np.ndarray) -> str:
    """Format the mean with its standard error over images."""
    error = nats.std(ddof=1) / math.sqrt(len(nats))
    return f"{nats.mean():+.2f} +- {error:.2f} nats per image"
