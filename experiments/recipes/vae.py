"""VAE (Kingma & Welling 2013): an encoder and a decoder that bound log p(x).

    python -m experiments.train --experiment=vae --workdir=runs/vae [--data=ring]

On two CPU cores, 14 s for digits; bounds are of training batches.
digits: from -29.9 nats per image (step 50) to -23.9 (mean of 20 batches of the last
1000 steps). The samples are blurred, and about half are readable as digits. ring: from
-9.6 to -0.9 nats per point. 1000 samples lie at radius 0.73 +- 0.11, with bridges
between the components; the components of the data lie at 0.8.

`experiments.evaluate`, digits, 818 samples, features of a classifier of digits: Fréchet
distance 18.5 [17.3, 19.7] (between halves of the real images 1.16), precision 0.60,
recall 0.02 (0.88, 0.89).

`experiments.figures`, digits: samples have 0.52 of the energy in fine detail that real
images have (dcgan: 1.00, 1000 samples). A linear probe finds the class in 95 % of 160
held-out codes. The Fréchet distance of the aggregated posterior to N(0, I) is 0.073; of
as many normal samples it is 0.074, of the plain autoencoder's codes 319.

On Fashion-MNIST's 10,000 held-out images the bound is -247.1 nats per image (last
weights, 5000 steps, mean of three seeds). It is 0.12 below that of the same model in
plain PyTorch: `python -m experiments.twin --data=idx:DIR --seeds=3`. The paper shows
its bounds, of MNIST and Frey Face, as curves without numbers.
"""

import dataclasses

from experiments.recipes.autoencoders import AUTOENCODERS, Autoencoder
from gen_jax.config import choice, nested, within
from gen_jax.data import Info
from gen_jax.experiment import Experiment, RunConfig, check_suits
from gen_jax.game import Game
from gen_jax.losses import likelihoods
from gen_jax.objectives.autoencoder import vae
from gen_jax.optimizers import adam, halflives

LIKELIHOODS = {  # of a configuration
    "bernoulli": lambda config: likelihoods.bernoulli(),
    "gaussian": lambda config: likelihoods.gaussian(config.scale),
    "logistic": lambda config: likelihoods.discretised_logistic(),
}


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig(RunConfig):
    """One hidden layer of 500 as in the paper's MNIST networks, with Adam.

    likelihood: None for Bernoulli on images and Gaussian on points.
    scale: standard deviation of the Gaussian, for x in [-1, 1].
    """

    steps: int = 5000
    sample_every_steps: int = 1000
    network: Autoencoder = nested(AUTOENCODERS, default="mlp")
    z_dim: int = within(1, None, default=20)
    likelihood: str | None = choice(LIKELIHOODS, default=None)
    scale: float = within(1e-6, None, default=0.1)
    learning_rate: float = within(0, None, default=1e-3)
    ema_halflife_images: float = within(0, None, default=10_000.0)


@dataclasses.dataclass(frozen=True)
class Config(AutoencoderConfig):
    """The fields that only the VAE has; the defaults are the paper's.

    beta: weight of the KL divergence. kl_warmup_steps: over which beta rises from 0.
    draws: samples of z for each image, L in the paper.
    """

    beta: float = within(0, None, default=1.0)
    kl_warmup_steps: int = within(0, None, default=0)
    draws: int = within(1, 1000, default=1)


def parts(
    config: AutoencoderConfig,
    info: Info,
    num_classes: int = 0,
    heads: tuple[str, ...] = ("mean", "log_var"),
) -> dict:
    """Return the arguments that the objectives `vae` and `autoencoder` share."""
    is_image = len(info.shape) == 3
    if config.likelihood in ("bernoulli", "logistic"):
        check_suits(config, info, "likelihood", "images")
    name = config.likelihood or ("bernoulli" if is_image else "gaussian")
    likelihood = LIKELIHOODS[name](config)
    shape = (*info.shape[:-1], info.shape[-1] * likelihood.channels)
    encoder, decoder = config.network.build(shape, config.z_dim, heads, num_classes)
    return {
        "encoder": encoder,
        "decoder": decoder,
        "z_dim": config.z_dim,
        "likelihood": likelihood,
        "num_classes": num_classes,
        "optimizer": adam(config.learning_rate),
        "ema_halflife_images": halflives(config.ema_halflife_images),
    }


def build_game(config: Config, info: Info, num_classes: int = 0) -> Game:
    """Return the VAE of a configuration."""
    return vae(
        **parts(config, info, num_classes),
        beta=config.beta,
        kl_warmup_steps=config.kl_warmup_steps,
        draws=config.draws,
    )


EXPERIMENT = Experiment(
    Config(), build_game, about="VAE, Kingma & Welling 2013, any data"
)
