"""Objectives in larger games: modules with BatchNorm, players of any name."""

import functools
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.game import Game, init_state
from gen_jax.models.layers import batch_norm
from gen_jax.objectives.autoencoder import autoencoder, vae
from gen_jax.objectives.ddpm import Recipe, ddpm
from gen_jax.objectives.flow import flow
from gen_jax.objectives.gan import gan
from gen_jax.objectives.pix2pix import pix2pix
from gen_jax.step import train_step

B = 8
RNG = jax.random.key(0)
X = np.random.default_rng(0).normal(2, 1, (B, 3)).astype(np.float32)
Y = np.arange(B, dtype=np.int32)
POINTS = {"x": X, "y": Y}
PAIRS = {"x": X[:, None, None], "y": -X[:, None, None]}


class Encoder(nn.Module):
    """Heads of x after BatchNorm."""

    heads: int

    @nn.compact
    def __call__(self, x, y, train):
        x = batch_norm(x, train)
        return tuple(nn.Dense(2)(x) for _ in range(self.heads))


class Decoder(nn.Module):
    """BatchNorm of z, then points."""

    @nn.compact
    def __call__(self, z, y, train=True, keys=None):
        return nn.Dense(3)(batch_norm(z, train))


class Denoiser(nn.Module):
    """BatchNorm of the label alone, and a velocity or noise."""

    @nn.compact
    def __call__(self, x, t, y, keys, train):
        return x + nn.Dense(3)(batch_norm(y.astype(jnp.float32)[:, None], train))


class Discriminator(nn.Module):
    """A logit of points after BatchNorm."""

    @nn.compact
    def __call__(self, x, y, train, keys=None):
        return nn.Dense(1)(batch_norm(x, train))[:, 0]


class Translator(nn.Module):
    """BatchNorm of the input image, then its target."""

    @nn.compact
    def __call__(self, x, keys, train):
        return nn.Dense(3)(batch_norm(x, train))


class Pair(nn.Module):
    """A map of logits of a pair after BatchNorm of its input."""

    @nn.compact
    def __call__(self, x, y, train):
        x = batch_norm(x, train)
        return nn.Dense(1)(jnp.concatenate([x, y], -1))[..., 0]


def sgd():
    return optax.sgd(0.01)


BOTH = {"generator_optimizer": sgd(), "discriminator_optimizer": sgd()}
GAMES = {
    "autoencoder": functools.partial(
        autoencoder, Encoder(1), Decoder(), z_dim=2, optimizer=sgd()
    ),
    "vae": functools.partial(vae, Encoder(2), Decoder(), z_dim=2, optimizer=sgd()),
    "ddpm": functools.partial(
        ddpm,
        Denoiser(),
        shape=(3,),
        optimizer=sgd(),
        recipe=Recipe(importance=True, clip=False),
    ),
    "flow": functools.partial(flow, Denoiser(), shape=(3,), optimizer=sgd()),
    "pix2pix": functools.partial(pix2pix, Translator(), Pair(), **BOTH),
    "gan": functools.partial(gan, Decoder(), Discriminator(), z_dim=2, **BOTH),
}


def played(game, batch):
    """The state and metrics after one step."""
    state = init_state(game, RNG, batch)
    return jax.jit(functools.partial(train_step, game=game))(state, batch, RNG)


def program(game, batch):
    """The operations of one step, without the addresses of functions."""
    state = jax.eval_shape(functools.partial(init_state, game), RNG, batch)
    step = functools.partial(train_step, game=game)
    return re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(step)(state, batch, RNG)))


def running_mean(tree):
    """Of the one BatchNorm of a module."""
    return tree["batch_stats"]["BatchNorm_0"]["mean"]


@pytest.mark.parametrize("name", ["autoencoder", "vae", "ddpm", "flow"])
def test_batch_norm_is_kept_and_averaged_and_not_used_in_samples(name):
    game = GAMES[name](ema_halflife_images=(10.0,))
    state, _ = played(game, POINTS)
    mine = state.players["model"]
    parts = [mine.mutable, mine.ema[0].mutable]
    expected = 0.1 * Y.mean(keepdims=True)
    if name in ("autoencoder", "vae"):
        assert np.all(running_mean(mine.mutable["decoder"]) != 0)
        parts, expected = [part["encoder"] for part in parts], 0.1 * X.mean(0)
    for part in parts:  # the first average is a copy
        np.testing.assert_allclose(running_mean(part), expected, rtol=1e-5)
    keys = jax.random.split(RNG, 4)
    draw = functools.partial(game.ops.sample, state.players)
    together, alone = draw(keys), draw(keys[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-5, atol=1e-6)


def test_pix2pix_keeps_the_statistics_of_both_players():
    game = GAMES["pix2pix"]()
    state, _ = played(game, PAIRS)
    generator, discriminator = (
        running_mean(state.players[name].mutable)
        for name in ("generator", "discriminator")
    )
    np.testing.assert_allclose(generator, 0.1 * X.mean(0), rtol=1e-5)
    # D sees the input twice, with the target and with G's image.
    np.testing.assert_allclose(discriminator, 0.19 * X.mean(0), rtol=1e-5)


NAMES = {
    "vae": {"name": "other"},
    "autoencoder": {"name": "other"},
    "ddpm": {"name": "other"},
    "flow": {"name": "other"},
    "gan": {"names": ("g", "d")},
    "pix2pix": {"names": ("g", "d")},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_players_name_changes_no_number(name):
    batch = PAIRS if name == "pix2pix" else POINTS
    other = GAMES[name](**NAMES[name])
    names = NAMES[name].get("names", ("other",))
    assert set(other.players) == set(names)
    assert program(other, batch) == program(GAMES[name](), batch)


def test_a_vae_and_a_ddpm_play_in_one_game():
    first = GAMES["vae"](name="vae")
    second = GAMES["ddpm"](name="prior")
    game = Game({**first.players, **second.players}, (("vae", "prior"),))
    state, metrics = played(game, POINTS)
    encoder = state.players["vae"].mutable["encoder"]
    np.testing.assert_allclose(running_mean(encoder), 0.1 * X.mean(0), rtol=1e-5)
    prior = running_mean(state.players["prior"].mutable)
    np.testing.assert_allclose(prior, 0.1 * Y.mean(keepdims=True), rtol=1e-5)
    assert {"vae/kl", "prior/loss"} <= set(metrics)


def test_a_loss_trains_a_player_of_another_name():
    model = GAMES["vae"]().players["model"]

    def loss(players, batch, context):
        return model.loss({"model": players["fake"]}, batch, context)

    game = Game({"fake": model._replace(loss=loss)}, (("fake",),))
    assert program(game, POINTS) == program(GAMES["vae"](), POINTS)
