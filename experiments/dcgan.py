"""DCGAN (Radford et al. 2015): a convolutional generator against a discriminator.

python -m experiments.train --experiment=dcgan --workdir=runs/dcgan
"""

import dataclasses
from typing import Literal

from gen_jax.config import RunConfig
from gen_jax.data import Info
from gen_jax.errors import UserError
from gen_jax.experiment import Experiment
from gen_jax.game import Game
from gen_jax.models import dcgan
from gen_jax.objectives.gan import gan
from gen_jax.optimizers import adam


@dataclasses.dataclass(frozen=True)
class Config(RunConfig):
    """Radford et al.'s recipe; `features` is narrower for two CPU cores."""

    steps: int = 2000
    features: int = 32  # of the generator's last and discriminator's first layer
    z_dim: int = 100
    learning_rate: float = 2e-4
    b1: float = 0.5  # Adam's momentum
    payoff: Literal["non_saturating", "minimax"] = "non_saturating"
    ema_halflife_images: float = 10_000.0


def game(config: Config, info: Info) -> Game:
    """Generator and discriminator whose depth follows the images' shape."""
    if len(info.shape) != 3:
        raise UserError(f"dcgan needs images; {config.data.spec} has {info.shape}")
    optimizer = adam(config.learning_rate, b1=config.b1)
    return gan(
        dcgan.Generator(shape=info.shape, features=config.features),
        dcgan.Discriminator(features=config.features),
        z_dim=config.z_dim,
        payoff=config.payoff,
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        ema_halflife_images=(config.ema_halflife_images,),
    )


EXPERIMENT = Experiment(Config(), game, about="DCGAN, Radford et al. 2015")
