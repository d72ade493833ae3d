"""What is no longer finite is named: the player, the term or the leaf, and the step."""

import gc
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import scalar_player
from saved_runs import adam_game, save

from gen_jax import FitConfig, fit, load
from gen_jax.errors import DivergedError, UserError
from gen_jax.game import Game, Weights
from gen_jax.runs import finite


def batches(start):
    while True:
        yield {"x": np.ones(8, np.float32)}


def game_of(value, metrics=None, mutable=None, **options):
    """A game of one number w, whose loss, terms and mutable state are as given."""

    def loss(players, batch, context):
        w = players["model"].params["w"]
        terms = {name: term(w) for name, term in (metrics or {}).items()}
        return value(w), (mutable(w) if mutable else {}, terms)

    player = scalar_player(loss, **options)
    if mutable:
        first = lambda *_: Weights({"w": jnp.float32(1)}, mutable(jnp.float32(0)))  # noqa: E731
        player = player._replace(init=first)
    return Game({"model": player}, (("model",),))


def infinite_when_large(w):
    return jnp.where(w > 2, jnp.inf, 0.0).astype(jnp.float32)


@jax.custom_jvp
def steep(w):
    """Nought everywhere, but too steep if w is large."""
    return jnp.zeros_like(w)


steep.defjvps(lambda slope, _, w: slope * infinite_when_large(w))


CASES = {
    "a loss and its term": (
        game_of(lambda w: w + infinite_when_large(w), {"kl": infinite_when_large}),
        r"the loss of model is no longer finite at step 4: inf \(terms: kl inf\); the",
    ),
    "a gradient": (
        game_of(lambda w: w + steep(w)),
        r"the gradient of model is no longer finite at step 4: (nan|inf); the last",
    ),
    "a leaf": (
        game_of(lambda w: w, mutable=lambda w: {"n": infinite_when_large(w)}),
        r"the state \(players\.model\.mutable\.n\) is no longer finite at step 4; the",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_named_at_the_next_logged_step(name, tmp_path):
    game, says = CASES[name]
    player = game.players["model"]._replace(optimizer=optax.sgd(-0.5))  # w = 1, 1.5, ..
    game.players["model"] = player
    config = FitConfig(steps=99, log_every_steps=2, keep_every_steps=2)
    with pytest.raises(DivergedError, match=says):
        fit(game, batches, config, workdir=tmp_path)
    assert load(tmp_path, game).step == 2


def test_terms_may_be_infinite_and_other_players_finite():
    values = {"a/loss": 1.0, "a/kl": np.inf, "b/loss": 2.0, "b/grad_norm": np.nan}
    assert finite.first_of(values, ["a"]) is None
    assert finite.first_of(values, ["a", "b"]) == ("the gradient of b", "nan")
    values = {"ab/loss": np.inf, "a/loss": 1.0}
    assert finite.first_of(values, ["a"]) is None


def test_a_failed_read_has_one_line(tmp_path, monkeypatch, capsys, caplog):
    """Though each task of Orbax fails, and prints its stack."""
    save(tmp_path, adam_game(), steps=(1,))
    monkeypatch.setattr("gen_jax.runs.checkpoint.first_different_leaf", lambda *_: "")
    game = adam_game()
    shapes = Weights({"w": jnp.zeros((4, 3)), "b": jnp.zeros(5)}, {"n": {"mean": W}})
    game.players["model"] = game.players["model"]._replace(init=lambda *_: shapes)
    with caplog.at_level(logging.DEBUG, "asyncio"):
        with pytest.raises(UserError, match="cannot be read: ") as error:
            load(tmp_path, game)
        assert "\n" not in str(error.value)
        del error
        gc.collect()
    assert capsys.readouterr().err == ""
    assert not [x for x in caplog.messages if "never retrieved" in x]


W = jnp.zeros(9)
