"""DCGAN (Radford et al. 2015): a convolutional generator against a discriminator.

    python -m experiments.train --experiment=dcgan --workdir=runs/dcgan

On digits, two busy CPU cores, 298 s. All ten classes. By `experiments.evaluate`, 818
samples, features of a classifier of digits: Fréchet distance 3.24 [2.58, 3.89] (between
halves of the real images 1.16), precision 0.58, recall 0.77 (0.88, 0.89).
Samples have 1.00 of the energy in fine detail that real images have (1000 samples,
`experiments.figures`; vae: 0.52). The discriminator keeps improving: its loss is 1.2 at
step 200 and about 0.7 at 3000.

CIFAR-10 (re-encoded as JPEG, a folder), an NVIDIA H100, TF32, `--config.flip=true
--config.generator.base_channels=128 --config.discriminator.base_channels=128`: 36,873
steps in 136 s. `experiments.evaluate --samples=5000`, features of a classifier that is
right on only 68 % of the test images: Fréchet distance 2.11 [1.82, 2.39] (between
halves of the real images 0.25), precision 0.86, recall 0.69 (0.82, 0.81). By then the
discriminator is certain of most images (a real one 0.93, a fake one 0.04).

`dcgan_radford` is the paper's own form, with 5x5 kernels and 1024 features; not run.
Two things differ from the authors' code: there is no weight decay (1e-5 there), and
samples use BatchNorm's running statistics instead of a batch's. The paper evaluates
networks by their features: an SVM on them is right on 82.8 % of CIFAR-10.
"""

import dataclasses

from experiments.recipes.adversaries import (
    ConvDiscriminator,
    ConvGenerator,
)
from experiments.recipes.gan import GanConfig, build_game
from gen_jax.data import DataConfig
from gen_jax.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Config(GanConfig):
    """The paper's recipe with fewer steps."""

    steps: int = 3000
    sample_every_steps: int = 1000


EXPERIMENT = Experiment(
    Config(
        generator=ConvGenerator(base_channels=64),
        discriminator=ConvDiscriminator(base_channels=64),
    ),
    build_game,
    needs=("images",),
    about="DCGAN, Radford et al. 2015",
)

RADFORD = Experiment(
    Config(
        data=DataConfig(spec="tfds:lsun/bedroom", image_size=64),
        steps=75_000,
        sample_every_steps=1_000,
        generator=ConvGenerator(base_channels=128, kernel=5),
        discriminator=ConvDiscriminator(base_channels=128, kernel=5),
        prior="uniform",
        ema_halflife_images=0.0,
    ),
    build_game,
    shape=(64, 64, 3),
    about="DCGAN, the paper's 5x5 form with 1024 features (not run here)",
)
