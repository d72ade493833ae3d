"""A game's parts are checked; a state begins as its players and `given` say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import bilinear_game, mean_game, scalar_player

from gen_jax.errors import UserError
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"turns": ()}, r'turns is \(\): write at least one, as \(\("model",\),\)'),
        ({"turns": ("model",)}, r"a turn is 'model': give a tuple of different names"),
        ({"turns": "model"}, "turns is 'model': write at least one"),
        (
            {"turns": (Turn("model"),)},
            "a turn is 'model': give a tuple of different names",
        ),
        ({"turns": 3}, "turns is 3: write at least one"),
        ({"turns": (3,)}, "a turn is 3: give a tuple of"),
        ({"turns": (("model",) * 2,)}, "a tuple of different names"),
        ({"turns": (Turn(("model",), -1),)}, r"the part of turn .* is -1: give 0, 1"),
        ({"turns": (Turn(("model",), 1.5),)}, r"the part of turn .* is 1\.5: give 0"),
        ({"turns": ((),)}, r"a turn is \(\): give a tuple of different names"),
        ({"ema": 100.0}, r"ema_halflife_images of 'model' is 100.0: .* \(100.0,\)"),
        ({"ops": {"sample": None}}, r"ops is of type dict: write Ops\(sample=...\)"),
    ],
)
def test_a_part_of_another_type_is_refused_in_one_line(options, message):
    options = {"turns": (("model",),), "ema": (), **options}
    player = normal_player(ema_halflife_images=options.pop("ema"))
    with pytest.raises(UserError, match=message) as error:
        Game({"model": player}, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("result", [{"w": jnp.zeros(3)}, ({"w": jnp.zeros(3)}, {})])
def test_an_init_that_returns_no_weights_is_refused(result):
    game = Game(
        {"model": normal_player()._replace(init=lambda *_: result)}, (("model",),)
    )
    with pytest.raises(UserError, match=r"init of 'model' returned .* Weights\(params"):
        init_state(game, jax.random.key(0), BATCH)


def test_init_depends_on_seed_and_player():
    players = {"model": normal_player(), "other": normal_player()}
    game = Game(players, (("model", "other"),))
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
        ({"modle": {}}, "given names 'modle': the players are model"),
        ({"model": {"w": jnp.zeros(3)}}, "'model' has mutable state too: give W"),
        (
            {"model": Weights({"w": jnp.zeros((3, 4))}, {"mean": jnp.ones(3)})},
            r"fit: model.params.w: shape \(3, 4\), the network has \(3,\)$",
        ),
        (
            {"model": Weights({"v": jnp.zeros(3)}, {"mean": jnp.ones(3)})},
            "fit: model.params.w: missing$",
        ),
        (
            {"model": Weights({"w": jnp.zeros(3)}, {"mean": jnp.ones(3, int)})},
            "fit: model.mutable.mean: dtype int32, the network has float32$",
        ),
    ],
)
def test_given_weights_must_fit(given, message):
    game = Game({"model": normal_player()}, (("model",),))
    with pytest.raises(ValueError, match=message):
        init_state(game, jax.random.key(0), BATCH, given)


def test_a_players_state_may_be_given_to_another_game():
    game = Game({"model": normal_player()}, (("model",),))
    trained = init_state(game, jax.random.key(5), BATCH).players["model"]
    mine = init_state(game, jax.random.key(0), BATCH, {"model": trained})
    np.testing.assert_array_equal(
        mine.players["model"].params["w"], trained.params["w"]
    )
    assert int(mine.players["model"].updates) == 0


def test_averaged_uses_the_average_if_there_is_one():
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


def test_turns_may_be_any_iterable():
    turns = (turn for turn in [("model",)])
    game = Game({"model": scalar_player(mean_loss)}, turns)
    assert game.turns == (Turn(("model",)),)


def mean_loss(players, batch, context):
    return players["model"].params["w"] * batch["x"].mean(), ({}, {})
