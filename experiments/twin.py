"""A comparison of `vae` with a twin in plain PyTorch: the held-out bound.

  python -m experiments.twin --data=idx:DIR [--steps=5000] [--seeds=1] [--draws=10]

Both follow the recipe of `recipes/vae.py` with the same batches in the same order. They
start from the same distributions, each by its own generator. The bound is that of every
held-out image with the last weights, by `draws` samples of z per image. For gen_jax the
bound with the averaged weights is printed too. +- is a standard error over images.
Seconds are of training, for gen_jax with compilation. PyTorch has to be installed: pip
install torch.

One run with --seeds=3 on Fashion-MNIST (60,000 training images, 10,000 held out), with
PyTorch 2.13.0 and JAX 0.10.2. It had two shared CPU cores that were busy with other
work, hence the seconds. In nats per image, each +- 0.76:

    seed                      0          1          2
    gen_jax             -247.47    -246.79    -247.08    143, 122,  94 s
    PyTorch             -247.36    -246.72    -246.91    114,  93,  58 s
    difference            -0.11      -0.07      -0.18    each +- 0.03, mean -0.12
    averaged weights    -245.67    -245.42    -245.37    of gen_jax

The +- 0.03 does not include the effect of another initialisation. With --steps=1000
--seeds=6 the differences are +0.21, -0.08, -0.28, +0.04, -0.59 and +0.41, mean -0.05.
"""

import os

from absl import flags

from experiments import flags as parsing
from gen_jax.errors import UserError

_DATA = flags.DEFINE_string("data", "digits", "images, as for experiments.train")
_STEPS = flags.DEFINE_integer("steps", 5000, "training steps of each", lower_bound=1)
_SEEDS = flags.DEFINE_integer("seeds", 1, "number of runs of each", lower_bound=1)
_DRAWS = flags.DEFINE_integer(
    "draws", 10, "samples of z per held-out image", lower_bound=1
)


def main(overrides: list[tuple[str, str]]) -> None:
    """Train and compare both models, seed by seed."""
    parsing.refuse(overrides, "twin always takes the recipe of vae; leave it out")
    # PyTorch reads this at its first import. Its threads otherwise spin while they
    # wait: with other work on the machine, two were ten times slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        from experiments.studies import twin
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError("the twin needs PyTorch: pip install torch") from None
    twin.compare(_DATA.value, _STEPS.value, _SEEDS.value, _DRAWS.value)


if __name__ == "__main__":
    parsing.run(main)
