"""Rectified flow (Liu et al. 2023) by the DDPM's network.

    python -m experiments.train --experiment=flow --workdir=runs/flow

RESULT
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
