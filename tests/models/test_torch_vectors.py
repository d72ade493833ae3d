"""The networks of images compared with plain PyTorch layers of the same weights.

PyTorch's outputs are stored (`tests/vectors`), and computed again if it is installed.
"""

from pathlib import Path

import jax
import numpy as np
import pytest
from networks import variables_of
from vectors import torch_layout

from gen_jax import devices
from gen_jax.models.dcgan import Discriminator, Generator
from gen_jax.models.patchgan import PatchGan
from gen_jax.models.unet import UNet

FOLDER = Path(torch_layout.__file__).parent
NO_TORCH = "PyTorch is not installed: pip install torch==2.13.0 repeats the comparison"

# Ours for each of PyTorch's modules.
UNET = {
    "e1": "Conv_0",
    "e2.1": "Conv_1",
    "e2.2": "InstanceNorm_0",
    "e3.1": "Conv_2",
    "e3.2": "InstanceNorm_1",
    "e4.1": "Conv_3",
    "e4.2": "InstanceNorm_2",
    "e5.1": "Conv_4",
    "d5.1": "ConvTranspose_0",
    "d5.2": "InstanceNorm_3",
    "d4.1": "ConvTranspose_1",
    "d4.2": "InstanceNorm_4",
    "d3.1": "ConvTranspose_2",
    "d3.2": "InstanceNorm_5",
    "d2.1": "ConvTranspose_3",
    "d2.2": "InstanceNorm_6",
    "d1.1": "ConvTranspose_4",
}
PATCHGAN_SHORT = {"0": "Conv_0", "2": "Conv_1", "3": "InstanceNorm_0", "5": "Conv_2"}
PATCHGAN_70 = {
    "0": "Conv_0",
    "2": "Conv_1",
    "3": "InstanceNorm_0",
    "5": "Conv_2",
    "6": "InstanceNorm_1",
    "8": "Conv_3",
    "9": "InstanceNorm_2",
    "11": "Conv_4",
}
GENERATOR = {
    "0": "Dense_0",
    "1": "BatchNorm_0",
    "3": "ConvTranspose_0",
    "4": "BatchNorm_1",
    "6": "ConvTranspose_1",
    "7": "BatchNorm_2",
    "9": "ConvTranspose_2",
}
DISCRIMINATOR = {
    "0": "Conv_0",
    "2": "Conv_1",
    "3": "BatchNorm_0",
    "5": "Conv_2",
    "6": "BatchNorm_1",
    "8": "Dense_0",
}


def stored(name):
    """The stored outputs of PyTorch."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def repeated(name):
    """The outputs of PyTorch on this machine."""
    pytest.importorskip("torch", reason=NO_TORCH)
    from vectors import make_dcgan, make_pix2pix

    return {"pix2pix": make_pix2pix, "dcgan": make_dcgan}[name].vectors()


@pytest.fixture(scope="module", params=[stored, repeated])
def vectors(request):
    """By the name of the file."""
    return request.param


def ported(vectors, name, modules, like):
    """The variables of PyTorch's network, which are of the same shapes as `like`."""
    layout = torch_layout.read_layout(vectors[f"{name}_layout"])
    weights = torch_layout.draw(layout, int(vectors["seed"]))
    variables = torch_layout.to_flax(weights, modules)
    shapes = jax.tree.map(np.shape, variables)
    assert shapes == jax.tree.map(lambda leaf: leaf.shape, like)
    return variables


def assert_close(ours, theirs):
    """To 1e-4, of numbers that are much larger."""
    assert theirs.std() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", ["cpu", "tpu"])
def test_the_unet(vectors, form):
    vectors = vectors("pix2pix")
    unet, x = UNet(2, base_channels=4), vectors["x"]
    variables = ported(vectors, "unet", UNET, variables_of(unet, x, None))
    with devices.implementation(form):
        assert_close(unet.apply(variables, x, None), vectors["unet"])


@pytest.mark.parametrize(
    ("layers", "modules"),
    [(0, PATCHGAN_SHORT), (1, PATCHGAN_SHORT), (3, PATCHGAN_70)],
)
def test_the_patchgan(vectors, layers, modules):
    vectors, name = vectors("pix2pix"), f"patchgan{layers}"
    patchgan, xy = (
        PatchGan(base_channels=4, layers=layers),
        (vectors["x"], vectors["y"]),
    )
    variables = ported(vectors, name, modules, variables_of(patchgan, *xy))
    assert_close(patchgan.apply(variables, *xy), vectors[name][..., 0])


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("form", ["cpu", "tpu"])
def test_the_dcgans_generator(vectors, mode, form):
    vectors = vectors("dcgan")
    generator, z = Generator((32, 32, 3), base_channels=4), vectors["z"][:, 0, 0]
    like = variables_of(generator, z, train=True)
    variables = ported(vectors, "generator", GENERATOR, like)
    with devices.implementation(form):
        x, _ = generator.apply(
            variables, z, train=mode == "train", mutable=["batch_stats"]
        )
    assert_close(x, vectors[f"generator_{mode}"])


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_dcgans_discriminator(vectors, mode):
    vectors = vectors("dcgan")
    discriminator, x = Discriminator(base_channels=4), vectors["x"]
    like = variables_of(discriminator, x, train=True)
    variables = ported(vectors, "discriminator", DISCRIMINATOR, like)
    logits, _ = discriminator.apply(
        variables, x, train=mode == "train", mutable=["batch_stats"]
    )
    assert_close(logits, vectors[f"discriminator_{mode}"][:, 0, 0, 0])


@pytest.mark.parametrize("name", ["pix2pix", "dcgan"])
def test_the_stored_vectors_are_those_of_the_script(name):
    torch_layout.check_same(stored(name), repeated(name))
