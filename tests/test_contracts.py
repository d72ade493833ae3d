"""The result of a loss is checked while it is traced; raw images are refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import scalar_player

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
        (lambda w, x: (w, {}), None, "loss of 'g' returned a tuple of 2: a loss "),
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
            "mutable state: g.mutable/batch_stats/mean: missing",
        ),
        (
            lambda w, x: (w, ({"batch_stats": {"mean": x}}, {})),
            STATISTICS,
            r"g.mutable/batch_stats/mean: shape \(24,\), the network has \(3,\)",
        ),
        (
            lambda w, x: (w, ({"batch_stats": {"mean": jnp.zeros(3, int)}}, {})),
            STATISTICS,
            "g.mutable/batch_stats/mean: dtype int32, the network has float32",
        ),
        (
            lambda w, x: (w, ({"seen": x}, {})),
            None,
            "g.mutable/seen: unknown, the network has none",
        ),
        (lambda w, x: (w, ({}, w)), None, r"metrics of 'g' are an array float32 \[\]"),
        (
            lambda w, x: (w, ({}, {"x": x})),
            None,
            r"metric 'x' of 'g' is an array float32 \[24\]: it must be a scalar",
        ),
        (lambda w, x: (w, ({}, {"loss": w})), None, "'g' reports a metric 'loss'"),
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


def test_images_as_bytes_are_refused_unless_prepared():
    def loss(players, batch, context):
        gap = players["model"].params["w"] - batch["x"].astype(jnp.float32)
        return jnp.mean(gap**2) / 2, ({}, {})

    game = Game({"model": scalar_player(loss)}, (("model",),))
    batch = {"x": np.full((4, 2, 2, 1), 3, np.uint8)}
    with pytest.raises(UserError, match=r"batch/x is uint8 \[4, 2, 2, 1\]: pass"):
        make_train_step(game)(start(game, batch), batch, RNG)
    keep = make_train_step(game, prepare=lambda batch, keys: batch)
    state, _ = keep(start(game, batch), batch, RNG)
    np.testing.assert_allclose(
        state.players["model"].params["w"], 1 - 0.1 * (1 - 3), rtol=1e-6
    )
