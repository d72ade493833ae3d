import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.special
from flax import linen as nn
from networks import made_up, normal, variables_of

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.models import layers

FORMS = ("cpu", "tpu")


def in_form(form, function, *args):
    """The function's value, and its gradients under an arbitrary weighting."""

    def weighted(*args):
        y = function(*args)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    with devices.implementation(form):
        gradient = jax.grad(weighted, argnums=tuple(range(len(args))))
        return function(*args), *gradient(*args)


def stuffed_with_zeros(x, kernel):
    """The transposed convolution by its definition, one pair of channels at a time."""
    batch, height, width, channels = x.shape
    size = len(kernel)
    before = -(-size // 2)  # zeros before the first pixel
    stuffed = np.zeros((batch, 2 * height + size - 1, 2 * width + size - 1, channels))
    pixels = [slice(before, before + 2 * side, 2) for side in (height, width)]
    stuffed[:, pixels[0], pixels[1]] = x
    y = np.zeros((batch, 2 * height, 2 * width, kernel.shape[-1]))
    for b, i, o in np.ndindex(batch, channels, kernel.shape[-1]):
        y[b, :, :, o] += scipy.signal.correlate2d(
            stuffed[b, :, :, i], kernel[:, :, i, o], mode="valid"
        )
    return y


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
@pytest.mark.parametrize("form", FORMS)
def test_conv_transpose_is_correlation_with_a_zero_stuffed_image(form, kernel):
    x = normal(2, 3, 5, 2)
    layer = layers.ConvTranspose(3, kernel=kernel)
    variables = made_up(variables_of(layer, x))
    with devices.implementation(form):
        y = layer.apply(variables, x)
    params = jax.tree.map(np.asarray, variables["params"])
    expected = stuffed_with_zeros(x, params["kernel"]) + params["bias"]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_conv_transpose_has_the_same_gradients_in_both_forms():
    x, kernel = normal(2, 3, 5, 2), normal(4, 4, 2, 3, seed=1)
    layer = layers.ConvTranspose(3, use_bias=False)

    def apply(x, kernel):
        return layer.apply({"params": {"kernel": kernel}}, x)

    for a, b in zip(*(in_form(f, apply, x, kernel) for f in FORMS), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_attention_is_a_softmax_weighted_mean(form):
    q, k, v = normal(3, 2, 5, 4)
    with devices.implementation(form):
        o = layers.attention(q, k, v)
    scores = np.einsum("bqc,bkc->bqk", q, k) / np.sqrt(4)
    expected = np.einsum("bqk,bkc->bqc", scipy.special.softmax(scores, axis=-1), v)
    np.testing.assert_allclose(o, expected, atol=1e-6)


def test_attention_has_the_same_gradients_in_both_forms():
    qkv = [jnp.asarray(x) for x in normal(3, 2, 5, 4)]
    both = [in_form(form, layers.attention, *qkv) for form in FORMS]
    for a, b in zip(*both, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_forms_differ():
    """Otherwise the comparisons above compare a form with itself."""

    def jaxpr(form, function, *args):
        with devices.implementation(
            form
        ):  # a new function each time: traces are remembered
            return str(jax.make_jaxpr(lambda *args: function(*args))(*args))

    layer = layers.ConvTranspose(3)
    x = normal(1, 2, 2, 1)
    variables = variables_of(layer, x)
    assert "lhs_dilation=(2, 2)" in jaxpr("tpu", layer.apply, variables, x)
    assert "lhs_dilation=(2, 2)" not in jaxpr("cpu", layer.apply, variables, x)
    q = normal(1, 2, 2)
    assert "custom_vjp" in jaxpr("cpu", layers.attention, q, q, q)
    assert "custom_vjp" not in jaxpr("gpu", layers.attention, q, q, q)


def test_time_embedding_is_sines_then_cosines():
    t = np.array([0, 1, 999])
    frequencies = 10_000.0 ** -(np.arange(4) / 3)
    angles = t[:, None] * frequencies
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    for dtype in (jnp.int32, jnp.float32):
        embedding = layers.time_embedding(jnp.asarray(t, dtype), 8)
        assert embedding.dtype == jnp.float32
        np.testing.assert_allclose(embedding, expected, atol=1e-4)


class TwoDropouts(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, keys):
        return layers.Dropout(self.rate)(x, keys), layers.Dropout(self.rate)(x, keys)


def test_dropout_keeps_its_fraction_and_the_mean():
    keys = jax.random.split(jax.random.key(0), 4)
    first, second = TwoDropouts(0.25).apply({}, jnp.ones((4, 10_000)), keys)
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    dropped = np.mean(np.asarray(first) == 0, axis=1)
    np.testing.assert_allclose(dropped, 0.25, atol=5 * np.sqrt(0.25 * 0.75 / 10_000))
    agreeing = np.mean(np.asarray(first) == np.asarray(second))
    np.testing.assert_allclose(agreeing, 0.25**2 + 0.75**2, atol=0.02)


def test_dropout_depends_on_an_examples_own_key_alone():
    keys = jax.random.split(jax.random.key(0), 4)
    x = normal(4, 6)
    dropout = layers.Dropout(0.5)
    together = dropout.apply({}, x, keys)
    backwards = dropout.apply({}, x[::-1], keys[::-1])[::-1]
    divided = jax.pmap(lambda x, keys: dropout.apply({}, x, keys))(
        x.reshape(2, 2, 6), keys.reshape(2, 2)
    )
    np.testing.assert_array_equal(together, backwards)
    np.testing.assert_array_equal(together, divided.reshape(4, 6))


def test_dropout_without_keys_or_rate_is_the_identity():
    x = normal(2, 3)
    keys = jax.random.split(jax.random.key(0), 2)
    np.testing.assert_array_equal(layers.Dropout(0.5).apply({}, x, None), x)
    np.testing.assert_array_equal(layers.Dropout(0.0).apply({}, x, keys), x)


class Normalised(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return layers.batch_norm(x, train)


def test_batch_norm_knows_the_batch_of_all_devices():
    x = 3 * normal(8, 2, 2, 5) + 1
    module = Normalised()
    variables = module.init(jax.random.key(0), x, True)

    def apply(x):
        return module.apply(variables, x, True, mutable=["batch_stats"])

    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y, updated = apply(x)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), atol=1e-5)
    stats = updated["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var, rtol=1e-4)

    def apply_to_part(x):
        with devices.batch_divided_along("parts"):
            return apply(x)

    divided = x.reshape(4, 2, *x.shape[1:])
    y_divided, updated_divided = jax.pmap(
        apply_to_part, axis_name="parts", out_axes=(0, None)
    )(divided)
    np.testing.assert_allclose(y_divided.reshape(y.shape), y, atol=1e-5)
    stats_divided = updated_divided["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats_divided["mean"], stats["mean"], rtol=1e-5)

    running = module.apply({**variables, **updated}, x, False)
    expected = (x - 0.1 * mean) / np.sqrt(0.9 + 0.1 * var + 1e-5)
    np.testing.assert_allclose(running, expected, atol=1e-4)


@pytest.mark.parametrize("offset", [0, 1000])
def test_instance_norm_knows_one_channel_of_one_example(offset):
    """Also for a nearly flat image: 1000 +- 0.1 has a variance in float32."""

    class Norm(nn.Module):
        @nn.compact
        def __call__(self, x):
            return layers.instance_norm(x)

    x = 0.1 * normal(3, 4, 6, 5) + np.float32(offset)
    variables = made_up(variables_of(Norm(), x))
    y = Norm().apply(variables, x)
    params = jax.tree.map(np.asarray, variables["params"]["InstanceNorm_0"])
    x = x.astype(np.float64)
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    expected = (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, expected, atol=1e-5 if offset == 0 else 1e-3)


@pytest.mark.parametrize(
    ("side", "times", "base"),
    [
        (8, 1, 4),
        (14, 1, 7),
        (15, 2, 4),
        (28, 2, 7),
        (33, 3, 5),
        (64, 4, 4),
        (128, 5, 4),
    ],
)
def test_halvings_end_between_four_and_seven(side, times, base):
    assert layers.halvings(side, 200) == layers.halvings(200, side) == times
    assert layers.halved(side, times) == base


def test_halvings_may_end_at_a_single_pixel():
    for side, times in [(8, 3), (9, 4), (28, 5), (256, 8), (257, 9)]:
        assert layers.halvings(side, 300, largest=1) == times
        assert layers.halved(side, times) == 1


def test_images_below_eight_pixels_are_refused():
    with pytest.raises(UserError, match=r"7x28.*at least 8"):
        layers.halvings(7, 28)
