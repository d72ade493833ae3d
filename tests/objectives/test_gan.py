"""The game of two against hand-computed values, and that it is learned."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gen_jax.errors import UserError
from gen_jax.game import Turn, Weights, init_state
from gen_jax.objectives.gan import gan
from gen_jax.step import make_train_step, train_step

B, Z = 8, 2
RNG = jax.random.key(0)


class Generator(nn.Module):
    """z -> points, with BatchNorm."""

    @nn.compact
    def __call__(self, z, y, train, keys=None):
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.9)
        return nn.Dense(2)(norm(z))


class Discriminator(nn.Module):
    """x -> logits [B], with BatchNorm."""

    @nn.compact
    def __call__(self, x, y, train, keys=None):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(1)(x)[:, 0]


class Linear(nn.Module):
    """One matrix and nothing else."""

    features: int

    @nn.compact
    def __call__(self, x, y, train, keys=None):
        out = nn.Dense(self.features, use_bias=False)(x)
        return out[:, 0] if self.features == 1 else out


class Critic(nn.Module):
    """x -> logits [B], a small MLP."""

    @nn.compact
    def __call__(self, x, y, train, keys=None):
        return nn.Dense(1)(nn.relu(nn.Dense(32)(x)))[:, 0]


class Affine(nn.Module):
    """z -> points, no norm."""

    @nn.compact
    def __call__(self, z, y, train, keys=None):
        return nn.Dense(2)(z)


def _game(generator=None, discriminator=None, **options):
    options = {
        "generator_optimizer": optax.sgd(0.1),
        "discriminator_optimizer": optax.sgd(0.1),
        **options,
    }
    return gan(
        generator or Generator(), discriminator or Discriminator(), z_dim=Z, **options
    )


def _batch(seed=0):
    x = np.random.default_rng(seed).normal(3, 2, (B, 2)).astype(np.float32)
    return {"x": jnp.asarray(x), "y": jnp.full((B,), -1, jnp.int32)}


def _step(game, state, batch=None):
    return make_train_step(game, donate=False)(state, batch or _batch(), RNG)


def _latents(keys, draw):
    """z from the first of the two keys that each key is split into."""
    return np.stack([draw(jax.random.split(key)[0], (Z,)) for key in keys]).astype(
        np.float64
    )


def _log_sigmoid(logits):
    return -np.log1p(np.exp(-logits))


@pytest.mark.parametrize("gan_loss", ["minimax", "non_saturating"])
def test_gan_losses_by_hand(gan_loss):
    """Losses of linear players, recomputed in NumPy from their own fakes."""
    w, v = np.array([[1.0, -0.5], [0.3, 2.0]]), np.array([[0.7], [-0.4]])
    given = {
        "generator": {"Dense_0": {"kernel": jnp.float32(w)}},
        "discriminator": {"Dense_0": {"kernel": jnp.float32(v)}},
    }
    game = _game(Linear(2), Linear(1), gan_loss=gan_loss)
    state = init_state(game, RNG, _batch(), given)
    keys = jax.random.split(jax.random.key(5), B)
    context = _Context(keys)
    z = _latents(keys, jax.random.normal)
    real, fake = (_batch()["x"] @ v)[:, 0], (z @ w @ v)[:, 0]

    value, (mutable, metrics) = game.players["discriminator"].loss(
        state.players, _batch(), context
    )
    v_of_d = _log_sigmoid(real).mean() + _log_sigmoid(-fake).mean()
    np.testing.assert_allclose(value, -v_of_d, rtol=1e-5)
    assert mutable == {}
    np.testing.assert_allclose(
        metrics["d_real"], np.exp(_log_sigmoid(real)).mean(), rtol=1e-5
    )
    np.testing.assert_allclose(
        metrics["d_fake"], np.exp(_log_sigmoid(fake)).mean(), rtol=1e-5
    )

    value, _ = game.players["generator"].loss(state.players, _batch(), context)
    expected = {
        "minimax": _log_sigmoid(-fake).mean(),
        "non_saturating": -_log_sigmoid(fake).mean(),
    }[gan_loss]
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@dataclasses.dataclass
class _Context:
    keys: jax.Array
    shared: jax.Array | None = None
    step: int = 0


def test_a_discriminator_without_information_has_value_minus_log_4():
    game = _game(Linear(2), Linear(1))
    given = {"discriminator": {"Dense_0": {"kernel": jnp.zeros((2, 1))}}}
    state = init_state(game, RNG, _batch(), given)
    _, metrics = _step(game, state)
    np.testing.assert_allclose(metrics["discriminator/loss"], np.log(4), rtol=1e-6)
    np.testing.assert_allclose(metrics["discriminator/d_real"], 0.5, rtol=1e-6)


def _moving_alone(game, mover):
    """The game with all but one player frozen."""
    players = {
        n: p if n == mover else p._replace(loss=None) for n, p in game.players.items()
    }
    return dataclasses.replace(game, players=players, turns=(Turn((mover,)),))


def test_each_player_moves_in_its_own_turn_alone():
    game = _game()
    first = init_state(game, RNG, _batch())
    for mover, other in (
        ("discriminator", "generator"),
        ("generator", "discriminator"),
    ):
        state, _ = _step(_moving_alone(game, mover), first)
        for tree in ("params", "mutable"):
            moved, stayed = (
                [
                    np.array_equal(a, b)
                    for a, b in zip(
                        jax.tree.leaves(getattr(first.players[name], tree)),
                        jax.tree.leaves(getattr(state.players[name], tree)),
                        strict=True,
                    )
                ]
                for name in (mover, other)
            )
            assert not all(moved)
            assert all(stayed)


def test_the_discriminators_statistics_see_real_then_fake():
    game = _game(Linear(2))
    game = _moving_alone(game, "discriminator")
    zero = {"Dense_0": {"kernel": jnp.zeros((2, 2))}}  # fakes are all 0
    state = init_state(game, RNG, _batch(), {"generator": zero})
    state, _ = _step(game, state)
    statistics = state.players["discriminator"].mutable["batch_stats"]["BatchNorm_0"]
    x = np.asarray(_batch()["x"])
    np.testing.assert_allclose(statistics["mean"], 0.9 * 0.1 * x.mean(0), rtol=1e-5)
    variance = 0.9 * (0.9 * 1 + 0.1 * x.var(0)) + 0.1 * 0
    np.testing.assert_allclose(statistics["var"], variance, rtol=1e-5)


def test_samples_use_running_statistics():
    """So a sample depends on its own key and on no neighbour."""
    game = _game(prior="uniform")
    players = init_state(game, RNG, _batch()).players
    keys = jax.random.split(jax.random.key(1), 4)
    x = game.ops.sample(players, keys)
    assert x.shape == (4, 2)
    np.testing.assert_allclose(game.ops.sample(players, keys[2:3]), x[2:3], rtol=1e-6)
    dense = jax.tree.map(np.asarray, players["generator"].params["Dense_0"])
    z = _latents(keys, functools.partial(jax.random.uniform, minval=-1, maxval=1))
    expected = z / np.sqrt(1 + 1e-5) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(x, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("prior", "mean", "variance", "most"),
    [
        ("normal", 0, 1, np.inf),
        ("uniform", 0, 1 / 3, 1),
        ("unit_cube", 1 / 2, 1 / 12, 1),
        ("unit_uniform", 0, 1, np.sqrt(3)),
    ],
)
def test_the_latents_have_the_moments_of_their_prior(prior, mean, variance, most):
    keys = jax.random.split(jax.random.key(5), 10_000)
    z = np.asarray(_game(prior=prior).ops.prior(None, keys), np.float64)
    np.testing.assert_allclose(z.mean(), mean, atol=0.01)
    np.testing.assert_allclose(z.var(), variance, rtol=0.02)
    assert np.abs(z).max() <= most


def test_only_the_generator_is_averaged():
    game = _game(ema_halflife_images=(100.0, 1000.0))
    players = init_state(game, RNG, _batch()).players
    assert len(players["generator"].ema) == 2
    assert isinstance(players["generator"].ema[0], Weights)
    assert players["discriminator"].ema == ()


def test_it_learns_where_the_data_are():
    target = np.array([2.0, -1.0])
    adam = optax.adam(5e-3, b1=0.5)
    game = _game(
        Affine(), Critic(), generator_optimizer=adam, discriminator_optimizer=adam
    )
    rng = np.random.default_rng(0)
    x = jnp.asarray(target + 0.5 * rng.normal(size=(400, 64, 2)), jnp.float32)
    state = init_state(game, RNG, {"x": x[0]})
    step = make_train_step(game, steps_per_call=400)
    state, metrics = step(state, {"x": x}, RNG)
    assert all(np.isfinite(value).all() for value in metrics.values())
    samples = game.ops.sample(state.players, jax.random.split(jax.random.key(2), 1000))
    np.testing.assert_allclose(samples.mean(0), target, atol=0.35)
    np.testing.assert_allclose(
        metrics["discriminator/d_real"][-50:].mean(), 0.5, atol=0.1
    )


def _terms(gan_loss, logits_real, logits_fake):
    """Every loss as its paper writes it, in NumPy."""
    real, fake = np.float64(logits_real), np.float64(logits_fake)

    def relu(x):
        return np.maximum(x, 0)

    return {
        "least_squares": (
            0.5 * (real - 1) ** 2,
            0.5 * fake**2,
            0.5 * (fake - 1) ** 2,
        ),
        "wasserstein": (-real, fake, -fake),
        "hinge": (relu(1 - real), relu(1 + fake), -fake),
        "relativistic": (
            -_log_sigmoid(real - fake),
            np.zeros(1),
            -_log_sigmoid(fake - real),
        ),
    }[gan_loss]


@pytest.mark.parametrize(
    "gan_loss", ["least_squares", "wasserstein", "hinge", "relativistic"]
)
def test_later_gan_losses_by_hand(gan_loss):
    given = {
        "generator": {"Dense_0": {"kernel": jnp.float32([[1.0, -0.5], [0.3, 2.0]])}},
        "discriminator": {"Dense_0": {"kernel": jnp.float32([[0.7], [-0.4]])}},
    }
    game = _game(Linear(2), Linear(1), gan_loss=gan_loss)
    players = init_state(game, RNG, _batch(), given).players
    context = _Context(jax.random.split(jax.random.key(5), B))
    z = _latents(context.keys, jax.random.normal)
    fake = z @ np.array([[1.0, -0.5], [0.3, 2.0]]) @ np.array([0.7, -0.4])
    real, fake, of_g = _terms(gan_loss, _batch()["x"] @ np.array([0.7, -0.4]), fake)
    loss = {name: game.players[name].loss for name in game.players}
    value, _ = loss["discriminator"](players, _batch(), context)
    np.testing.assert_allclose(value, real.mean() + fake.mean(), rtol=1e-5)
    value, _ = loss["generator"](players, _batch(), context)
    np.testing.assert_allclose(value, of_g.mean(), rtol=1e-5)


def test_labels_reach_both_players():
    class Told(nn.Module):
        @nn.compact
        def __call__(self, x, y, train, keys=None):
            hot = jax.nn.one_hot(y, 3)
            return nn.Dense(2)(x) + nn.Dense(2, use_bias=False)(hot)

    class Judge(nn.Module):
        @nn.compact
        def __call__(self, x, y, train, keys=None):
            return (Told()(x, y, train) ** 2).sum(axis=-1)

    game = _game(Told(), Judge(), num_classes=3)
    batch = {**_batch(), "y": jnp.arange(B) % 3}
    players = init_state(game, RNG, batch).players
    context = _Context(jax.random.split(RNG, B))
    for player in ("generator", "discriminator"):
        loss = game.players[player].loss
        mine, others = (
            loss(players, {**batch, "y": y}, context)[0]
            for y in (batch["y"], (batch["y"] + 1) % 3)
        )
        assert abs(mine - others) > 1e-3
    keys = jax.random.split(RNG, 4)
    y = jnp.array([0, 1, 2, -1])
    x = game.ops.sample(players, keys, y)
    alone = game.ops.sample(players, keys[1:2], y[1:2])
    np.testing.assert_allclose(alone, x[1:2], rtol=1e-6)
    told = game.ops.sample(players, keys, jnp.zeros(4, jnp.int32))
    assert not np.allclose(told[1:], x[1:])
    assert game.ops.score(players, x, y).shape == (4,)
    # Without labels the class of a sample is drawn by its own key.
    drawn = {
        int(i)
        for i in jnp.argmin(
            jnp.stack(
                [
                    jnp.abs(
                        game.ops.sample(players, keys)
                        - game.ops.sample(players, keys, jnp.full(4, i))
                    ).sum(-1)
                    for i in range(3)
                ]
            ),
            axis=0,
        )
    }
    assert drawn <= {0, 1, 2}


def test_a_critics_turns_see_fresh_parts_and_shared_noise_is_shared():
    seen = {}

    class Spy(nn.Module):
        @nn.compact
        def __call__(self, z, y, train, keys=None):
            jax.debug.callback(lambda z: seen.setdefault("z", []).append(z), z)
            return nn.Dense(2)(z)

    batch = {"x": jnp.arange(24, dtype=jnp.float32).reshape(12, 2)}
    for shared in (False, True):
        seen.clear()
        game = _game(Spy(), Critic(), critic_turns=2, shared_noise=shared)
        assert game.parts == 2
        state = init_state(game, RNG, batch)
        jax.effects_barrier()
        seen.clear()
        with jax.disable_jit():
            train_step(state, batch, RNG, game=game)
        jax.effects_barrier()
        first, second, generator = (np.asarray(z) for z in seen["z"][:3])
        assert first.shape == (6, 2)
        assert not np.allclose(first, second)
        assert np.allclose(first, generator) == shared


def test_mistakes_are_named():
    with pytest.raises(UserError, match="minimax, non_saturating"):
        _game(gan_loss="earth_mover")
    with pytest.raises(UserError, match="normal, uniform"):
        _game(prior="cauchy")
