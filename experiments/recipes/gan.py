"""GAN (Goodfellow et al. 2014): an MLP that draws against a maxout net that judges.

    python -m experiments.train --experiment=gan --workdir=runs/gan [--data=ring]

On digits, two busy CPU cores, 22 s: all ten classes, 72 to 96 of 818 samples in each.
`experiments.evaluate`, features of a classifier of digits: Fréchet distance 4.26 [3.65,
4.87] (between halves of the real images 1.17), precision 0.51, recall 0.48 (0.88,
0.88). Without R1, which is not the paper's, all samples were 0s and 9s after as many
steps.

`gan_mnist` is the paper's own recipe, of which it reports a Parzen-window
log-likelihood of 225 +- 2 nats; not run. Networks, z, dropout, optimizer and costs are
those of the authors' mnist.yaml. The turns are the paper's algorithm 1; their code
moves both players at once, on the same fakes. Other than there, pixels lie in [-1, 1]
instead of [0, 1], the generator's last bias starts at 0 instead of the data's log odds,
all 60,000 training images are used instead of 50,000, and the last step is kept instead
of the best on the other 10,000.
"""

import dataclasses
import math
from typing import ClassVar, Literal

import flax.linen as nn

from gen_jax.config import RunConfig
from gen_jax.data import DataConfig, Info
from gen_jax.experiment import Experiment
from gen_jax.game import Game
from gen_jax.losses import adversarial
from gen_jax.models import maxout
from gen_jax.objectives.gan import Regularization, gan
from gen_jax.optimizers import adam, halflives, sgd_of_2014

Prior = Literal["normal", "uniform", "unit_cube", "unit_uniform"]


@dataclasses.dataclass(frozen=True)
class GanConfig(RunConfig):
    """What all games against a discriminator may play for."""

    z_dim: int = 100
    prior: Prior = "normal"
    gan_loss: Literal[
        "non_saturating", "minimax", "least_squares", "wasserstein", "hinge"
    ] = "non_saturating"
    critic_turns: int = 1  # of the discriminator in a step, on parts of the batch
    shared_noise: bool = False  # the same z for both players in a step
    gradient_penalty: float = 0.0  # its weight; Gulrajani et al. (2017): 10
    r1: float = 0.0  # its weight gamma; Mescheder et al. (2018): 10
    r1_every: int = 1  # steps
    clip_weights: float = 0.0  # the critic's limit, Arjovsky et al. (2017): 0.01; 0: no
    optimizer: Literal["adam", "sgd_of_2014"] = "adam"
    learning_rate: float = 2e-4
    discriminator_learning_rate: float | None = None  # None: as the generator's
    b1: float = 0.5  # Adam's momentum
    decay: float = 1.000004  # divides the learning rate of SGD at each update
    ema_halflife_images: float = 20_000.0  # of the generator's average; 0: none

    LIMITS: ClassVar = {
        **RunConfig.LIMITS,
        "z_dim": (1, math.inf),
        "critic_turns": (1, 1000),
        "gradient_penalty": (0, math.inf),
        "r1": (0, math.inf),
        "r1_every": (1, math.inf),
        "clip_weights": (0, math.inf),
        "learning_rate": (0, math.inf),
        "discriminator_learning_rate": (0, math.inf),
        "b1": (0, 0.999),
        "decay": (1, math.inf),
        "ema_halflife_images": (0, math.inf),
    }


def build_gan(
    config: GanConfig,
    generator: nn.Module,
    discriminator: nn.Module,
    num_classes: int = 0,
) -> Game:
    """The game of two networks that a configuration describes."""

    def optimizer(learning_rate):
        if config.optimizer == "sgd_of_2014":
            return sgd_of_2014(learning_rate, config.decay)
        return adam(learning_rate, b1=config.b1)

    of_critic = config.discriminator_learning_rate
    critic = optimizer(config.learning_rate if of_critic is None else of_critic)
    if config.clip_weights:
        critic = adversarial.clipped(critic, config.clip_weights)
    return gan(
        generator,
        discriminator,
        z_dim=config.z_dim,
        num_classes=num_classes,
        gan_loss=config.gan_loss,
        prior=config.prior,
        regularization=Regularization(
            config.gradient_penalty, config.r1, config.r1_every
        ),
        critic_turns=config.critic_turns,
        shared_noise=config.shared_noise,
        generator_optimizer=optimizer(config.learning_rate),
        discriminator_optimizer=critic,
        ema_halflife_images=halflives(config.ema_halflife_images),
    )


@dataclasses.dataclass(frozen=True)
class Config(GanConfig):
    """The paper's form, narrower and with Adam, for minutes on two CPU cores."""

    steps: int = 6000
    sample_every_steps: int = 1000
    prior: Prior = "uniform"
    hidden: tuple[int, ...] = (256, 256)  # the generator's ReLUs
    maxout: tuple[int, ...] = (128, 128)  # the discriminator's units
    pieces: int = 3  # linear functions in each unit
    dropout: float = 0.5  # of the discriminator's hidden layers
    dropout_x: float = 0.2  # of its inputs
    learning_rate: float = 5e-4
    # Not the paper's; without it all samples become 0s and 9s within these steps.
    r1: float = 0.2
    init_limit: float = 0.05  # the discriminator's first weights: uniform up to this

    LIMITS: ClassVar = {
        **GanConfig.LIMITS,
        "hidden": (1, math.inf),
        "maxout": (1, math.inf),
        "pieces": (1, math.inf),
        "dropout": (0, 0.99),
        "dropout_x": (0, 0.99),
        "init_limit": (0, math.inf),
    }


def build_game(config: Config, info: Info) -> Game:
    """An MLP and a maxout net for examples of any shape."""
    return build_gan(
        config,
        maxout.Generator(shape=info.shape, hidden=config.hidden),
        maxout.Discriminator(
            hidden=config.maxout,
            pieces=config.pieces,
            dropout=config.dropout,
            dropout_x=config.dropout_x,
            init_limit=config.init_limit,
        ),
    )


EXPERIMENT = Experiment(
    Config(), build_game, about="GAN, Goodfellow et al. 2014, any data"
)

MNIST = Experiment(
    Config(
        data=DataConfig(spec="mnist"),
        batch_size=100,
        steps=250_000,
        sample_every_steps=5_000,
        hidden=(1200, 1200),
        maxout=(240, 240),
        pieces=5,
        init_limit=0.005,
        r1=0.0,
        prior="unit_uniform",
        optimizer="sgd_of_2014",
        learning_rate=0.1,
        discriminator_learning_rate=0.05,  # their D plays for half of V
        ema_halflife_images=0.0,
    ),
    build_game,
    shape=(28, 28, 1),
    about="GAN, Goodfellow et al. 2014, the paper's recipe for MNIST (not run here)",
)
