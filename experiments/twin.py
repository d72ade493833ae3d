"""Is our VAE anybody's VAE? `vae` beside a twin in plain PyTorch: the held-out bound.

  python -m experiments.twin --data=idx:DIR [--steps=5000] [--seeds=1] [--draws=10]

Both take the recipe of `recipes/vae.py`, the same batches in the same order, and start
from the same distributions, each by its own generator. The bound is that of every
held-out image with the last weights (and ours with the averaged ones too), by `draws`
of z an image; +- is a standard error over images. Seconds are of training, ours with
compilation. PyTorch has to be there: pip install torch.

Run once with --seeds=3 on Fashion-MNIST (60,000 images to train on, 10,000 held out),
PyTorch 2.13.0 and JAX 0.10.2 on two shared CPU cores, busy with other work (hence
the seconds); nats an image, each +- 0.76:

    seed                      0          1          2
    gen_jax             -247.47    -246.79    -247.08    143, 122,  94 s
    PyTorch             -247.36    -246.72    -246.91    114,  93,  58 s
    difference            -0.11      -0.07      -0.18    each +- 0.03, mean -0.12
    averaged weights    -245.67    -245.42    -245.37    of gen_jax

The +- 0.03 leaves out what another initialisation would change: with --steps=1000
--seeds=6 the differences are +0.21, -0.08, -0.28, +0.04, -0.59 and +0.41, mean -0.05.
"""

import dataclasses
import math
import os
import time
from functools import partial

import jax
import numpy as np
from absl import flags

from experiments import flags as parsing
from gen_jax import averaged, data, devices, experiment
from gen_jax.errors import UserError
from gen_jax.loop import fit
from gen_jax.sampling import in_batches
from gen_jax.step import sample_keys

_DATA = flags.DEFINE_string("data", "digits", "images, as for experiments.train")
_STEPS = flags.DEFINE_integer("steps", 5000, "of training, both", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 1, "how many runs of both", lower_bound=1)
_DRAWS = flags.DEFINE_integer("draws", 10, "of z for a held-out image", lower_bound=1)

_AT_ONCE = 1000  # images whose bound is computed at once


def main(overrides: list[tuple[str, str]]) -> None:
    """Trains and compares both, seed by seed."""
    if overrides:
        raise UserError(f"twin has no --config.{overrides[0][0]}: it is one recipe")
    torch_vae = _torch_vae()
    recipe = experiment.find("vae")
    spec = dataclasses.replace(recipe.config.data, spec=_DATA.value)
    config = dataclasses.replace(recipe.config, data=spec, steps=_STEPS.value)
    dataset = data.load(config.data)
    if len(dataset.info.shape) != 3:
        raise UserError(f"the twin is for images; {_DATA.value} has points")
    test = dataset.test.read(range(len(dataset.test)))["x"]
    differences = []
    for seed in range(_SEEDS.value):
        now = dataclasses.replace(config, seed=seed)
        ours = _ours(recipe, now, dataset, test)
        theirs = _theirs(torch_vae, now, dataset, test)
        difference = ours - theirs
        print(f"seed {seed}: gen_jax - PyTorch {_mean(difference)}", flush=True)
        differences.append(difference.mean())
    if len(differences) > 1:
        each = ", ".join(f"{difference:+.2f}" for difference in differences)
        print(f"gen_jax - PyTorch: mean of seeds {np.mean(differences):+.2f} ({each})")


def _torch_vae():
    """The module of the twin; a UserError where there is no PyTorch."""
    # Its threads otherwise spin while they wait, and with other work on the machine two
    # of them were ten times slower than one. Read when PyTorch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from experiments.studies import torch_vae
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError("the twin needs PyTorch: pip install torch") from None
    return torch_vae


def _ours(recipe, config, dataset, test: np.ndarray) -> np.ndarray:
    """Trains ours; bounds of the held-out images, nats [N]."""
    game = recipe.build(config, dataset.info)
    batches = data.batches(dataset.train, config.batch_size, config.seed)
    started = time.perf_counter()
    state = jax.block_until_ready(fit(game, batches, config, prepare=data.prepare()))
    seconds = time.perf_counter() - started
    judge = recipe.build(dataclasses.replace(config, draws=_DRAWS.value), dataset.info)
    bounds = partial(_bounds, devices.jit(judge.ops["bound"]), x=test, seed=config.seed)
    last = bounds(players=state.players)
    print(
        f"seed {config.seed}: gen_jax {_mean(last)}, {seconds:.0f} s; "
        f"averaged weights {_mean(bounds(players=averaged(state.players)))}",
        flush=True,
    )
    return last


def _bounds(bound, players, x: np.ndarray, seed: int) -> np.ndarray:
    """ELBO of images uint8 [N, H, W, C], nats [N]."""
    keys = sample_keys(seed, np.arange(len(x), dtype=np.int32))
    prepare = data.prepare()

    def bounds(x, keys):
        return bound(players, prepare({"x": jax.device_put(x)}, keys)["x"], keys)

    return in_batches(bounds, x, keys, batch_size=_AT_ONCE)


def _theirs(torch_vae, config, dataset, test: np.ndarray) -> np.ndarray:
    """Trains the twin; bounds of the held-out images, nats [N]."""
    batches = data.batches(dataset.train, config.batch_size, config.seed)(0)
    (hidden,) = config.network.hidden
    started = time.perf_counter()
    model = torch_vae.train(
        (batch["x"] for batch in batches),
        steps=config.steps,
        hidden=hidden,
        z_dim=config.z_dim,
        learning_rate=config.learning_rate,
        seed=config.seed,
    )
    seconds = time.perf_counter() - started
    bounds = torch_vae.bounds(model, test, _DRAWS.value)
    print(f"seed {config.seed}: PyTorch {_mean(bounds)}, {seconds:.0f} s", flush=True)
    return bounds


def _mean(nats: np.ndarray) -> str:
    """With its standard error over images."""
    error = nats.std(ddof=1) / math.sqrt(len(nats))
    return f"{nats.mean():+.2f} +- {error:.2f} nats an image"


if __name__ == "__main__":
    parsing.run(main)
