"""The networks of the timed rows in plain PyTorch, with gen_jax's parameter counts.

They have nothing of gen_jax. `side_by_side.py` compares the counts, `experiments.twin`
the bounds of the VAE. PyTorch is not a dependency of the project. Images are
[B, C, H, W]. Strided convolutions pad both sides by one, where XLA's "SAME" pads only
the far side of a 3x3 kernel; the operations are the same.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  its usual name


class Vae(nn.Module):
    """q(z|x) and p(x|z), one hidden layer of tanh each; pixels are coins."""

    def __init__(self, pixels: int, hidden: int, z_dim: int):
        super().__init__()
        self.encoder = nn.Linear(pixels, hidden)
        self.mean = nn.Linear(hidden, z_dim)
        self.log_var = nn.Linear(hidden, z_dim)
        self.decoder = nn.Linear(z_dim, hidden)
        self.logits = nn.Linear(hidden, pixels)
        for layer in self.children():
            _init_as_flax(layer)

    def forward(self, x: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
        """Return the bound, nats [B].

        x: [B, pixels] in [-1, 1]. eps: [draws, B, z_dim], the noise of z.
        """
        h = torch.tanh(self.encoder(x))
        mean, log_var = self.mean(h).float(), self.log_var(h).float()
        kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        # The limit of gen_jax, beyond which the noise would teach nothing.
        z = mean + torch.exp(0.5 * log_var.clamp(max=20.0)) * eps
        logits = self.logits(torch.tanh(self.decoder(z))).float()
        cross_entropy = F.binary_cross_entropy_with_logits(
            logits, ((x + 1) / 2).expand_as(logits), reduction="none"
        )
        return -cross_entropy.sum(-1).mean(0) - kl


def _init_as_flax(layer: nn.Module) -> None:
    """LeCun's truncated normal and no bias; PyTorch's own default is another recipe."""
    assert isinstance(layer, nn.Linear)
    # A normal cut at two standard deviations has 0.8796 of its standard deviation left.
    std = math.sqrt(1 / layer.in_features) / 0.87962566
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)


def _group_norm(channels: int) -> nn.GroupNorm:
    most = max(1, min(32, channels // 4))
    groups = max(n for n in range(1, most + 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def _zeroed(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the embedding of the time is added between them."""

    def __init__(self, channels: int, features: int, embedding: int, dropout: float):
        super().__init__()
        self.norm1 = _group_norm(channels)
        self.conv1 = nn.Conv2d(channels, features, 3, padding=1)
        self.time = nn.Linear(embedding, features)
        self.norm2 = _group_norm(features)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = _zeroed(nn.Conv2d(features, features, 3, padding=1))
        self.skip = nn.Identity()
        if channels != features:
            self.skip = nn.Conv2d(channels, features, 1)

    def forward(self, x: torch.Tensor, temb: torch.Tensor) -> torch.Tensor:
        """Return [B, features, H, W] of x [B, C, H, W] and temb [B, E]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time(temb)[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return self.skip(x) + h


class SelfAttention(nn.Module):
    """Self-attention of one head between all pixels."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = _group_norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = _zeroed(nn.Linear(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the attended map [B, C, H, W] of x."""
        batch, channels, height, width = x.shape
        h = self.norm(x).permute(0, 2, 3, 1).reshape(batch, 1, -1, channels)
        h = F.scaled_dot_product_attention(*self.qkv(h).chunk(3, dim=-1))
        h = self.out(h).reshape(batch, height, width, channels)
        return x + h.permute(0, 3, 1, 2)


class Level(nn.Module):
    """A residual block, followed by attention if `attends`."""

    def __init__(self, block: ResidualBlock, features: int, attends: bool):
        super().__init__()
        self.block = block
        self.attention = SelfAttention(features) if attends else nn.Identity()

    def forward(self, x: torch.Tensor, temb: torch.Tensor) -> torch.Tensor:
        """Return [B, features, H, W] of x [B, C, H, W] and temb [B, E]."""
        return self.attention(self.block(x, temb))


class DdpmUNet(nn.Module):
    """The U-Net of Ho et al. (2020), with two blocks a level down and three up."""

    def __init__(
        self,
        channels: int,
        side: int,
        width: int,
        multipliers: tuple[int, ...],
        attention: tuple[int, ...],
        dropout: float,
    ):
        super().__init__()
        embedding = 4 * width
        self.time1 = nn.Linear(width, embedding)
        self.time2 = nn.Linear(embedding, embedding)
        exponents = torch.arange(width // 2) / max(width // 2 - 1, 1)
        self.register_buffer(
            "frequencies", torch.exp(-math.log(10_000) * exponents), persistent=False
        )

        def block(channels, features):
            return ResidualBlock(channels, features, embedding, dropout)

        def level(channels, features, height):
            return Level(block(channels, features), features, height in attention)

        self.first = nn.Conv2d(channels, width, 3, padding=1)
        now, skips = width, [width]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for depth, multiplier in enumerate(multipliers):
            if depth > 0:
                self.down.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                skips.append(now)
            for _ in range(2):
                self.down.append(level(now, width * multiplier, side // 2**depth))
                now = width * multiplier
                skips.append(now)
        self.middle1 = Level(block(now, now), now, True)
        self.middle2 = block(now, now)
        for depth, multiplier in reversed(list(enumerate(multipliers))):
            for _ in range(3):
                channels_in = now + skips.pop()
                now = width * multiplier
                self.up.append(level(channels_in, now, side // 2**depth))
            if depth > 0:
                self.up.append(nn.Conv2d(now, now, 3, padding=1))
        self.norm = _group_norm(now)
        self.last = _zeroed(nn.Conv2d(now, channels, 3, padding=1))

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Return [B, C, H, W] of x [B, C, H, W] at times t int64 [B]."""
        angles = t.float()[:, None] * self.frequencies[None]
        temb = self.time1(torch.cat([angles.sin(), angles.cos()], dim=1))
        temb = F.silu(self.time2(F.silu(temb)))
        h = self.first(x)
        skips = [h]
        for layer in self.down:
            h = layer(h, temb) if isinstance(layer, Level) else layer(h)
            skips.append(h)
        h = self.middle2(self.middle1(h, temb), temb)
        for layer in self.up:
            if isinstance(layer, Level):
                h = layer(torch.cat([h, skips.pop()], dim=1), temb)
            else:
                h = layer(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.last(F.silu(self.norm(h)))


def _halvings(side: int, largest: int) -> int:
    return math.ceil(math.log2(side / largest))


class DcganGenerator(nn.Module):
    """Latents [B, z_dim] to images [B, C, H, W] in [-1, 1], by 4x4 kernels."""

    def __init__(self, side: int, channels: int, width: int, z_dim: int):
        super().__init__()
        depth = max(2, _halvings(side, 7))
        self.base = side // 2**depth
        features = width * 2 ** (depth - 1)
        self.first = nn.Linear(z_dim, self.base**2 * features, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(features), nn.ReLU(inplace=True)]
        for level in reversed(range(1, depth)):
            narrower = width * 2 ** (level - 1)
            layers += [
                nn.ConvTranspose2d(2 * narrower, narrower, 4, 2, 1, bias=False),
                nn.BatchNorm2d(narrower),
                nn.ReLU(inplace=True),
            ]
        last = nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return images [B, C, H, W] of z [B, z_dim]."""
        # In this order the map is channels-last without a copy.
        h = self.first(z).view(len(z), self.base, self.base, -1).permute(0, 3, 1, 2)
        return torch.tanh(self.layers(h))


class DcganDiscriminator(nn.Module):
    """Images [B, C, H, W] to the logit of being real, [B]."""

    def __init__(self, side: int, channels: int, width: int):
        super().__init__()
        depth = max(2, _halvings(side, 7))
        layers: list[nn.Module] = []
        for level in range(depth):
            features = width * 2**level
            layers.append(nn.Conv2d(channels, features, 4, 2, 1, bias=False))
            if level > 0:
                layers.append(nn.BatchNorm2d(features))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = features
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear((side // 2**depth) ** 2 * channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [B] of x [B, C, H, W]."""
        return self.last(self.layers(x).permute(0, 2, 3, 1).flatten(1))[:, 0]
