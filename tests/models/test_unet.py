import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import count, images, made_up, normal, variables_of

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.models.unet import UNet

SMALL = UNet(2, base_channels=2)


def keys_of(*seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


@functools.cache
def small_variables():
    """For 9 pixels: norm layers with scales of about 1, so that numbers stay apart."""
    variables = made_up(variables_of(SMALL, images(3, 9, 9, 1), None))
    return jax.tree.map_with_path(
        lambda path, leaf: leaf + 1 if path[-1].key == "scale" else 5 * leaf, variables
    )


@functools.cache
def apply_small(form="cpu"):
    def apply(variables, x, keys):
        with devices.implementation(form):
            return SMALL.apply(variables, x, keys)

    return jax.jit(apply)


@pytest.mark.parametrize(
    ("side", "channels", "out_channels", "expected"),
    [
        # U-Net-256, as the paper's and the authors' code have it.
        (256, 3, 3, 54_413_955),
        # With one input channel, the first convolution has 2 * 4*4 * 64 weights less;
        # with one output channel, the last one 2 * (4*4 * 128 + 1).
        (256, 1, 1, 54_413_955 - 2048 - 4098),
        # One level less: two 4x4 convolutions, 512 -> 512 and (512 + 512) -> 512, and
        # the norms behind them.
        (128, 3, 3, 54_413_955 - 16 * 3 * 512**2 - 2 * 2 * 512),
    ],
)
def test_counts(side, channels, out_channels, expected):
    variables = variables_of(UNet(out_channels), images(1, side, side, channels), None)
    assert count(variables) == expected


def test_the_layers_are_the_papers():
    """The decoder's kernels see its own features and, but for the first, a skip's."""
    params = variables_of(UNet(3), images(1, 256, 256, 3), None)["params"]

    def kernels(kind):
        return [params[f"{kind}_{i}"]["kernel"].shape for i in range(8)]

    encoder = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    assert kernels("Conv") == [(4, 4, *pair) for pair in itertools.pairwise(encoder)]
    decoder = [512, 512, 512, 512, 256, 128, 64, 3]
    skips = [0, 512, 512, 512, 512, 256, 128, 64]
    inputs = [512 + 0, *(a + b for a, b in zip(decoder, skips[1:], strict=False))]
    assert kernels("ConvTranspose") == [
        (4, 4, *pair) for pair in zip(inputs, decoder, strict=True)
    ]
    # Only layers without a following norm have biases: a norm would remove them.
    biased = [name for name, leaf in params.items() if "bias" in leaf]
    norms = [f"InstanceNorm_{i}" for i in range(6 + 7)]
    assert sorted(biased) == sorted([*norms, "ConvTranspose_7"])


@pytest.mark.parametrize(
    ("shape", "out_channels", "depth"),
    [
        ((8, 8, 1), 1, 3),
        ((28, 28, 1), 3, 5),
        ((32, 32, 3), 1, 5),
        ((64, 64, 3), 3, 6),
        ((33, 40, 2), 5, 6),
        ((9, 130, 1), 2, 4),
        ((512, 512, 3), 3, 9),
    ],
)
def test_depth_follows_the_shape(shape, out_channels, depth):
    unet, x = UNet(out_channels, base_channels=4), images(2, *shape)
    keys = jax.eval_shape(keys_of, 0, 1)
    variables = variables_of(unet, x, None)
    y = jax.eval_shape(unet.apply, variables, x, keys)
    assert y.shape == (2, *shape[:2], out_channels)
    assert y.dtype == jnp.float32
    convolutions = [name for name in variables["params"] if name.startswith("Conv_")]
    assert len(convolutions) == depth


def test_weights_start_as_isola_says():
    unet = UNet(1, base_channels=32)
    variables = devices.run_once(
        lambda key: unet.init(key, jnp.zeros((1, 8, 8, 1)), None), jax.random.key(0)
    )
    params = variables["params"]
    for name in ("Conv_2", "ConvTranspose_0"):
        kernel = np.asarray(params[name]["kernel"])
        np.testing.assert_allclose([kernel.mean(), kernel.std()], [0, 0.02], atol=3e-4)
    scale = np.asarray(params["InstanceNorm_1"]["scale"])
    np.testing.assert_allclose([scale.mean(), scale.std()], [1, 0.02], atol=0.01)
    np.testing.assert_array_equal(params["InstanceNorm_1"]["bias"], 0)
    np.testing.assert_array_equal(params["ConvTranspose_2"]["bias"], 0)


@pytest.mark.parametrize("form", ["cpu", "tpu"])
def test_an_image_does_not_depend_on_its_neighbours(form):
    x, keys = normal(3, 9, 9, 1), keys_of(0, 1, 2)
    y = np.asarray(apply_small(form)(small_variables(), x, keys))
    for i in range(3):
        others = np.arange(3)[:, None, None, None] != i
        changed = np.where(others, -2 * x, x)
        other_keys = keys_of(*(j if j == i else 9 for j in range(3)))
        among = apply_small(form)(small_variables(), changed, other_keys)
        np.testing.assert_allclose(among[i], y[i], atol=1e-5)
    assert not np.allclose(y[0], y[1], atol=0.01)
    assert np.abs(y).max() <= 1


def test_dropout_is_on_with_keys_and_each_example_has_its_own():
    x = np.tile(normal(1, 9, 9, 1), (3, 1, 1, 1))
    plain = np.asarray(apply_small()(small_variables(), x, None))
    np.testing.assert_allclose(plain[0], plain[1], atol=1e-6)
    dropped = np.asarray(apply_small()(small_variables(), x, keys_of(0, 1, 0)))
    assert not np.allclose(dropped[0], plain[0], atol=0.01)
    assert not np.allclose(dropped[0], dropped[1], atol=0.01)
    np.testing.assert_allclose(dropped[0], dropped[2], atol=1e-6)


@pytest.mark.parametrize(("side", "expected"), [(8, 2), (16, 3), (32, 3), (256, 3)])
def test_dropout_lies_in_the_three_innermost_blocks(side, expected):
    unet, x = UNet(1, base_channels=1), images(1, side, side, 1)

    def apply(variables, x, keys):
        return unet.apply(variables, x, keys)

    keys = jax.eval_shape(keys_of, 0)
    masks = str(jax.make_jaxpr(apply)(variables_of(unet, x, None), x, keys)).count(
        "random_bits"
    )
    assert masks == expected


def test_every_parameter_has_a_gradient():
    """A bias before a norm would have one of rounding errors, about 1e-7."""
    x = normal(3, 9, 9, 1)

    def loss(variables):
        return jnp.mean((SMALL.apply(variables, x, None) - x) ** 2)

    gradients = jax.jit(jax.grad(loss))(small_variables())
    assert min(jnp.abs(leaf).max() for leaf in jax.tree.leaves(gradients)) > 1e-5


def test_both_forms_agree():
    x = normal(3, 9, 9, 1)
    y = [apply_small(form)(small_variables(), x, None) for form in ("cpu", "tpu")]
    np.testing.assert_allclose(*y, atol=1e-5)


def test_lowers_for_tpu():
    x, keys = images(2, 28, 28, 1), jax.eval_shape(keys_of, 0, 1)
    unet = UNet(3)
    with devices.implementation("tpu"):
        traced = jax.jit(unet.apply).trace(variables_of(unet, x, None), x, keys)
        text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert text.count("lhs_dilate = [2, 2]") == 5  # native transposed convolutions


def test_small_images_are_refused():
    with pytest.raises(UserError, match=r"7x28.*at least 8"):
        variables_of(UNet(1), images(1, 7, 28, 1), None)


@pytest.mark.slow
def test_the_full_size_network_applies():
    unet = UNet(3)
    variables = made_up(variables_of(unet, images(1, 256, 256, 3), None))
    scaled = jax.tree.map(lambda leaf: 0.1 * leaf, variables)
    y = devices.jit(unet.apply)(scaled, normal(1, 256, 256, 3), keys_of(0))
    assert y.shape == (1, 256, 256, 3)
    assert np.isfinite(y).all()
