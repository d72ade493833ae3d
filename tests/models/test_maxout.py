"""The first adversarial networks: their papers' counts, maxout by hand, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import count, images, made_up, normal, variables_of

from gen_jax.models.maxout import Discriminator, Generator

Y = jax.ShapeDtypeStruct((2,), jnp.int32)


def test_counts_are_goodfellow_et_als_for_mnist():
    generator = variables_of(Generator((28, 28, 1)), images(2, 100), Y, train=True)
    hidden = 101 * 1200 + 1201 * 1200
    assert count(generator) == hidden + 1201 * 784
    discriminator = variables_of(Discriminator(), images(2, 28, 28, 1), Y, train=True)
    assert count(discriminator) == 785 * 240 * 5 + 241 * 240 * 5 + 241


def test_counts_are_mirza_and_osinderos_for_mnist():
    form = Generator((28, 28, 1), hidden=(1200,), num_classes=10)
    generator = variables_of(form, images(2, 100), Y, train=True)
    joint = (200 + 1000 + 1) * 1200
    assert count(generator) == 101 * 200 + 11 * 1000 + joint + 1201 * 784
    form = Discriminator(hidden=(240,), pieces=4, num_classes=10)
    discriminator = variables_of(form, images(2, 28, 28, 1), Y, train=True)
    of_x, of_y = 785 * 240 * 5, 11 * 50 * 5
    assert count(discriminator) == of_x + of_y + (240 + 50 + 1) * 240 * 4 + 241


def test_a_maxout_unit_is_the_largest_of_its_pieces():
    module = Discriminator(hidden=(4,), pieces=3)
    x = normal(5, 6)
    variables = made_up(variables_of(module, x, train=False))
    logits = module.apply(variables, x, train=False)
    params = jax.tree.map(np.asarray, variables["params"])
    first, last = params["Dense_0"], params["Dense_1"]
    h = (x @ first["kernel"] + first["bias"]).reshape(5, 4, 3).max(-1)
    np.testing.assert_allclose(
        logits, (h @ last["kernel"] + last["bias"])[:, 0], rtol=1e-5
    )


def test_images_are_squashed_by_a_sigmoid_and_points_are_not():
    z = normal(4, 3)
    for shape in ((4, 4, 1), (2,)):
        module = Generator(shape, hidden=(8,))
        variables = made_up(variables_of(module, z, train=False))
        x = module.apply(variables, z, train=False)
        params = jax.tree.map(np.asarray, variables["params"])
        first, last = params["Dense_0"], params["Dense_1"]
        h = np.maximum(z @ first["kernel"] + first["bias"], 0)
        out = (h @ last["kernel"] + last["bias"]).reshape(4, *shape)
        expected = 2 / (1 + np.exp(-out)) - 1 if len(shape) == 3 else out
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("module", [Generator((3,), dropout=0.5), Discriminator()])
def test_dropout_is_for_training_and_each_examples_own(module):
    x, keys = normal(6, 3), jax.random.split(jax.random.key(0), 6)
    variables = made_up(variables_of(module, x, train=False))
    still = module.apply(variables, x, train=False, keys=keys)
    np.testing.assert_array_equal(still, module.apply(variables, x, train=True))
    dropped = module.apply(variables, x, train=True, keys=keys)
    assert not np.allclose(dropped, still)
    alone = module.apply(variables, x[2:3], train=True, keys=keys[2:3])
    np.testing.assert_allclose(alone, dropped[2:3], rtol=1e-5)


@pytest.mark.parametrize(
    "module", [Generator((3,), num_classes=4), Discriminator(num_classes=4)]
)
def test_labels_matter_and_none_is_a_zero_vector(module):
    x = jnp.broadcast_to(normal(1, 3), (3, 3))
    y = jnp.array([0, 3, -1])
    variables = made_up(variables_of(module, x, y, train=False))
    out = np.asarray(module.apply(variables, x, y, train=False)).reshape(3, -1)
    assert np.abs(out[0] - out[1]).max() > 1e-4
    assert np.abs(out[0] - out[2]).max() > 1e-4
    assert np.isfinite(out).all()
