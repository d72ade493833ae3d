"""Store the outputs of plain PyTorch for pix2pix in pix2pix.npz, next to this file.

    PYTHONPATH=tests python -m vectors.make_pix2pix

The U-Net of a 32x32 image and the PatchGAN are written layer by layer, as the paper's
appendix and its authors' code describe them. Both have 4 features instead of 64, affine
instance norms, and no dropout. `torch_layout` turns PyTorch's weights into Flax's. The
stored file was made with PyTorch 2.13.0.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from vectors import torch_layout

FEATURES = 4
SEED = 0


def _conv(channels, features, stride=2, bias=False):
    return nn.Conv2d(channels, features, 4, stride, 1, bias=bias)


def _up(channels, features, bias=False):
    return nn.ConvTranspose2d(channels, features, 4, 2, 1, bias=bias)


def _norm(features):
    return nn.InstanceNorm2d(features, affine=True)


class UNet(nn.Module):
    """C64-C128-C256-C512-C512, then CD512-CD256-CD128-C64, with 4 for 64."""

    def __init__(self, channels, out_channels, f=FEATURES):
        super().__init__()
        leaky, relu, half = nn.LeakyReLU(0.2), nn.ReLU(), nn.Dropout(0.5)
        self.e1 = _conv(channels, f)
        self.e2 = nn.Sequential(leaky, _conv(f, 2 * f), _norm(2 * f))
        self.e3 = nn.Sequential(leaky, _conv(2 * f, 4 * f), _norm(4 * f))
        self.e4 = nn.Sequential(leaky, _conv(4 * f, 8 * f), _norm(8 * f))
        self.e5 = nn.Sequential(leaky, _conv(8 * f, 8 * f))
        self.d5 = nn.Sequential(relu, _up(8 * f, 8 * f), _norm(8 * f), half)
        self.d4 = nn.Sequential(relu, _up(16 * f, 4 * f), _norm(4 * f), half)
        self.d3 = nn.Sequential(relu, _up(8 * f, 2 * f), _norm(2 * f), half)
        self.d2 = nn.Sequential(relu, _up(4 * f, f), _norm(f))
        self.d1 = nn.Sequential(relu, _up(2 * f, out_channels, bias=True), nn.Tanh())

    def forward(self, x):
        e1 = self.e1(x)
        e2 = self.e2(e1)
        e3 = self.e3(e2)
        e4 = self.e4(e3)
        d5 = self.d5(self.e5(e4))
        d4 = self.d4(torch.cat([d5, e4], 1))
        d3 = self.d3(torch.cat([d4, e3], 1))
        d2 = self.d2(torch.cat([d3, e2], 1))
        return self.d1(torch.cat([d2, e1], 1))


def pixel_gan(channels, f=FEATURES):
    """C64-C128 of 1x1 convolutions."""
    return nn.Sequential(
        nn.Conv2d(channels, f, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(f, 2 * f, 1, bias=False),
        _norm(2 * f),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * f, 1, 1),
    )


def patch_gan_16(channels, f=FEATURES):
    """C64-C128, patches of 16x16."""
    return nn.Sequential(
        _conv(channels, f, bias=True),
        nn.LeakyReLU(0.2),
        _conv(f, 2 * f, stride=1),
        _norm(2 * f),
        nn.LeakyReLU(0.2),
        _conv(2 * f, 1, stride=1, bias=True),
    )


def patch_gan_70(channels, f=FEATURES):
    """C64-C128-C256-C512, patches of 70x70."""
    return nn.Sequential(
        _conv(channels, f, bias=True),
        nn.LeakyReLU(0.2),
        _conv(f, 2 * f),
        _norm(2 * f),
        nn.LeakyReLU(0.2),
        _conv(2 * f, 4 * f),
        _norm(4 * f),
        nn.LeakyReLU(0.2),
        _conv(4 * f, 8 * f, stride=1),
        _norm(8 * f),
        nn.LeakyReLU(0.2),
        _conv(8 * f, 1, stride=1, bias=True),
    )


def vectors() -> dict[str, np.ndarray]:
    """Inputs, outputs and the weights' layouts; pictures as [B, H, W, C]."""
    rng = np.random.RandomState(SEED)
    x, y = rng.uniform(-1, 1, (2, 2, 3, 32, 32)).astype(np.float32)
    y = y[:, :2]
    arrays = {"x": x, "y": y}
    pair = np.concatenate([x, y], 1)
    cases = {
        "unet": (UNet(3, 2), x),
        "patchgan0": (pixel_gan(5), pair),
        "patchgan1": (patch_gan_16(5), pair),
        "patchgan3": (patch_gan_70(5), pair),
    }
    layouts = {}
    for name, (net, inputs) in cases.items():
        layout = {key: tuple(value.shape) for key, value in net.state_dict().items()}
        weights = torch_layout.draw(layout, SEED)
        net.load_state_dict({key: torch.tensor(w) for key, w in weights.items()})
        with torch.no_grad():
            arrays[name] = net.eval()(torch.tensor(inputs)).numpy()
        layouts[f"{name}_layout"] = torch_layout.write_layout(layout)
    arrays = {name: array.transpose(0, 2, 3, 1) for name, array in arrays.items()}
    return {"seed": np.array(SEED)} | arrays | layouts


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("pix2pix.npz"), **vectors())
