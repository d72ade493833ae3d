"""Store the outputs of plain PyTorch layers for DCGAN in dcgan.npz, next to this file.

    PYTHONPATH=tests python -m vectors.make_dcgan

Generator and discriminator of 32x32 pictures with 4 features, laid out as in PyTorch's
well-known example, by the statistics of the batch ("train") and by running ones
("eval"). How PyTorch's weights become Flax's is in `torch_layout`. The running
statistics of a step are not compared: PyTorch takes the variance over n - 1, Flax over
n. The stored file was made with PyTorch 2.13.0.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from vectors import torch_layout

FEATURES = 4
Z_DIM = 6
SEED = 1


def generator(channels, f=FEATURES):
    """A 4x4 picture of the latents, doubled three times."""
    return nn.Sequential(
        nn.ConvTranspose2d(Z_DIM, 4 * f, 4, 1, 0, bias=False),
        nn.BatchNorm2d(4 * f),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * f, 2 * f, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * f),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False),
        nn.BatchNorm2d(f),
        nn.ReLU(),
        nn.ConvTranspose2d(f, channels, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def discriminator(channels, f=FEATURES):
    """Three halvings, and the logit of the 4x4 picture that is left."""
    return nn.Sequential(
        nn.Conv2d(channels, f, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(f, 2 * f, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * f),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * f, 4 * f, 4, 2, 1, bias=False),
        nn.BatchNorm2d(4 * f),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * f, 1, 4, 1, 0, bias=False),
    )


def vectors() -> dict[str, np.ndarray]:
    """Inputs, outputs and the weights' layouts; pictures as [B, H, W, C]."""
    rng = np.random.RandomState(SEED)
    z = rng.standard_normal((4, Z_DIM, 1, 1)).astype(np.float32)
    x = rng.uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32)
    arrays = {"z": z, "x": x}
    layouts = {}
    for name, net, inputs in [
        ("generator", generator(3), z),
        ("discriminator", discriminator(3), x),
    ]:
        state = net.state_dict()
        layout = {k: tuple(v.shape) for k, v in state.items() if v.is_floating_point()}
        weights = torch_layout.draw(layout, SEED)
        weights = {key: torch.tensor(weight) for key, weight in weights.items()}
        for mode in ("train", "eval"):
            net.load_state_dict(state | weights)
            with torch.no_grad():
                outputs = net.train(mode == "train")(torch.tensor(inputs))
            arrays[f"{name}_{mode}"] = outputs.numpy()
        layouts[f"{name}_layout"] = torch_layout.write_layout(layout)
    arrays = {name: array.transpose(0, 2, 3, 1) for name, array in arrays.items()}
    return {"seed": np.array(SEED)} | arrays | layouts


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("dcgan.npz"), **vectors())
