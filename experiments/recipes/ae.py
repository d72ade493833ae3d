"""AE: the plain autoencoder, with the VAE's networks, for comparison.

    python -m experiments.train --experiment=ae --workdir=runs/ae
    python -m experiments.figures --workdir=runs/vae --against=runs/ae

On digits, two busy CPU cores, 16 s. Codes between those of images decode to nothing
readable; those of the VAE decode to digits. A classifier that is right on all 160 held-
out digits gives a probability above 0.8 to 7 % of 1000 decoded z from N(0, I). For the
VAE it is 51 %. Midpoints of 1000 pairs of held-out codes decode to images at a distance
of 0.365 [0.356, 0.375] from the nearest training image (rms). For the VAE it is 0.281
[0.275, 0.287], for plain averages of two images 0.353 [0.345, 0.361].

Samples, from a Gaussian fitted to the codes (`experiments.evaluate`, 818 samples,
features of a classifier of digits): Fréchet distance 7.9 [7.14, 8.66] (between halves
of the real images 1.16), precision 0.21, recall 0.83 (0.88, 0.89).
"""

from experiments.recipes.vae import AutoencoderConfig, parts
from gen_jax.data import Info
from gen_jax.experiment import Experiment
from gen_jax.game import Game
from gen_jax.objectives.autoencoder import autoencoder


def build_game(config: AutoencoderConfig, info: Info) -> Game:
    """Return the game of the VAE's encoder and decoder, without noise."""
    return autoencoder(**parts(config, info, heads=("code",)))


EXPERIMENT = Experiment(
    AutoencoderConfig(),
    build_game,
    about="the plain autoencoder, with the VAE's networks, any data",
)
