"""The board: how a state begins, what may be given, which weights play."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import bilinear_game, mean_game, scalar_player

from gen_jax.game import Game, Player, Turn, Weights, averaged, init_state

BATCH = {"x": jnp.zeros((4,), jnp.float32)}


def normal_player(**options) -> Player:
    def init(rng, batch):
        return Weights({"w": jax.random.normal(rng, (3,))}, {"mean": jnp.zeros((3,))})

    def loss(players, batch, context):
        return jnp.sum(players["model"].params["w"] ** 2), ({}, {})

    return scalar_player(loss)._replace(init=init, **options)


def frozen(init) -> Player:
    return Player(init=init, loss=None)


def test_turns_are_data():
    game = bilinear_game((("a",), Turn(("b",), part=2)))
    assert game.turns == (Turn(("a",), 0), Turn(("b",), 2))
    assert game.parts == 3


def test_a_turn_of_nobody_is_refused():
    with pytest.raises(ValueError, match="'c'; the players are a, b"):
        bilinear_game((("a",), ("c",)))


def test_a_frozen_player_has_no_turn():
    player = frozen(lambda rng, batch: Weights({}))
    with pytest.raises(ValueError, match="'teacher' has a turn but no loss"):
        Game({"teacher": player}, (("teacher",),))


def test_init_depends_on_seed_and_player():
    game = Game({"model": normal_player(), "other": normal_player()}, (("model",),))
    one = init_state(game, jax.random.key(0), BATCH)
    again = init_state(game, jax.random.key(0), BATCH)
    seed = init_state(game, jax.random.key(1), BATCH)
    model, other = (one.players[name].params["w"] for name in ("model", "other"))
    np.testing.assert_array_equal(model, again.players["model"].params["w"])
    assert np.all(model != other)
    assert np.all(model != seed.players["model"].params["w"])


def test_init_is_the_players_own_under_its_key():
    game = Game(
        {"model": normal_player(ema_halflife_images=(10.0, 20.0))}, (("model",),)
    )
    mine = init_state(game, jax.random.key(0), BATCH).players["model"]
    assert len(mine.ema) == 2
    np.testing.assert_array_equal(mine.ema[1].params["w"], mine.params["w"])
    assert mine.ema[0].params["w"] is not mine.params["w"]
    assert int(mine.updates) == 0


def test_given_weights_replace_the_init():
    game = Game({"model": normal_player()}, (("model",),))
    given = Weights({"w": jnp.arange(3.0)}, {"mean": jnp.ones(3)})
    mine = init_state(game, jax.random.key(0), BATCH, {"model": given}).players["model"]
    np.testing.assert_array_equal(mine.params["w"], [0, 1, 2])
    np.testing.assert_array_equal(mine.mutable["mean"], [1, 1, 1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"modle": {}}, r"\['modle'\] given; the players are \['model'\]"),
        ({"model": {"w": jnp.zeros(3)}}, "'model' has mutable state too: give W"),
        ({"model": Weights({"w": jnp.zeros(2)}, {"mean": jnp.ones(3)})}, "do not fit"),
        ({"model": Weights({"v": jnp.zeros(3)}, {"mean": jnp.ones(3)})}, "do not fit"),
    ],
)
def test_given_weights_must_fit(given, message):
    game = Game({"model": normal_player()}, (("model",),))
    with pytest.raises(ValueError, match=message):
        init_state(game, jax.random.key(0), BATCH, given)


def test_averaged_plays_the_average_where_there_is_one():
    game = mean_game(ema_halflife_images=(10.0,))
    state = init_state(game, jax.random.key(0), BATCH)
    mine = state.players["model"]
    other = mine._replace(ema=(), params={"w": jnp.float32(5)})
    mine = mine._replace(ema=(Weights({"w": jnp.float32(7)}, {}),))
    players = averaged({"model": mine, "other": other})
    assert float(players["model"].params["w"]) == 7
    assert float(players["other"].params["w"]) == 5


def test_init_sees_shapes_alone():
    game = Game({"model": normal_player()}, (("model",),))
    expected = init_state(game, jax.random.key(0), BATCH).players["model"].params
    unusual = {"x": jnp.full((4,), jnp.nan)}
    abstract = {"x": jax.ShapeDtypeStruct((4,), jnp.float32)}
    for batch in (unusual, abstract):
        mine = init_state(game, jax.random.key(0), batch).players["model"]
        np.testing.assert_array_equal(mine.params["w"], expected["w"])


def test_given_arrays_outlive_the_donated_state():
    game = Game({"model": normal_player(ema_halflife_images=(1.0,))}, (("model",),))
    given = Weights({"w": jnp.arange(3.0)}, {"mean": jnp.ones(3)})
    state = init_state(game, jax.random.key(0), BATCH, {"model": given})
    leaves = jax.tree.leaves((state, given))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)
