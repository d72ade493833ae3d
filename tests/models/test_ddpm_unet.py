import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from networks import count, images, made_up, normal, variables_of

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.models import ddpm_unet
from gen_jax.models.ddpm_unet import UNet

SMALL = UNet(
    base_channels=8,
    channel_multipliers=(1,),
    blocks_per_level=1,
    attention_resolutions=(4,),
    dropout=0.5,
)


def times(batch):
    return jax.ShapeDtypeStruct((batch,), jnp.int32)


@functools.cache
def small_variables():
    return made_up(variables_of(SMALL, images(3, 4, 4, 1), times(3)))


@functools.cache
def apply_small(form="cpu"):
    def apply(variables, x, t, keys):
        with devices.implementation(form):
            return SMALL.apply(variables, x, t, keys=keys)

    return jax.jit(apply)


def test_count_of_the_cifar10_form():
    variables = variables_of(UNet(), images(1, 32, 32, 3), times(1))
    assert count(variables) == 35_746_307


def test_attention_follows_the_chosen_resolutions():
    variables = variables_of(UNet(), images(1, 32, 32, 3), times(1))
    attentions = [name for name in variables["params"] if "SelfAttention" in name]
    # At 16x16: two on the way down, three on the way up; and one in the middle.
    assert len(attentions) == 6


@pytest.mark.parametrize(
    ("shape", "channel_multipliers", "out_channels"),
    [
        ((8, 8, 1), (1, 2), None),
        ((28, 28, 1), (1, 2, 2), 2),
        ((32, 40, 2), (1, 1, 2, 2), None),
        ((33, 21, 5), (1,), None),
        ((128, 128, 3), (1, 2), 6),
    ],
)
def test_output_has_the_inputs_shape(shape, channel_multipliers, out_channels):
    unet = UNet(
        20,
        channel_multipliers,
        blocks_per_level=1,
        attention_resolutions=(8,),
        out_channels=out_channels,
    )
    x, t = images(2, *shape), times(2)
    y = jax.eval_shape(unet.apply, variables_of(unet, x, t), x, t)
    assert y.shape == (2, *shape[:2], out_channels or shape[2])
    assert y.dtype == jnp.float32


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match=r"28x28.*multiples of 8"):
        variables_of(UNet(), images(1, 28, 28, 1), times(1))


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(4, 1), (20, 5), (32, 8), (34, 2), (96, 24), (128, 32), (384, 32)],
)
def test_at_least_four_channels_share_a_norm(channels, groups):
    """Checked by the statistics: each group of the output has mean 0 and variance 1."""

    class Norm(nn.Module):
        @nn.compact
        def __call__(self, x):
            return ddpm_unet._norm(x, 32)

    x = normal(1, 8, 8, channels) + np.arange(channels, dtype=np.float32) % 2
    y = np.asarray(Norm().init_with_output(jax.random.key(0), x)[0], np.float64)
    grouped = y.reshape(64, groups, channels // groups)
    np.testing.assert_allclose(grouped.mean((0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(grouped.var((0, 2)), 1, atol=1e-3)
    assert np.abs(y.mean((0, 1, 2))).min() > 0.1  # no channel is alone


def test_at_the_start_the_output_is_zero():
    x, t = normal(2, 4, 4, 1), jnp.array([1, 2], jnp.int32)
    unet = UNet(
        base_channels=4,
        channel_multipliers=(1,),
        blocks_per_level=1,
        attention_resolutions=(),
    )
    variables = devices.run_once(lambda key: unet.init(key, x, t), jax.random.key(0))
    np.testing.assert_array_equal(jax.jit(unet.apply)(variables, x, t), 0)


def test_an_example_does_not_depend_on_its_neighbours():
    x, t = normal(3, 4, 4, 1), jnp.array([1, 500, 1000], jnp.int32)
    keys = jax.random.split(jax.random.key(0), 3)
    y = apply_small()(small_variables(), x, t, keys)
    for i in range(3):
        others = np.arange(3) != i
        changed = np.where(others[:, None, None, None], -2 * x, x)
        other_t = jnp.where(others, 700, t)
        other_keys = jnp.where(others, keys[::-1], keys)
        among = apply_small()(small_variables(), changed, other_t, other_keys)
        np.testing.assert_allclose(among[i], y[i], atol=1e-5)


def test_time_and_dropout_matter():
    x = np.tile(normal(1, 4, 4, 1), (3, 1, 1, 1))
    t = jnp.array([1, 1, 900], jnp.int32)
    y = np.asarray(apply_small()(small_variables(), x, t, None))
    np.testing.assert_allclose(y[0], y[1], atol=1e-5)
    assert not np.allclose(y[0], y[2], atol=1e-3)
    keys = jax.random.split(jax.random.key(0), 3)
    dropped = np.asarray(apply_small()(small_variables(), x, t, keys))
    assert not np.allclose(dropped[0], dropped[1], atol=1e-3)


def test_both_forms_agree():
    x, t = normal(3, 4, 4, 1), jnp.array([1, 500, 1000], jnp.int32)
    y = [apply_small(form)(small_variables(), x, t, None) for form in ("cpu", "tpu")]
    np.testing.assert_allclose(*y, atol=1e-5)


@pytest.mark.slow
def test_the_cifar10_form_applies():
    unet = UNet()
    variables = variables_of(unet, images(2, 32, 32, 3), times(2))
    scaled = jax.tree.map(lambda leaf: 0.1 * leaf, made_up(variables))
    y = devices.jit(unet.apply)(
        scaled,
        normal(2, 32, 32, 3),
        jnp.array([1, 1000], jnp.int32),
        jax.random.split(jax.random.key(0), 2),
    )
    assert y.shape == (2, 32, 32, 3)
    assert np.isfinite(y).all()


def test_a_label_moves_every_pixel_and_none_adds_nothing():
    unet = UNet(
        base_channels=8,
        channel_multipliers=(1,),
        blocks_per_level=1,
        attention_resolutions=(),
        num_classes=3,
    )
    x = jnp.broadcast_to(normal(1, 4, 4, 1), (3, 4, 4, 1))
    y = jnp.array([0, 2, -1])
    variables = made_up(variables_of(unet, x, times(3), y))
    told = jax.jit(unet.apply)(variables, x, jnp.full(3, 7), y)
    assert np.abs(told[0] - told[1]).max() > 1e-4
    params = {k: v for k, v in variables["params"].items() if k != "label"}
    plain = UNet(
        base_channels=8,
        channel_multipliers=(1,),
        blocks_per_level=1,
        attention_resolutions=(),
    )
    untold = jax.jit(plain.apply)({"params": params}, x, jnp.full(3, 7))
    np.testing.assert_allclose(told[2], untold[2], rtol=1e-5, atol=1e-6)
