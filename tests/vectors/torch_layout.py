"""Weights in PyTorch's layout: drawn by a seed, and turned into Flax's.

It needs neither of the two. So PyTorch's stored outputs (`make_*.py`) can be compared
on a machine without PyTorch. A file of vectors holds inputs, outputs, and the names,
shapes and seed of the weights.

The mapping, for a side of a picture (PyTorch: batch, channels, rows, columns; Flax:
batch, rows, columns, channels):

- A convolution is a correlation in both. Of stride 2 with a 4x4 kernel it pads an even
  side by 1 at each end in both (here "SAME"). The kernel [out, in, 4, 4] becomes
  [4, 4, in, out].
- The transposed convolution is PyTorch's gradient of a convolution: of stride 2 and
  padding 1 it adds x[i] w[k] to y[2i - 1 + k]. `lax.conv_transpose` correlates with
  the image of zeros between the pixels, y[o] = sum_k w[k] x[(o + k - 2) / 2], which
  adds x[i] w[k] to y[2i + 2 - k]. So k becomes 3 - k: the kernel [in, out, 4, 4] is
  flipped along both sides and becomes [4, 4, in, out].
- A convolution of a whole 4x4 picture and a transposed one of a single pixel are matrix
  products, whose kernels are flattened as the picture is: rows, columns, channels.
- Norms have "weight" for scale. BatchNorm also has "running_mean" and "running_var".
"""

import numpy as np

Layout = dict[str, tuple[int, ...]]
Arrays = dict[str, np.ndarray]


def draw(layout: Layout, seed: int) -> Arrays:
    """Weights by name, large enough that an output is no small number.

    Kernels N(0, 0.2), scales N(1, 0.1), running variances U(0.5, 1.5), the rest
    N(0, 0.1), from NumPy's legacy generator, whose stream is promised never to change.
    """
    rng = np.random.RandomState(seed)

    def one(name, shape):
        if name.endswith("running_var"):
            return rng.uniform(0.5, 1.5, shape)
        if len(shape) >= 2:
            return 0.2 * rng.standard_normal(shape)
        return name.endswith("weight") + 0.1 * rng.standard_normal(shape)

    return {name: one(name, layout[name]).astype(np.float32) for name in layout}


def draw_deep(layout: Layout, seed: int) -> Arrays:
    """As `draw`, but kernels N(0, 2 / inputs): a deep network's outputs keep a size."""
    scales = {
        name: (2 / np.prod(shape[1:])) ** 0.5 / 0.2 if len(shape) >= 2 else 1
        for name, shape in layout.items()
    }
    weights = draw(layout, seed)
    return {name: w * np.float32(scales[name]) for name, w in weights.items()}


def write_layout(layout: Layout) -> np.ndarray:
    """As text, one weight an entry: "name 4 3 4 4"."""
    return np.array([" ".join([name, *map(str, layout[name])]) for name in layout])


def read_layout(lines: np.ndarray) -> Layout:
    entries = [str(line).split() for line in lines]
    return {name: tuple(map(int, shape)) for name, *shape in entries}


def to_flax(weights: Arrays, modules: dict[str, str]) -> dict:
    """The variables of a network, where `modules` names ours for each of PyTorch's.

    Raises KeyError for a weight of a module that `modules` does not name.
    """
    variables: dict = {"params": {}, "batch_stats": {}}
    for name, weight in weights.items():
        module, _, kind = name.rpartition(".")
        ours = modules[module]
        collection = "batch_stats" if kind.startswith("running") else "params"
        leaf, value = _leaf(ours.partition("_")[0], kind, weight)
        variables[collection].setdefault(ours, {})[leaf] = value
    return {name: tree for name, tree in variables.items() if tree}


def check_same(before: Arrays, now: Arrays) -> None:
    """Vectors of one script, run at two times: floats to 1e-5, all else exactly."""
    assert set(before) == set(now)
    for key, array in before.items():
        if array.dtype == np.float32:
            np.testing.assert_allclose(now[key], array, atol=1e-5)
        else:
            np.testing.assert_array_equal(now[key], array)


def _leaf(layer: str, kind: str, weight: np.ndarray) -> tuple[str, np.ndarray]:
    if kind != "weight":
        names = {"running_mean": "mean", "running_var": "var", "bias": "bias"}
        return names[kind], weight
    if layer == "Conv":
        return "kernel", weight.transpose(2, 3, 1, 0)
    if layer == "ConvTranspose":
        return "kernel", weight.transpose(2, 3, 0, 1)[::-1, ::-1]
    if layer == "Dense" and weight.shape[0] == 1:  # a convolution to one logit
        return "kernel", weight.transpose(2, 3, 1, 0).reshape(-1, 1)
    if layer == "Dense":  # a transposed convolution of latents
        return "kernel", weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return "scale", weight
