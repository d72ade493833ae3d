"""The MLP's and the convolutional autoencoder's halves have the same calls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import count, images, made_up, normal, variables_of

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.models.autoencoder import ConvDecoder, ConvEncoder
from gen_jax.models.mlp import MlpDecoder, MlpEncoder, TimeMlp

SHAPES = [(8, 8, 1), (28, 28, 1), (33, 40, 2), (128, 128, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("encoder", "decoder"), [(MlpEncoder, MlpDecoder), (ConvEncoder, ConvDecoder)]
)
def test_any_image_is_encoded_and_decoded(encoder, decoder, shape):
    x, z = images(2, *shape), images(2, 3)
    encoder, decoder = encoder(z_dim=3), decoder(shape)
    variables = variables_of(encoder, x)
    assert set(variables) == {"params"}
    mean, log_var = jax.eval_shape(encoder.apply, variables, x)
    assert mean.shape == log_var.shape == (2, 3)
    variables = variables_of(decoder, z)
    assert set(variables) == {"params"}
    assert jax.eval_shape(decoder.apply, variables, z).shape == x.shape


def test_points_are_encoded_and_decoded():
    x, z = images(4, 2), images(4, 3)
    encoder, decoder = MlpEncoder(3), MlpDecoder((2,))
    mean, log_var = jax.eval_shape(encoder.apply, variables_of(encoder, x), x)
    assert mean.shape == log_var.shape == (4, 3)
    assert jax.eval_shape(decoder.apply, variables_of(decoder, z), z).shape == (4, 2)


def test_mlps_are_those_of_kingma_and_welling():
    encoder = MlpEncoder(z_dim=20)
    assert count(variables_of(encoder, images(1, 28, 28, 1))) == 785 * 500 + 501 * 40
    x = normal(2, 2, 3, 1)
    variables = made_up(variables_of(encoder, x))
    p = jax.tree.map(np.asarray, variables["params"])
    h = np.tanh(x.reshape(2, 6) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
    mean, log_var = encoder.apply(variables, x)
    for name, value in (("mean", mean), ("log_var", log_var)):
        expected = h @ p[name]["kernel"] + p[name]["bias"]
        np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_the_convolutional_decoder_agrees_in_both_forms_and_example_by_example():
    decoder = ConvDecoder((9, 16, 2), base_channels=2)
    z = normal(3, 4)
    variables = made_up(variables_of(decoder, z))
    x = []
    for form in ("cpu", "tpu"):
        with devices.implementation(form):
            x.append(decoder.apply(variables, z))
            alone = decoder.apply(variables, z[1:2])
        np.testing.assert_allclose(x[-1][1:2], alone, atol=1e-6)
    np.testing.assert_allclose(*x, atol=1e-5)


def test_the_convolutional_encoder_treats_examples_alone():
    encoder = ConvEncoder(3, base_channels=2)
    x = normal(3, 9, 8, 1)
    variables = made_up(variables_of(encoder, x))
    mean, log_var = encoder.apply(variables, x)
    alone = encoder.apply(variables, x[1:2])
    np.testing.assert_allclose(mean[1:2], alone[0], atol=1e-6)
    np.testing.assert_allclose(log_var[1:2], alone[1], atol=1e-6)


def test_small_images_are_refused():
    with pytest.raises(UserError, match="at least 8"):
        variables_of(ConvEncoder(3), images(2, 8, 7, 1))
    with pytest.raises(UserError, match="at least 8"):
        variables_of(ConvDecoder((7, 8, 1)), images(2, 3))


def test_the_denoiser_of_points_knows_the_time():
    denoiser = TimeMlp(hidden=(8, 8), time_dim=4)
    x = np.tile(normal(1, 2), (3, 1))
    t = jnp.array([1, 500, 500], jnp.int32)
    variables = made_up(variables_of(denoiser, x, t))
    y = np.asarray(
        denoiser.apply(variables, x, t, keys=jax.random.split(jax.random.key(0), 3))
    )
    assert y.shape == (3, 2)
    assert not np.allclose(y[0], y[1])
    np.testing.assert_allclose(y[1], y[2], rtol=1e-6)
    np.testing.assert_allclose(denoiser.apply(variables, x, t), y, rtol=1e-6)


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [
        (MlpEncoder(2, (8,), num_classes=3), MlpDecoder((8, 8, 1), (8,), 3)),
        (ConvEncoder(2, 4, num_classes=3), ConvDecoder((8, 8, 1), 4, 3)),
    ],
)
def test_labels_reach_encoder_and_decoder(encoder, decoder):
    x, z = normal(1, 8, 8, 1).repeat(3, 0), normal(1, 2).repeat(3, 0)
    y = jnp.array([0, 1, -1])
    variables = made_up(variables_of(encoder, x, y))
    mean, _ = encoder.apply(variables, x, y)
    assert np.ptp(np.asarray(mean), axis=0).min() > 1e-4
    variables = made_up(variables_of(decoder, z, y))
    assert np.ptp(np.asarray(decoder.apply(variables, z, y)), axis=0).max() > 1e-4


def test_a_plain_encoder_has_one_head():
    encoder = MlpEncoder(3, (8,), heads=("code",))
    variables = variables_of(encoder, images(2, 5))
    assert set(variables["params"]) == {"Dense_0", "code"}
    (z,) = jax.eval_shape(encoder.apply, variables, images(2, 5))
    assert z.shape == (2, 3)
