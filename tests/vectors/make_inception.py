"""Store the outputs of plain PyTorch for Inception in inception.npz, next to this file.

    PYTHONPATH=tests python -m vectors.make_inception

The network follows the graph's description of FID's Inception, with random weights: no
package has the published ones. For each layer's maps the file holds the means over the
pixels, and the pixel in the lower left corner. For resized images it holds features and
logits. It was made with PyTorch 2.13.0.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from vectors import torch_layout

SEED = 3
SHAPE = (1, 107, 139, 3)  # 2x3 pixels in the last layers, enough to tell their pools
SMALL = {"grey": (1, 8, 8, 1), "colour": (1, 28, 41, 3)}  # images to be resized

# Of a block's convolutions: name, inputs (0 for the block's own), outputs, kernel
# (rows, columns), stride and padding.
ONE, THREE, ROW, COLUMN = (1, 1), (3, 3), (1, 7), (7, 1)


def block_5(pooled):
    return [
        ("branch1x1", 0, 64, ONE, 1, 0),
        ("branch5x5_1", 0, 48, ONE, 1, 0),
        ("branch5x5_2", 48, 64, (5, 5), 1, 2),
        ("branch3x3dbl_1", 0, 64, ONE, 1, 0),
        ("branch3x3dbl_2", 64, 96, THREE, 1, 1),
        ("branch3x3dbl_3", 96, 96, THREE, 1, 1),
        ("branch_pool", 0, pooled, ONE, 1, 0),
    ]


def block_6(inner):
    return [
        ("branch1x1", 0, 192, ONE, 1, 0),
        ("branch7x7_1", 0, inner, ONE, 1, 0),
        ("branch7x7_2", inner, inner, ROW, 1, (0, 3)),
        ("branch7x7_3", inner, 192, COLUMN, 1, (3, 0)),
        ("branch7x7dbl_1", 0, inner, ONE, 1, 0),
        ("branch7x7dbl_2", inner, inner, COLUMN, 1, (3, 0)),
        ("branch7x7dbl_3", inner, inner, ROW, 1, (0, 3)),
        ("branch7x7dbl_4", inner, inner, COLUMN, 1, (3, 0)),
        ("branch7x7dbl_5", inner, 192, ROW, 1, (0, 3)),
        ("branch_pool", 0, 192, ONE, 1, 0),
    ]


BLOCK_6A = [
    ("branch3x3", 0, 384, THREE, 2, 0),
    ("branch3x3dbl_1", 0, 64, ONE, 1, 0),
    ("branch3x3dbl_2", 64, 96, THREE, 1, 1),
    ("branch3x3dbl_3", 96, 96, THREE, 2, 0),
]
BLOCK_7A = [
    ("branch3x3_1", 0, 192, ONE, 1, 0),
    ("branch3x3_2", 192, 320, THREE, 2, 0),
    ("branch7x7x3_1", 0, 192, ONE, 1, 0),
    ("branch7x7x3_2", 192, 192, ROW, 1, (0, 3)),
    ("branch7x7x3_3", 192, 192, COLUMN, 1, (3, 0)),
    ("branch7x7x3_4", 192, 192, THREE, 2, 0),
]
BLOCK_7 = [
    ("branch1x1", 0, 320, ONE, 1, 0),
    ("branch3x3_1", 0, 384, ONE, 1, 0),
    ("branch3x3_2a", 384, 384, (1, 3), 1, (0, 1)),
    ("branch3x3_2b", 384, 384, (3, 1), 1, (1, 0)),
    ("branch3x3dbl_1", 0, 448, ONE, 1, 0),
    ("branch3x3dbl_2", 448, 384, THREE, 1, 1),
    ("branch3x3dbl_3a", 384, 384, (1, 3), 1, (0, 1)),
    ("branch3x3dbl_3b", 384, 384, (3, 1), 1, (1, 0)),
    ("branch_pool", 0, 192, ONE, 1, 0),
]


class Convolution(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.conv = nn.Conv2d(*sizes, bias=False)
        self.bn = nn.BatchNorm2d(sizes[1], eps=1e-3)

    def forward(self, x):
        return functional.relu(self.bn(self.conv(x)))


class Block(nn.ModuleDict):
    """Named convolutions; `paths` says how the block's input goes through them.

    A step of a path is a name after "branch", a pool, or a list of paths.
    """

    def __init__(self, before, convolutions, paths):
        super().__init__(
            {name: Convolution(i or before, *rest) for name, i, *rest in convolutions}
        )
        self.paths = paths

    def forward(self, x):
        return torch.cat([self.along(path, x) for path in self.paths], 1)

    def along(self, path, x):
        for step in path:
            if isinstance(step, str):
                x = self[f"branch{step}"](x)
            elif isinstance(step, list):
                x = torch.cat([self.along(way, x) for way in step], 1)
            else:
                x = step(x)
        return x


def average(x):
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def maximum(x):
    return functional.max_pool2d(x, 3, 1, 1)


def halving(x):
    return functional.max_pool2d(x, 3, 2)


def chain(name, count):
    return [f"{name}_{number}" for number in range(1, count + 1)]


def paths_7(pool):
    three = ["3x3_1", [["3x3_2a"], ["3x3_2b"]]]
    twice = ["3x3dbl_1", "3x3dbl_2", [["3x3dbl_3a"], ["3x3dbl_3b"]]]
    return [["1x1"], three, twice, [pool, "_pool"]]


PATHS_5 = [["1x1"], chain("5x5", 2), chain("3x3dbl", 3), [average, "_pool"]]
PATHS_6 = [["1x1"], chain("7x7", 3), chain("7x7dbl", 5), [average, "_pool"]]
PATHS_6A = [["3x3"], chain("3x3dbl", 3), [halving]]
PATHS_7A = [chain("3x3", 2), chain("7x7x3", 4), [halving]]


class Inception(nn.Module):
    """The layers in their order, by the names that the published file gives them."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = Block(192, block_5(32), PATHS_5)
        self.Mixed_5c = Block(256, block_5(64), PATHS_5)
        self.Mixed_5d = Block(288, block_5(64), PATHS_5)
        self.Mixed_6a = Block(288, BLOCK_6A, PATHS_6A)
        self.Mixed_6b = Block(768, block_6(128), PATHS_6)
        self.Mixed_6c = Block(768, block_6(160), PATHS_6)
        self.Mixed_6d = Block(768, block_6(160), PATHS_6)
        self.Mixed_6e = Block(768, block_6(192), PATHS_6)
        self.Mixed_7a = Block(768, BLOCK_7A, PATHS_7A)
        self.Mixed_7b = Block(1280, BLOCK_7, paths_7(average))
        self.Mixed_7c = Block(2048, BLOCK_7, paths_7(maximum))
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x):
        """x [B, 3, H, W] -> each layer's maps, features and logits without biases."""
        maps = {}
        for name, layer in self.named_children():
            if name == "fc":
                break
            maps[name] = x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = halving(x)
        features = x.mean((2, 3))
        return maps, features, features @ self.fc.weight.T


def resized(x: torch.Tensor, side: int) -> torch.Tensor:
    """x [B, C, H, W] as TensorFlow 1 resizes it."""
    for axis in (2, 3):
        place = torch.arange(side, dtype=torch.float32) * (x.shape[axis] / side)
        low = place.floor().long()
        high = (low + 1).clamp(max=x.shape[axis] - 1)
        before, after = x.index_select(axis, low), x.index_select(axis, high)
        fraction = (place - low).reshape(-1, *[1] * (3 - axis))
        x = torch.lerp(before, after, fraction.expand_as(before))
    return x


def drawn() -> Inception:
    """The network with drawn weights."""
    net = Inception().eval()
    weights = torch_layout.draw_deep(layout(net), SEED)
    state = {name: torch.tensor(weight) for name, weight in weights.items()}
    net.load_state_dict(net.state_dict() | state)
    return net


def layout(net: nn.Module) -> torch_layout.Layout:
    state = net.state_dict().items()
    return {name: tuple(w.shape) for name, w in state if w.is_floating_point()}


def vectors() -> dict[str, np.ndarray]:
    """Images, what becomes of them, and the weights' layout."""
    rng, net = np.random.RandomState(SEED), drawn()
    arrays = {"seed": np.array(SEED)}
    arrays["layout"] = torch_layout.write_layout(layout(net))

    def image(name, shape):
        arrays[f"image_{name}"] = rng.uniform(0, 256, shape).astype(np.uint8)
        x = torch.tensor(arrays[f"image_{name}"].transpose(0, 3, 1, 2)).float()
        return x.expand(-1, 3, -1, -1)

    with torch.no_grad():
        maps, _, _ = net((image("large", SHAPE) - 128) / 128)
        for name, x in maps.items():
            arrays[f"mean_{name}"] = x.mean((2, 3)).numpy()
            arrays[f"corner_{name}"] = x[:, ::4, -1, 0].numpy()
        for name, shape in SMALL.items():
            x = (resized(image(name, shape), 299) - 128) / 128
            _, features, logits = net(x)
            arrays[f"features_{name}"] = features.numpy()
            arrays[f"logits_{name}"] = logits.numpy()
    return arrays


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("inception.npz"), **vectors())
