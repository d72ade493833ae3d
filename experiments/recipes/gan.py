"""GAN (Goodfellow et al. 2014): an MLP generator against a maxout discriminator.

    python -m experiments.train --experiment=gan --workdir=runs/gan [--data=ring]

On digits, two busy CPU cores, 53 s (22 s if nothing else runs): all ten classes.
`experiments.evaluate`, 818 samples, features of a classifier of digits: Fréchet
distance 4.76 [4.14, 5.38] (between halves of the real images 1.16), precision 0.50,
recall 0.42 (0.88, 0.89). Without R1, which is not in the paper, all samples were 0s and
9s after as many steps.

`gan_mnist` is the paper's own recipe, not run; the paper reports a Parzen-window
log-likelihood of 225 +- 2 nats. Networks, z, dropout, optimizer and losses are those of
the authors' mnist.yaml. The turns are the paper's algorithm 1; their code moves both
players at once, on the same fakes. Other differences from their code: pixels lie in
[-1, 1] instead of [0, 1], and the generator's last bias starts at 0 instead of the
data's log odds. All 60,000 training images are used instead of 50,000, and the last
step is kept instead of the best on the other 10,000.
"""

import dataclasses
from functools import partial

from experiments.recipes.adversaries import (
    DISCRIMINATORS,
    GENERATORS,
    MaxoutDiscriminator,
    MlpGenerator,
    Network,
)
from gen_jax.config import choice, nested, within
from gen_jax.data import DataConfig, Info
from gen_jax.errors import UserError
from gen_jax.experiment import Experiment, RunConfig
from gen_jax.game import Game
from gen_jax.losses import adversarial
from gen_jax.objectives.gan import PRIORS, Regularization, gan
from gen_jax.optimizers import adam, halflives, sgd_of_2014

OPTIMIZERS = {
    "adam": lambda config, learning_rate: adam(learning_rate, b1=config.b1),
    "sgd_of_2014": lambda config, learning_rate: sgd_of_2014(
        learning_rate, config.decay
    ),
}


@dataclasses.dataclass(frozen=True)
class GanConfig(RunConfig):
    """The fields that all GANs share.

    prior: distribution of each coordinate of z.
    critic_turns: turns of the discriminator in a step, on parts of the batch.
    shared_noise: whether both players see the same z in a step.
    gradient_penalty: its weight; Gulrajani et al. (2017): 10.
    r1: its weight gamma; Mescheder et al. (2018): 10.
    r1_every: steps from one R1 penalty to the next.
    clip_weights: limit of the discriminator's weights; 0 for none; Arjovsky et al.
        (2017): 0.01.
    discriminator_learning_rate: None for the generator's.
    b1: Adam's momentum. decay: divides the learning rate of SGD at each update.
    ema_halflife_images: half-life of the generator's average; 0 for none.
    """

    generator: Network = nested(GENERATORS, default="mlp")
    discriminator: Network = nested(DISCRIMINATORS, default="maxout")
    z_dim: int = within(1, None, default=100)
    prior: str = choice(PRIORS, default="normal")
    gan_loss: str = choice(adversarial.GAN_LOSSES, default="non_saturating")
    critic_turns: int = within(1, 1000, default=1)
    shared_noise: bool = False
    gradient_penalty: float = within(0, None, default=0.0)
    r1: float = within(0, None, default=0.0)
    r1_every: int = within(1, None, default=1)
    clip_weights: float = within(0, None, default=0.0)
    optimizer: str = choice(OPTIMIZERS, default="adam")
    learning_rate: float = within(0, None, default=2e-4)
    discriminator_learning_rate: float | None = within(0, None, default=None)
    b1: float = within(0, 0.999, default=0.5)
    decay: float = within(1, None, default=1.000004)
    ema_halflife_images: float = within(0, None, default=20_000.0)


def build_game(config: GanConfig, info: Info, num_classes: int = 0) -> Game:
    """Return the game of the generator and the discriminator of a configuration."""
    if getattr(config.discriminator, "norm", None) == "batch" and (
        config.gradient_penalty or config.r1
    ):
        raise UserError(
            "a penalty on the discriminator's gradient needs discriminator.norm=none "
            "or spectral: BatchNorm mixes the images of a batch"
        )
    optimizer = partial(OPTIMIZERS[config.optimizer], config)
    rate = config.discriminator_learning_rate
    discriminator_optimizer = optimizer(config.learning_rate if rate is None else rate)
    if config.clip_weights:
        discriminator_optimizer = adversarial.clipped(
            discriminator_optimizer, config.clip_weights
        )
    return gan(
        config.generator.build(info, num_classes),
        config.discriminator.build(info, num_classes),
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
        discriminator_optimizer=discriminator_optimizer,
        ema_halflife_images=halflives(config.ema_halflife_images),
    )


@dataclasses.dataclass(frozen=True)
class Config(GanConfig):
    """The paper's networks, narrower and with Adam, for minutes on two CPU cores."""

    steps: int = 6000
    sample_every_steps: int = 1000
    prior: str = "uniform"
    learning_rate: float = 5e-4
    # Not in the paper; without it all samples become 0s and 9s within these steps.
    r1: float = 0.2


EXPERIMENT = Experiment(
    Config(), build_game, about="GAN, Goodfellow et al. 2014, any data"
)

MNIST = Experiment(
    Config(
        data=DataConfig(spec="mnist"),
        batch_size=100,
        steps=250_000,
        sample_every_steps=5_000,
        generator=MlpGenerator(hidden=(1200, 1200)),
        discriminator=MaxoutDiscriminator(
            hidden=(240, 240), pieces=5, init_limit=0.005
        ),
        r1=0.0,
        prior="unit_uniform",
        optimizer="sgd_of_2014",
        learning_rate=0.1,
        discriminator_learning_rate=0.05,  # their D minimises half of -V
        ema_halflife_images=0.0,
    ),
    build_game,
    shape=(28, 28, 1),
    about="GAN, Goodfellow et al. 2014, the paper's recipe for MNIST (not run here)",
)
