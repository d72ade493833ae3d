"""Rectified flow (Liu et al. 2023) by the DDPM's network.

    python -m experiments.train --experiment=flow --workdir=runs/flow

On digits, two busy CPU cores, 179 s: an SVM that is right on 159 of 160 held-out digits
puts 76 to 124 of 1000 samples in each class (Heun, 50 steps), and gives 71 % of them a
probability above 0.8. The paper's figures are of CIFAR-10.
"""

from experiments.ddpm import NetworkConfig, network, training
from gen_jax.data import Info
from gen_jax.experiment import Experiment
from gen_jax.game import Game
from gen_jax.objectives.flow import flow


def game(config: NetworkConfig, info: Info) -> Game:
    """A U-Net for images, an MLP for points."""
    return flow(network(config, info), shape=info.shape, **training(config))


EXPERIMENT = Experiment(
    NetworkConfig(), game, about="rectified flow, Liu et al. 2023, any data"
)
