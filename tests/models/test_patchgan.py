import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import count, images, made_up, normal, variables_of

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.models.patchgan import PatchGan

SMALL = PatchGan(base_channels=2, layers=1)


@functools.cache
def small_variables():
    return made_up(variables_of(SMALL, images(3, 9, 9, 1), images(3, 9, 9, 2)))


def pair(*shape, seed=0):
    """Two images, of one channel and of two."""
    xy = normal(*shape, 3, seed=seed)
    return xy[..., :1], xy[..., 1:]


@pytest.mark.parametrize(
    ("layers", "channels", "expected"),
    [
        (3, (3, 3), 2_768_705),  # the 70x70 PatchGAN
        (3, (1, 3), 2_768_705 - 2 * 4 * 4 * 64),
        # 6 -> 64 with biases, 64 -> 128 and its norm, 128 -> 1 with a bias.
        (0, (3, 3), 7 * 64 + 64 * 128 + 2 * 128 + 128 + 1),
        (1, (3, 3), (96 + 1) * 64 + 16 * 64 * 128 + 2 * 128 + 16 * 128 + 1),
    ],
)
def test_counts(layers, channels, expected):
    xy = [images(1, 64, 64, c) for c in channels]
    assert count(variables_of(PatchGan(layers=layers), *xy)) == expected


@pytest.mark.parametrize(
    ("layers", "widths"),
    [
        (0, [64, 128, 1]),
        (1, [64, 128, 1]),
        (3, [64, 128, 256, 512, 1]),
        (5, [64, 128, 256, 512, 512, 512, 1]),
    ],
)
def test_the_layers_are_the_papers(layers, widths):
    xy = images(1, 96, 96, 3), images(1, 96, 96, 3)
    params = variables_of(PatchGan(layers=layers), *xy)["params"]
    kernels = [params[f"Conv_{i}"]["kernel"].shape for i in range(len(widths))]
    size = 4 if layers else 1
    assert kernels == [
        (size, size, *pair) for pair in zip([6, *widths], widths, strict=False)
    ]
    # Only layers without a following norm have biases: a norm would remove them.
    biased = {name for name, leaf in params.items() if "bias" in leaf}
    norms = {f"InstanceNorm_{i}" for i in range(len(widths) - 2)}
    assert biased == {*norms, "Conv_0", f"Conv_{len(widths) - 1}"}


@pytest.mark.parametrize(
    ("side", "layers", "field"), [(16, 0, 1), (64, 1, 16), (128, 3, 70), (512, 5, 286)]
)
def test_a_logit_sees_the_patch_of_the_paper(side, layers, field, monkeypatch):
    """Measured without the norms' statistics, through which all pixels meet."""
    patchgan = PatchGan(base_channels=1, layers=layers)
    xy = normal(1, side, side, 1), normal(1, side, side, 1, seed=1)
    variables = made_up(variables_of(patchgan, *xy))
    monkeypatch.setattr("gen_jax.models.layers.instance_norm", lambda x, _: x)

    def central(x, y):
        logits = patchgan.apply({"params": positive}, x, y)[0]
        return logits[tuple(n // 2 for n in logits.shape)]

    # Without weights that cancel, every pixel that a logit sees has a gradient.
    positive = jax.tree.map(jnp.abs, variables["params"])
    for gradient in jax.jit(jax.grad(central, argnums=(0, 1)))(*xy):
        seen = np.asarray(gradient)[0, :, :, 0] != 0
        rows, columns = seen.any(1), seen.any(0)
        assert rows.sum() == columns.sum() == field
        assert np.ptp(np.flatnonzero(rows)) == np.ptp(np.flatnonzero(columns))
        assert seen.sum() == field**2


@pytest.mark.parametrize(
    ("shape", "layers", "logits"),
    [
        ((256, 256), 3, (30, 30)),  # as in the authors' code
        ((256, 256), 5, (6, 6)),
        ((8, 8), 0, (8, 8)),
        ((8, 8), 1, (2, 2)),
        ((28, 28), 1, (12, 12)),
        ((28, 28), 3, (1, 1)),
        ((32, 64), 3, (2, 6)),
        ((33, 71), 2, (6, 15)),
    ],
)
def test_shapes(shape, layers, logits):
    patchgan = PatchGan(base_channels=2, layers=layers)
    xy = images(2, *shape, 1), images(2, *shape, 3)
    classified = jax.eval_shape(patchgan.apply, variables_of(patchgan, *xy), *xy)
    assert classified.shape == (2, *logits)
    assert classified.dtype == jnp.float32


@pytest.mark.parametrize("form", ["cpu", "tpu"])
def test_a_pair_does_not_depend_on_its_neighbours(form):
    x, y = pair(3, 9, 9)
    with devices.implementation(form):
        logits = np.asarray(SMALL.apply(small_variables(), x, y))
        for i in range(3):
            alone = SMALL.apply(small_variables(), x[i : i + 1], y[i : i + 1])
            np.testing.assert_allclose(alone, logits[i : i + 1], atol=1e-5)


def test_logits_depend_on_the_pair_not_on_one_image():
    x, y = pair(3, 9, 9)
    logits = SMALL.apply(small_variables(), x, y)
    assert not np.allclose(logits, SMALL.apply(small_variables(), x[::-1], y), 0.01)
    assert not np.allclose(logits, SMALL.apply(small_variables(), x, y[::-1]), 0.01)


def test_every_parameter_has_a_gradient():
    """A bias before a norm would have one of rounding errors, about 1e-7."""

    def loss(variables):
        return jnp.mean(SMALL.apply(variables, *pair(3, 9, 9)) ** 2)

    gradients = jax.jit(jax.grad(loss))(small_variables())
    assert min(jnp.abs(leaf).max() for leaf in jax.tree.leaves(gradients)) > 1e-4


def test_lowers_for_tpu():
    patchgan, xy = PatchGan(), (images(2, 28, 28, 1), images(2, 28, 28, 3))
    with devices.implementation("tpu"):
        traced = jax.jit(patchgan.apply).trace(variables_of(patchgan, *xy), *xy)
        text = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert text.count("stablehlo.convolution") == 5


@pytest.mark.parametrize(
    ("layers", "least", "hint"),
    [(0, 2, ""), (1, 6, "layers=0"), (3, 24, "layers=2"), (5, 96, "layers=4")],
)
def test_images_too_small_for_the_patches_are_refused(layers, least, hint):
    """At the smallest side every norm still sees more than one pixel."""
    patchgan = PatchGan(base_channels=2, layers=layers)
    xy = images(1, least, 96, 1), images(1, least, 96, 1)
    variables_of(patchgan, *xy)
    short = images(1, least - 1, 96, 1)
    with pytest.raises(
        UserError, match=f"{least - 1}x96 .* at least {least} pixels.*{hint}"
    ):
        variables_of(patchgan, short, short)


def test_negative_layers_are_refused():
    with pytest.raises(UserError, match="0 or more"):
        variables_of(PatchGan(layers=-1), normal(1, 8, 8, 1), normal(1, 8, 8, 1))


@pytest.mark.slow
def test_the_full_size_network_applies():
    patchgan, xy = PatchGan(), (normal(1, 256, 256, 3), normal(1, 256, 256, 3, seed=1))
    logits = devices.jit(patchgan.apply)(made_up(variables_of(patchgan, *xy)), *xy)
    assert logits.shape == (1, 30, 30)
    assert np.isfinite(logits).all()
