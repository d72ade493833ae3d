"""The networks of pix2pix in plain PyTorch, with gen_jax's parameter counts."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  its usual name


class UNet(nn.Module):
    """Images [B, C, H, W] to images of the same size; halved down to a single pixel."""

    def __init__(self, side: int, channels: int, width: int, dropout: float):
        super().__init__()
        depth = math.ceil(math.log2(side))
        features = [width * min(2**level, 8) for level in range(depth)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for level, (before, after) in enumerate(
            zip([channels, *features], features, strict=False)
        ):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if level else []
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            if 0 < level < depth - 1:
                layers.append(nn.InstanceNorm2d(after, affine=True))
            self.down.append(nn.Sequential(*layers))
        for level in reversed(range(1, depth)):
            before = features[level] * (1 if level == depth - 1 else 2)
            after = features[level - 1]
            layers = [
                nn.ReLU(),
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.InstanceNorm2d(after, affine=True),
            ]
            if depth - level <= 3:
                layers.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*layers))
        self.last = nn.ConvTranspose2d(2 * width, channels, 4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return images [B, C, H, W] in [-1, 1] of x [B, C, H, W]."""
        h, skips = x, []
        for layer in self.down:
            h = layer(h)
            skips.append(h)
        skips.pop()
        for layer in self.up:
            h = torch.cat([layer(h), skips.pop()], dim=1)
        return torch.tanh(self.last(F.relu(h)))


class PatchGan(nn.Module):
    """A pair of images to the logits [B, 1, H', W'] of patches of 70x70 pixels."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        before, layers = 2 * channels, []
        for level, stride in enumerate((2, 2, 2, 1)):
            after = width * 2**level
            layers.append(nn.Conv2d(before, after, 4, stride, 1, bias=level == 0))
            if level:
                layers.append(nn.InstanceNorm2d(after, affine=True))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 4, 1, 1))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return logits [B, 1, H', W'] of x and y [B, C, H, W]."""
        return self.layers(torch.cat([x, y], dim=1))
