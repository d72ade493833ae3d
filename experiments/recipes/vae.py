"""VAE (Kingma & Welling 2013): an encoder and a decoder that bound log p(x).

    python -m experiments.train --experiment=vae --workdir=runs/vae [--data=ring]

On two CPU cores, about 15 s either way; bounds are of training batches. digits: from
-29.9 nats an image (step 50) to -23.9 (mean of 20 batches of the last 1000 steps); the
samples are blurred, about half read as digits. ring: from -9.6 to -0.9 nats a point;
1000 samples lie at radius 0.73 +- 0.11, with bridges between the components, where the
data's components lie at 0.8.

`experiments.figures`, digits: samples have 0.52 of the energy in fine detail that real
ones have (dcgan: 1.00, 1000 samples); a linear probe finds the class in 95 % of 160
held-out codes; the aggregated posterior lies 0.073 from N(0, I) (Fréchet), as many
normal draws 0.074, the plain autoencoder's codes 319.

On Fashion-MNIST's 10,000 held-out images the bound is -247.1 nats an image (last
weights, 5000 steps, mean of three seeds), 0.12 below that of a twin in plain PyTorch:
`python -m experiments.twin --data=idx:DIR --seeds=3`. The paper shows its bounds, of
MNIST and Frey Face, as curves without numbers.
"""

import dataclasses
import math
from typing import ClassVar, Literal

from gen_jax.config import RunConfig
from gen_jax.data import Info
from gen_jax.experiment import Experiment, images_only
from gen_jax.game import Game
from gen_jax.losses import likelihoods
from gen_jax.models import autoencoder, mlp
from gen_jax.objectives.autoencoder import vae
from gen_jax.optimizers import adam


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(RunConfig):
    """One hidden layer of 500 as in the paper's MNIST networks, with Adam."""

    steps: int = 5000
    sample_every_steps: int = 1000
    network: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (500,)  # of the MLP
    base_channels: int = 32  # of the convolutional network's widest image
    z_dim: int = 20
    # None: Bernoulli for images, Gaussian for points.
    likelihood: Literal["bernoulli", "gaussian", "logistic"] | None = None
    scale: float = 0.1  # the Gaussian's standard deviation, on x in [-1, 1]
    learning_rate: float = 1e-3
    ema_halflife_images: float = 10_000.0

    LIMITS: ClassVar = {
        **RunConfig.LIMITS,
        "hidden": (1, math.inf),
        "base_channels": (1, math.inf),
        "z_dim": (1, math.inf),
        "scale": (1e-6, math.inf),
        "learning_rate": (0, math.inf),
        "ema_halflife_images": (0, math.inf),
    }


@dataclasses.dataclass(frozen=True)
class Config(AutoencoderConfig):
    """The variational one's own choices; the defaults are the paper's."""

    beta: float = 1.0  # weight of the KL
    kl_warmup_steps: int = 0  # over which beta rises from 0
    draws: int = 1  # of z an image, the paper's L

    LIMITS: ClassVar = {
        **AutoencoderConfig.LIMITS,
        "beta": (0, math.inf),
        "kl_warmup_steps": (0, math.inf),
        "draws": (1, 1000),
    }


def parts(
    config: AutoencoderConfig,
    info: Info,
    num_classes: int = 0,
    heads: tuple[str, ...] = ("mean", "log_var"),
) -> dict:
    """What an autoencoder is made of: an MLP for any shape, or a pair for images."""
    is_image = len(info.shape) == 3
    if config.network == "conv":
        images_only(config, info, "network")
    if config.likelihood in ("bernoulli", "logistic"):
        images_only(config, info, "likelihood")
    likelihood = {
        "bernoulli": likelihoods.bernoulli,
        "gaussian": lambda: likelihoods.gaussian(config.scale),
        "logistic": likelihoods.discretised_logistic,
    }[config.likelihood or ("bernoulli" if is_image else "gaussian")]()
    shape = (*info.shape[:-1], info.shape[-1] * likelihood.channels)
    encoder = {"z_dim": config.z_dim, "heads": heads, "num_classes": num_classes}
    decoder = {"shape": shape, "num_classes": num_classes}
    if config.network == "conv":
        width = {"base_channels": config.base_channels}
        pair = (
            autoencoder.ConvEncoder(**encoder, **width),
            autoencoder.ConvDecoder(**decoder, **width),
        )
    else:
        pair = (
            mlp.MlpEncoder(hidden=config.hidden, **encoder),
            mlp.MlpDecoder(hidden=config.hidden[::-1], **decoder),
        )
    return {
        "encoder": pair[0],
        "decoder": pair[1],
        "z_dim": config.z_dim,
        "likelihood": likelihood,
        "num_classes": num_classes,
        "optimizer": adam(config.learning_rate),
        "ema_halflife_images": (config.ema_halflife_images,),
    }


def build_game(config: Config, info: Info, num_classes: int = 0) -> Game:
    """The VAE of these parts."""
    return vae(
        **parts(config, info, num_classes),
        beta=config.beta,
        kl_warmup_steps=config.kl_warmup_steps,
        draws=config.draws,
    )


EXPERIMENT = Experiment(
    Config(), build_game, about="VAE, Kingma & Welling 2013, any data"
)
