"""DDPM (Ho et al. 2020): images from noise, one small denoising step at a time.

    python -m experiments.train --experiment=ddpm --workdir=runs/ddpm

`ddpm` adapts to any dataset and is sized for digits on two CPU cores. Its 600 steps
take 259 s on busy cores (102 s if nothing else runs). `experiments.evaluate`, 818
samples (DDIM, 50 steps, averaged weights), features of a classifier of digits: Fréchet
distance 4.8 [4.19, 5.41] (between halves of the real images 1.16), precision 0.50,
recall 0.83 (0.88, 0.89); all ten classes. The bound on 32 held-out digits
is 5.04 [4.89, 5.18] bits/dim.

`ddpm_cifar10` is the paper's recipe, not run. The paper reports an FID of 3.17, an
Inception score of 9.46 +- 0.11 and at most 3.75 bits/dim on the test set.
"""

import dataclasses
from typing import Any

from experiments.recipes.denoisers import DENOISERS, Denoiser, UNet
from gen_jax.config import choice, nested, within
from gen_jax.data import DataConfig, Info
from gen_jax.diffusion import schedules
from gen_jax.diffusion.predictions import PREDICTIONS
from gen_jax.diffusion.samplers import VARIANCES
from gen_jax.diffusion.schedules import BETAS
from gen_jax.experiment import Experiment, RunConfig
from gen_jax.game import Game
from gen_jax.objectives.ddpm import LOSSES, Recipe, ddpm
from gen_jax.optimizers import adam, halflives


@dataclasses.dataclass(frozen=True)
class DenoiserConfig(RunConfig):
    """A network that denoises, and its training: digits after minutes on a CPU.

    In that time the paper's learning rate, warm-up and average give noise.
    """

    steps: int = 600
    sample_every_steps: int = 200
    network: Denoiser = nested(DENOISERS, default="auto")
    learning_rate: float = within(0, None, default=1e-3)
    warmup_steps: int = within(0, None, default=50)
    clip_norm: float = within(1e-6, None, default=1.0)
    ema_halflife_images: float = within(0, None, default=5_000.0)


@dataclasses.dataclass(frozen=True)
class Config(DenoiserConfig):
    """The fields that diffusion adds; the defaults are Ho et al.'s.

    betas: first and last of a linear schedule; None for the paper's times
        1000 / timesteps.
    min_snr: gamma of Hang et al. (2023), who take 5; 0 for no weights.
    importance: whether times t with a large loss are sampled more often.
    """

    timesteps: int = within(1, 1_000_000, default=1000)
    schedule: str = choice(BETAS, default="linear")
    betas: tuple[float, ...] | None = None
    prediction: str = choice(PREDICTIONS, default="eps")
    variance: str = choice(VARIANCES, default="fixed_large")
    loss: str = choice(LOSSES, default="simple")
    min_snr: float = within(0, None, default=0.0)
    importance: bool = False
    self_conditioning: bool = False


def training(config: DenoiserConfig) -> dict[str, Any]:
    """Return the optimizer and the half-life of the averaged weights."""
    return {
        "optimizer": adam(
            config.learning_rate,
            clip_norm=config.clip_norm,
            warmup_steps=config.warmup_steps,
        ),
        "ema_halflife_images": halflives(config.ema_halflife_images),
    }


def build_game(
    config: Config,
    info: Info,
    num_classes: int = 0,
    guidance: float = 0.0,
    label_dropout: float = 0.1,
) -> Game:
    """Return the DDPM of a configuration.

    guidance, label_dropout: of a model with classes.
    """
    recipe = Recipe(
        prediction=config.prediction,
        variance=config.variance,
        loss=config.loss,
        min_snr=config.min_snr,
        importance=config.importance,
        self_conditioning=config.self_conditioning,
        clip=len(info.shape) == 3,
        label_dropout=label_dropout,
    )
    heads = 2 if config.variance == "learned_range" else 1
    return ddpm(
        config.network.build(info, num_classes, heads * info.shape[-1]),
        shape=info.shape,
        schedule=schedules.from_name(config.schedule, config.timesteps, config.betas),
        recipe=recipe,
        num_classes=num_classes,
        guidance=guidance,
        **training(config),
    )


EXPERIMENT = Experiment(Config(), build_game, about="DDPM, Ho et al. 2020, any data")

CIFAR10 = Experiment(
    Config(
        data=DataConfig(spec="cifar10"),
        flip=True,
        steps=800_000,
        sample_every_steps=5_000,
        network=UNet(
            base_channels=128,
            channel_multipliers=(1, 2, 2, 2),
            attention_resolutions=(16,),
            dropout=0.1,
        ),
        learning_rate=2e-4,
        warmup_steps=5_000,
        # 0.9999 an update of 128 images: 128 * ln(2) / -ln(0.9999)
        ema_halflife_images=887_200.0,
    ),
    build_game,
    shape=(32, 32, 3),
    about="DDPM, Ho et al. 2020, the paper's recipe for CIFAR-10 (not run here)",
)
