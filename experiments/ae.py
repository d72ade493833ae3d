"""AE: the plain autoencoder that the VAE is compared with, of the same networks.

    python -m experiments.train --experiment=ae --workdir=runs/ae

On digits, two busy CPU cores, 13 s. Of 1000 samples, from a Gaussian fitted to the
codes, an SVM is sure (above 0.8) of 26 %: between the codes of images lies nothing that
one can read, which is what the VAE mends.
"""

from experiments.vae import AutoencoderConfig, parts
from gen_jax.data import Info
from gen_jax.experiment import Experiment
from gen_jax.game import Game
from gen_jax.objectives.autoencoder import autoencoder


def game(config: AutoencoderConfig, info: Info) -> Game:
    """The VAE's encoder and decoder, without noise."""
    return autoencoder(**parts(config, info, heads=("code",)))


EXPERIMENT = Experiment(
    AutoencoderConfig(), game, about="the plain autoencoder, the VAE's twin, any data"
)
