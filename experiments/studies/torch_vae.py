"""A VAE in plain PyTorch: the recipe of `recipes/vae.py`, none of its code.

It has nothing of gen_jax, and takes its KL from PyTorch: `experiments.twin` trains both
and compares their bounds. PyTorch is not a dependency of the project: only that
command imports this file.
"""

import itertools
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F  # noqa: N812  its usual name

_CHUNK = 1000  # images whose bound is computed at once


class TorchVae(nn.Module):
    """q(z|x) and p(x|z) of one hidden layer of tanh each; pixels are coins."""

    def __init__(self, pixels: int, hidden: int, z_dim: int):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.Tanh())
        self.mean = nn.Linear(hidden, z_dim)
        self.log_var = nn.Linear(hidden, z_dim)
        self.decoder = nn.Sequential(
            nn.Linear(z_dim, hidden), nn.Tanh(), nn.Linear(hidden, pixels)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                _init_as_flax(module)

    def elbo(self, grey: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """Compute the bound, nats [B].

        grey: [B, pixels] in [0, 1]. eps: [draws, B, z_dim], the noise of z.
        """
        h = self.encoder(2 * grey - 1)
        mean, std = self.mean(h), torch.exp(self.log_var(h) / 2)
        kl = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(-1)
        logits = self.decoder(mean + std * eps)
        cross_entropy = F.binary_cross_entropy_with_logits(
            logits, grey.expand_as(logits), reduction="none"
        )
        return -cross_entropy.sum(-1).mean(0) - kl


def _init_as_flax(layer: nn.Linear) -> None:
    """LeCun's truncated normal and no bias; PyTorch's own default is another recipe."""
    # A normal cut at two standard deviations has 0.8796 of its standard deviation left.
    std = math.sqrt(1 / layer.in_features) / 0.87962566
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)


def train(
    x: Iterable[np.ndarray],
    *,
    steps: int,
    hidden: int,
    z_dim: int,
    learning_rate: float,
    seed: int,
) -> TorchVae:
    """Return the VAE after `steps` steps of Adam on batches x, uint8 [B, H, W, C]."""
    torch.manual_seed(seed)
    batches = iter(x)
    first = next(batches)
    model = TorchVae(first[0].size, hidden, z_dim)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for batch in itertools.islice(itertools.chain([first], batches), steps):
        loss = -model.elbo(_grey(batch), torch.randn(1, len(batch), z_dim)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def bounds(model: TorchVae, x: np.ndarray, draws: int) -> np.ndarray:
    """Compute the bound of images uint8 [N, H, W, C], nats [N], by `draws` of z."""
    z_dim = model.mean.out_features
    return np.concatenate(
        [
            model.elbo(grey, torch.randn(draws, len(grey), z_dim)).numpy()
            for grey in _grey(x).split(_CHUNK)
        ]
    )


def _grey(x: np.ndarray) -> torch.Tensor:
    """uint8 [B, ...] -> [B, pixels] in [0, 1]."""
    return torch.from_numpy(x).flatten(1) / 255
