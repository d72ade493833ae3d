"""AE: the plain autoencoder that the VAE is compared with, of the same networks.

    python -m experiments.train --experiment=ae --workdir=runs/ae
    python -m experiments.figures --workdir=runs/vae --against=runs/ae

On digits, two busy CPU cores, 13 s. Between the codes of images lies nothing that one
can read, which is what the VAE mends: of 1000 draws of N(0, I), decoded, a classifier
(right on all 160 held-out digits) is sure, above 0.8, of 7 %, of the VAE's of 51 %.
Midpoints of 1000 pairs of held-out codes decode to images that lie 0.365 [0.356, 0.375]
from the nearest training image (rms), the VAE's 0.281 [0.275, 0.287], plain averages of
two images 0.353 [0.345, 0.361].

Its samples, of a Gaussian fitted to the codes (`experiments.evaluate`, 818 samples,
features of a classifier of digits): Fréchet distance 8.14 [7.48, 8.79] (between halves
of the real images 1.17), precision 0.17, recall 0.82 (0.88, 0.88); 39 to 120 in a
class.
"""

from experiments.recipes.vae import AutoencoderConfig, parts
from gen_jax.data import Info
from gen_jax.experiment import Experiment
from gen_jax.game import Game
from gen_jax.objectives.autoencoder import autoencoder


def build_game(config: AutoencoderConfig, info: Info) -> Game:
    """The VAE's encoder and decoder, without noise."""
    return autoencoder(**parts(config, info, heads=("code",)))


EXPERIMENT = Experiment(
    AutoencoderConfig(),
    build_game,
    about="the plain autoencoder, the VAE's twin, any data",
)
