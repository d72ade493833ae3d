import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import count, images, made_up, normal, variables_of

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.models.dcgan import Discriminator, Generator

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (33, 40, 2), (128, 128, 5)]


def test_counts_at_64_pixels_are_those_of_the_known_example():
    generator = variables_of(Generator((64, 64, 3)), images(2, 100), train=True)
    discriminator = variables_of(Discriminator(), images(2, 64, 64, 3), train=True)
    assert count(generator) == 3_576_704
    assert count(discriminator) == 2_765_568


@pytest.mark.parametrize("shape", SHAPES)
def test_depth_follows_the_shape(shape):
    z = images(2, 10)
    generator, discriminator = (
        Generator(shape, base_channels=4),
        Discriminator(base_channels=4),
    )
    variables = variables_of(generator, z, train=True)
    x = jax.eval_shape(lambda v, z: generator.apply(v, z, train=False), variables, z)
    assert x.shape == (2, *shape)
    assert x.dtype == jnp.float32
    variables = variables_of(discriminator, x, train=True)
    logits = jax.eval_shape(
        lambda v, x: discriminator.apply(v, x, train=False), variables, x
    )
    assert logits.shape == (2,)


def test_weights_start_as_radford_says():
    generator = Generator((8, 8, 1), base_channels=64)
    variables = devices.run_once(
        lambda key: generator.init(key, jnp.zeros((2, 50)), train=True),
        jax.random.key(0),
    )
    params = variables["params"]
    kernel = np.asarray(params["Dense_0"]["kernel"])
    scale = np.asarray(params["BatchNorm_0"]["scale"])
    np.testing.assert_allclose([kernel.mean(), kernel.std()], [0, 0.02], atol=3e-4)
    np.testing.assert_allclose([scale.mean(), scale.std()], [1, 0.02], atol=0.01)
    np.testing.assert_array_equal(params["BatchNorm_0"]["bias"], 0)


def test_images_lie_in_range_and_the_mode_chooses_the_statistics():
    generator = Generator((9, 8, 1), base_channels=2)
    z = normal(3, 4)
    variables = made_up(variables_of(generator, images(3, 4), train=True))
    trained, updated = generator.apply(
        variables, z, train=True, mutable=["batch_stats"]
    )
    running = generator.apply(variables, z, train=False)
    assert np.abs(trained).max() <= 1
    assert not np.allclose(trained, running)
    assert jax.tree.structure(updated["batch_stats"]) == jax.tree.structure(
        variables["batch_stats"]
    )
    # By running statistics an image depends on its own latents alone.
    np.testing.assert_allclose(
        generator.apply(variables, z[:1], train=False), running[:1], atol=1e-6
    )


def test_the_discriminators_input_is_not_normalised():
    """Otherwise a constant added to all images would leave the logits as they are."""
    discriminator = Discriminator(base_channels=2)
    variables = made_up(variables_of(discriminator, images(2, 8, 8, 1), train=True))
    assert set(variables["batch_stats"]) == {"BatchNorm_0"}  # two halvings, one norm
    x = normal(2, 8, 8, 1)
    logits, shifted = (
        discriminator.apply(variables, x, train=True, mutable=["batch_stats"])[0]
        for x in (x, x + 1)
    )
    assert not np.allclose(logits, shifted, rtol=0.01)


def test_small_images_are_refused():
    with pytest.raises(UserError, match="at least 8"):
        variables_of(Generator((7, 8, 1)), images(2, 4), train=True)
    with pytest.raises(UserError, match="at least 8"):
        variables_of(Discriminator(), images(2, 8, 4, 1), train=True)


@pytest.mark.slow
def test_the_full_size_networks_apply():
    generator, discriminator = Generator((64, 64, 3)), Discriminator()
    variables = made_up(variables_of(generator, images(2, 100), train=True))
    x, _ = jax.jit(
        lambda v, z: generator.apply(v, z, train=True, mutable=["batch_stats"])
    )(variables, normal(2, 100))
    assert x.shape == (2, 64, 64, 3)
    variables = made_up(variables_of(discriminator, images(2, 64, 64, 3), train=True))
    logits, _ = jax.jit(
        lambda v, x: discriminator.apply(v, x, train=True, mutable=["batch_stats"])
    )(variables, x)
    assert np.isfinite(logits).all()


def test_counts_of_the_papers_own_form():
    generator = variables_of(
        Generator((64, 64, 3), base_channels=128, kernel=5), images(2, 100), train=True
    )
    discriminator = variables_of(
        Discriminator(base_channels=128, kernel=5), images(2, 64, 64, 3), train=True
    )
    assert count(generator) == 18_855_040
    assert count(discriminator) == 17_232_768


def test_spectral_norm_makes_the_largest_singular_value_one():
    """A discriminator of a single dense layer in effect: |D(x) - D(x')| by power."""
    discriminator = Discriminator(base_channels=4, norm="spectral")
    x = normal(2, 8, 8, 1)
    variables = devices.run_once(
        lambda key: discriminator.init(key, x, train=True), jax.random.key(0)
    )
    judge = jax.jit(lambda variables: discriminator.apply(variables, x, train=False))
    stepped = jax.jit(
        lambda variables: discriminator.apply(
            variables, x, train=True, mutable=["batch_stats"]
        )[1]
    )
    for _ in range(30):
        variables = {**variables, **stepped(variables)}
    kernel = np.asarray(variables["params"]["Dense_0"]["kernel"])
    statistics = variables["batch_stats"]["SpectralNorm_2"]
    sigma = next(v for k, v in statistics.items() if k.endswith("sigma"))
    np.testing.assert_allclose(
        sigma, np.linalg.svd(kernel, compute_uv=False)[0], rtol=1e-3
    )
    running = judge(variables)
    scaled = {**variables, "params": jax.tree.map(lambda p: 7 * p, variables["params"])}
    for _ in range(30):
        scaled = {**scaled, **stepped(scaled)}
    np.testing.assert_allclose(judge(scaled), running, rtol=1e-2)


def test_a_generator_uses_the_label():
    module, z = Generator((8, 8, 1), 4, num_classes=3), normal(1, 4).repeat(3, 0)
    y = jnp.array([0, 2, -1])
    x, variables = devices.run_once(
        lambda key: module.init_with_output(key, z, y, train=False), jax.random.key(0)
    )
    first = np.asarray(variables["params"]["Dense_0"]["kernel"])
    assert first.shape[0] == 4 + 3
    assert np.abs(x[0] - x[1]).max() > 1e-7
    assert np.abs(x[0] - x[2]).max() > 1e-7


def test_a_discriminator_depends_on_image_and_label_together():
    module = Discriminator(4, num_classes=3)
    x = jnp.broadcast_to(normal(1, 8, 8, 1), (3, 8, 8, 1))
    y = jnp.arange(3)
    variables = made_up(variables_of(module, x, y, train=True))
    logits = np.asarray(module.apply(variables, x, y, train=False))
    assert len({round(float(v), 4) for v in logits}) == 3
