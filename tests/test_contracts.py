"""The result of a loss is checked while it is traced; raw images are refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import mean_game, scalar_player

from gen_jax.errors import UserError
from gen_jax.game import Game, Weights, init_state
from gen_jax.step import make_train_step, train_step

RNG = jax.random.key(7)
BATCH = {"x": jnp.linspace(-1.0, 2.0, 24, dtype=jnp.float32)}


def start(game, batch=BATCH):
    return init_state(game, jax.random.key(0), batch)


def loss_returning(make_result, mutable=None):
    """A game whose loss returns `make_result(w, batch)`."""

    def init(rng, batch):
        return Weights({"w": jnp.float32(1)}, mutable or {})

    def loss(players, batch, context):
        return make_result(players["g"].params["w"], batch["x"])

    return Game({"g": scalar_player(loss)._replace(init=init)}, (("g",),))


STATISTICS = {"batch_stats": {"mean": jnp.zeros(3)}}


@pytest.mark.parametrize(
    ("result", "mutable", "message"),
    [
        (
            lambda w, x: w,
            None,
            r"loss of 'g' returned an array float32 \[\]: a loss ",
        ),
        (
            lambda w, x: (w, {}, {}),
            None,
            "loss of 'g' returned a tuple of 3: a loss ",
        ),
        (
            lambda w, x: (w, {}),
            None,
            r"loss of 'g' returned \(value, dict\): return value, \(mutable ",
        ),
        (
            lambda w, x: (w * x, ({}, {})),
            None,
            r"loss of 'g' is an array float32 \[24\]: it must be one float",
        ),
        (
            lambda w, x: (jnp.int32(1), ({}, {})),
            None,
            r"loss of 'g' is an array int32 \[\]: it must be one float",
        ),
        (
            lambda w, x: (w, ({}, {})),
            STATISTICS,
            "mutable state: g.mutable.batch_stats.mean: missing",
        ),
        (
            lambda w, x: (w, ({"batch_stats": {"mean": x}}, {})),
            STATISTICS,
            r"g.mutable.batch_stats.mean: shape \(24,\), the network has \(3,\)",
        ),
        (
            lambda w, x: (w, ({"batch_stats": {"mean": jnp.zeros(3, int)}}, {})),
            STATISTICS,
            "g.mutable.batch_stats.mean: dtype int32, the network has float32",
        ),
        (
            lambda w, x: (w, ({"seen": x}, {})),
            None,
            "g.mutable.seen: unknown, the network has none",
        ),
        (lambda w, x: (w, ({}, w)), None, r"metrics of 'g' are an array float32 \[\]"),
        (
            lambda w, x: (w, ({}, {"x": x})),
            None,
            r"metric 'x' of 'g' is an array float32 \[24\]: it must be a scalar",
        ),
        (lambda w, x: (w, ({}, {"loss": w})), None, "'g' reports a metric 'loss'"),
        (
            lambda w, x: (w, ({}, {3: w})),
            None,
            "'g' reports a metric 3: a metric's name",
        ),
        (
            lambda w, x: (w, ({}, {"x": "much"})),
            None,
            "the metric 'x' of 'g' is a value of type str: it must be a scalar",
        ),
        (lambda w, x: (w, (None, {})), None, r"g.mutable: None, the network has \{\}"),
        (
            lambda w, x: (w, ({}, {"grad_norm": w})),
            None,
            "metric 'grad_norm'",
        ),
    ],
)
def test_a_loss_that_returns_another_form_is_refused(result, mutable, message):
    game = loss_returning(result, mutable)
    state = start(game)
    with pytest.raises(UserError, match=message) as error:
        jax.jit(functools.partial(train_step, game=game))(state, BATCH, RNG)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(4, 2, 2, 1), (4, 2, 2), (4, 4)])
def test_images_as_bytes_are_refused_unless_prepared(shape):
    def loss(players, batch, context):
        gap = players["model"].params["w"] - batch["x"]
        return jnp.mean(gap**2) / 2, ({}, {})

    game = Game({"model": scalar_player(loss)}, (("model",),))
    batch = {"x": np.full(shape, 3, np.uint8)}
    for step in (make_train_step(game), functools.partial(train_step, game=game)):
        with pytest.raises(UserError, match=r"batch.x is uint8 \[4, .*: convert"):
            step(start(game, batch), batch, RNG)
    prepare = lambda batch, keys: {"x": batch["x"].astype(jnp.float32)}  # noqa: E731
    cast = make_train_step(game, prepare=prepare)
    state, _ = cast(start(game, batch), batch, RNG)
    np.testing.assert_allclose(
        state.players["model"].params["w"], 1 - 0.1 * (1 - 3), rtol=1e-6
    )


def test_a_random_key_may_be_mutable_state():
    def init(rng, batch):
        return Weights({"w": jnp.float32(1)}, {"key": rng})

    def loss(players, batch, context):
        mine = players["g"]
        return mine.params["w"] ** 2, (
            {"key": jax.random.split(mine.mutable["key"])[0]},
            {},
        )

    game = Game({"g": scalar_player(loss)._replace(init=init)}, (("g",),))
    state, _ = train_step(start(game), BATCH, RNG, game=game)
    np.testing.assert_allclose(state.players["g"].params["w"], 1 - 0.1 * 2, rtol=1e-6)


def test_a_batch_that_does_not_divide_is_refused_by_the_bare_step():
    with pytest.raises(UserError, match="a batch of 24 is not divisible by 5"):
        train_step(start(mean_game()), BATCH, RNG, game=mean_game(), microbatches=5)


def test_an_optimizer_may_ask_for_the_loss():
    slow = optax.chain(
        optax.sgd(0.1), optax.contrib.reduce_on_plateau(0.5, patience=1, rtol=0.9)
    )
    game = loss_returning(lambda w, x: (w**2, ({}, {})))
    game = Game({"g": game.players["g"]._replace(optimizer=slow)}, (("g",),))
    state, w = start(game), jnp.float32(1)
    opt = slow.init(w)
    for _ in range(4):  # the same by optax alone
        state, _ = train_step(state, BATCH, RNG, game=game)
        with jax.numpy_dtype_promotion("standard"):
            update, opt = slow.update(2 * w, opt, w, value=w**2)
        w += update
    np.testing.assert_allclose(state.players["g"].params["w"], w, rtol=1e-6)
    assert float(state.players["g"].opt[1].scale) == float(opt[1].scale) < 1
