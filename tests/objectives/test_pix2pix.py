"""The losses by hand, who moves on what, and that a mapping is learned."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.errors import UserError
from gen_jax.game import init_state
from gen_jax.models.layers import Dropout
from gen_jax.objectives.pix2pix import pix2pix
from gen_jax.step import make_train_step

RNG = jax.random.key(0)
B, SIDE = 4, 6


class Generator(nn.Module):
    """A pixel's own affine function, then dropout."""

    rate: float = 0.0

    @nn.compact
    def __call__(self, x, keys=None):
        return Dropout(self.rate)(nn.Dense(2)(x), keys)


class Judge(nn.Module):
    """A logit a pixel of the pair: a map of 1x1 patches."""

    @nn.compact
    def __call__(self, x, y):
        return nn.Dense(1)(jnp.concatenate([x, y], axis=-1))[..., 0]


class Context:
    shared_keys = jax.random.split(RNG, B)
    keys = jax.random.split(jax.random.key(1), B)


def _batch(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"x": (B, SIDE, SIDE, 1), "y": (B, SIDE, SIDE, 2)}
    return {k: jnp.float32(rng.uniform(-1, 1, s)) for k, s in shapes.items()}


def _game(discriminate=True, rate=0.0, **options):
    options = {"generator_optimizer": optax.sgd(0.1), **options}
    if discriminate:
        options["discriminator_optimizer"] = optax.sgd(0.1)
    return pix2pix(Generator(rate), Judge() if discriminate else None, **options)


def _numbers(game, batch):
    """y_hat and D's logits in NumPy."""
    players = init_state(game, RNG, batch).players
    params = jax.tree.map(np.float64, {k: p.params for k, p in players.items()})
    g, x = params["generator"]["Dense_0"], np.float64(batch["x"])
    y_hat = x @ g["kernel"] + g["bias"]
    d = params.get("discriminator", {}).get("Dense_0")

    def discriminate(y):
        pair = np.concatenate([x, y], axis=-1)
        return (pair @ d["kernel"] + d["bias"])[..., 0]

    return players, y_hat, discriminate


def test_losses_are_equations_1_3_and_4():
    game, batch = _game(l1_weight=7.0), _batch()
    players, y_hat, discriminate = _numbers(game, batch)
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    loss = {name: player.loss for name, player in game.players.items()}
    value, _ = loss["discriminator"](players, batch, Context)
    v = (
        softplus(-discriminate(batch["y"])).mean()
        + softplus(discriminate(y_hat)).mean()
    )
    np.testing.assert_allclose(value, v / 2, rtol=1e-5)
    value, (_, metrics) = loss["generator"](players, batch, Context)
    l1 = np.abs(np.float64(batch["y"]) - y_hat).mean()
    np.testing.assert_allclose(metrics["l1"], l1, rtol=1e-5)
    expected = softplus(-discriminate(y_hat)).mean() + 7 * l1
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_baseline_has_the_l1_loss_alone():
    game, batch = _game(discriminate=False), _batch()
    assert list(game.players) == ["generator"]
    players, y_hat, _ = _numbers(game, batch)
    value, _ = game.players["generator"].loss(players, batch, Context)
    np.testing.assert_allclose(
        value, 100 * np.abs(np.float64(batch["y"]) - y_hat).mean(), 1e-5
    )


def test_dropout_is_the_noise_and_stays_on():
    game, batch = _game(rate=0.5), _batch()
    players = init_state(game, RNG, batch).players
    translate, keys = game.ops.translate, Context.keys
    y_hat = translate(players, batch["x"], keys)
    assert (np.asarray(y_hat) == 0).mean() > 0.3
    np.testing.assert_array_equal(y_hat, translate(players, batch["x"], keys))
    assert not np.allclose(y_hat, translate(players, batch["x"], Context.shared_keys))
    alone = translate(players, batch["x"][1:2], keys[1:2])
    np.testing.assert_allclose(alone, y_hat[1:2], rtol=1e-6)
    assert (np.asarray(translate(players, batch["x"], None)) == 0).mean() < 0.01


def test_it_learns_a_mapping():
    batch = _batch()
    batch["y"] = jnp.concatenate([-batch["x"], 0.5 * batch["x"]], axis=-1)
    adam = optax.adam(0.02, b1=0.5)
    game = pix2pix(
        Generator(), Judge(), generator_optimizer=adam, discriminator_optimizer=adam
    )
    state = init_state(game, RNG, batch)
    many = jax.tree.map(lambda x: jnp.broadcast_to(x, (300, *x.shape)), batch)
    state, metrics = make_train_step(game, steps_per_call=300)(state, many, RNG)
    assert metrics["generator/l1"][-1] < 0.05
    y_hat = game.ops.translate(state.players, batch["x"], Context.keys)
    np.testing.assert_allclose(y_hat, batch["y"], atol=0.2)


def test_an_unknown_gan_loss_is_an_error():
    with pytest.raises(UserError, match="minimax, non_saturating"):
        _game(gan_loss="earth_mover")
