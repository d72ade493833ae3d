"""A class without training images is neither drawn nor measured."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from gen_jax.data.dataset import Dataset, Info, MemorySplit
from gen_jax.evaluation.request import of_game
from gen_jax.figures import classes, latent_space
from gen_jax.game import PlayerState, State
from gen_jax.ops import Ops
from tests.games import untrained_game

NAMES = ("dark", "ghost", "bright", "none")


def evaluation_of(train, **ops):
    """A game whose images are as bright as their labels; 0 and 2 have real images."""
    y = np.array(train * 8, np.int32)
    level = np.uint8(60 * y + np.arange(len(y)) % 7)
    x = np.broadcast_to(level[:, None, None, None], (len(y), 8, 8, 1))
    splits = MemorySplit(x.copy(), y), MemorySplit(x[:4].copy(), y[:4])
    dataset = Dataset(Info((8, 8, 1), 4, class_names=NAMES), *splits)
    game = untrained_game(Ops(**ops), 4)
    state = State(jnp.int32(0), {"model": PlayerState({}, {}, (), (), jnp.int32(0))})
    return of_game(game, state, dataset, None)


def bright(players, keys, y):
    return jnp.broadcast_to((y / 4)[:, None, None, None], (len(keys), 8, 8, 1))


def test_samples_are_of_the_classes_that_have_images():
    with evaluation_of([0, 2], sample=bright) as this:
        assert this.classes == [0, 2]
        np.testing.assert_array_equal(this.labels(5), [0, 2, 0, 2, 0])
        np.testing.assert_array_equal(this.labels(2, start=3), [2, 0])
        drawn = this.samples.first_float(4)[:, 0, 0, 0]
        np.testing.assert_allclose(drawn, [0, 0.5, 0, 0.5], atol=0.01)
        assert classes.classes(this).pictures["classes"].ndim == 3
        ghosts = this.samples.key
    with evaluation_of([0, 1, 2, 3], sample=bright) as full:
        np.testing.assert_array_equal(full.labels(5), [0, 1, 2, 3, 0])
        assert full.samples.key != ghosts


def test_styles_have_a_column_for_each_class_with_images():
    def decode(players, z, y):
        return bright(players, z, y) + z[:, :1, None, None] / 100

    def prior(players, keys):
        return jnp.ones((len(keys), 2))

    with evaluation_of([0, 2], sample=bright, decode=decode, prior=prior) as this:
        this = dataclasses.replace(this)
        figure = latent_space.style(this)
    assert figure.numbers["styles"] == latent_space._PAIRS // 2
    height, width = figure.pictures["style"].shape[:2]
    assert width < (height - 22) / 2  # two columns of eight rows
