"""Checkpoints: their content, how many are kept, and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import bilinear_game, mean_game
from jax.sharding import NamedSharding, PartitionSpec
from saved_runs import BATCH, META, adam_game, same, save, train

from gen_jax import devices, load, load_params
from gen_jax.errors import UserError
from gen_jax.game import Weights, init_state
from gen_jax.runs import checkpoint
from gen_jax.runs.writer import Writer, check_room


def test_ten_donated_steps_later_the_state_is_that_of_the_save(tmp_path):
    game = adam_game()
    states = save(tmp_path, game)
    run = load(tmp_path, game)
    assert run.step == 3
    assert run.game is game
    same(jax.tree.map(np.array, run.state), states[3])


def test_the_last_three_and_every_nth_are_kept(tmp_path):
    save(tmp_path, adam_game(), steps=range(1, 9), keep_every_steps=2)
    assert checkpoint.steps(tmp_path / "checkpoints") == [8, 7, 6, 4, 2]


@pytest.mark.parametrize(("leaves", "numbers"), [(1, 1), (300, 9), (2, 300_000)])
def test_room_is_needed_for_all_that_is_written(leaves, numbers, tmp_path, monkeypatch):
    state = init_state(adam_game(), jax.random.key(0), BATCH)
    bits = jax.random.bits(jax.random.key(1), (leaves, numbers))  # nothing to compress
    mutable = {str(i): x for i, x in enumerate(np.asarray(bits))}
    player = state.players["model"]._replace(mutable=mutable)
    state = state._replace(players={"model": player})
    writer = Writer(tmp_path / "checkpoints")
    writer.save(0, state, META)
    writer.close()
    taken = sum(512 * path.stat().st_blocks for path in tmp_path.rglob("*"))

    def free(number):
        monkeypatch.setattr("shutil.disk_usage", lambda _: (2**40, 0, number))

    free(taken - 1)
    with pytest.raises(OSError, match="no room for a checkpoint of"):
        check_room(tmp_path, state)
    free(2.5 * taken + 2**18)  # and not for much more
    check_room(tmp_path, state)


def test_any_of_three_paths_loads(tmp_path):
    game = adam_game()
    states = save(tmp_path, game, steps=(1, 2))
    folder = tmp_path / "checkpoints"
    for path, step in ((tmp_path, 2), (folder, 2), (folder / "1", 1)):
        assert load(path, game).step == step
    same(jax.tree.map(np.array, load(folder / "1", game).state), states[1])


def test_parameters_come_without_a_game(tmp_path):
    states = save(tmp_path, adam_game())
    mine = states[3].players["model"]
    same(load_params(tmp_path, ema=None)["model"], Weights(mine.params, mine.mutable))
    for ema in (0, 1):
        same(load_params(tmp_path, ema=ema)["model"], mine.ema[ema])
    same(load_params(tmp_path)["model"], mine.ema[0])
    assert isinstance(load_params(tmp_path)["model"].params["w"], np.ndarray)
    for ema in (2, -1):
        with pytest.raises(UserError, match="has 2 averages; choose ema=0 to 1, or"):
            load_params(tmp_path, ema=ema)


def test_a_player_without_an_average_gives_its_weights(tmp_path):
    game = mean_game()
    states = save(tmp_path, game)
    same(load_params(tmp_path)["model"].params, states[3].players["model"].params)


def test_a_run_knows_its_folder_and_its_experiment(tmp_path):
    game = adam_game()
    save(tmp_path, game, steps=(1, 2))
    for path in (tmp_path, tmp_path / "checkpoints" / "1"):
        run = load(path, game)
        assert run.folder == tmp_path
        assert (run.name, run.info, run.config) == (None, None, None)


@pytest.mark.parametrize("devices_then", [2, 4])
def test_restored_on_other_devices(tmp_path, devices_then):
    game = adam_game()
    states = save(tmp_path, game)
    mesh = devices.data_mesh(jax.devices()[:devices_then])
    like = checkpoint.state_like(game, BATCH, NamedSharding(mesh, PartitionSpec()))
    directory = tmp_path / "checkpoints" / "3"
    state = checkpoint.restore(checkpoint.newest([directory]), like)
    same(jax.tree.map(np.array, state), states[3])
    train(game, state, 1, mesh=mesh)


def test_only_folders_with_a_step_for_a_name_are_checkpoints(tmp_path):
    game = adam_game()
    save(tmp_path, game)
    for name in ("²", "٣", "007", "-1", "x"):
        (tmp_path / "checkpoints" / name).mkdir()
    (tmp_path / "checkpoints" / "9").write_text("")
    assert checkpoint.steps(tmp_path / "checkpoints") == [3]
    assert load(tmp_path, game).step == 3
    writer = Writer(tmp_path / "checkpoints")
    writer.save(4, train(game, load(tmp_path, game).state, 1), META)
    writer.close()
    assert checkpoint.steps(tmp_path / "checkpoints") == [4, 3]


def test_a_state_that_is_not_finite_is_never_written(tmp_path):
    game = adam_game()
    state = init_state(game, jax.random.key(0), BATCH)
    writer = Writer(tmp_path)
    writer.save(1, state, META)
    mine = state.players["model"]
    params = {**mine.params, "b": jnp.array([0.0, jnp.nan, 0.0])}
    broken = state._replace(players={"model": mine._replace(params=params)})
    with pytest.raises(UserError, match=r"no longer finite at step 2; the last.* 1$"):
        writer.save(2, broken, META)
    writer.close()
    assert checkpoint.steps(tmp_path) == [1]


def test_a_file_that_orbax_cannot_read_is_not_called_damaged(copy, monkeypatch):
    def refused(*_, **__):
        raise KeyError("another version")

    with monkeypatch.context() as patch:
        patch.setattr("orbax.checkpoint.StandardCheckpointer.restore", refused)
        with pytest.raises(UserError, match=r"is undamaged, but .*: 'another ver"):
            load(copy, adam_game())
    with monkeypatch.context() as patch:
        patch.setattr("orbax.checkpoint.PyTreeCheckpointer.restore", refused)
        with pytest.raises(UserError, match=r"is undamaged, but .*: 'another ver"):
            load_params(copy)
    assert checkpoint.steps(copy / "checkpoints") == [2, 1]


def test_a_missing_checkpoint_and_another_game_are_errors(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_params(tmp_path)
    save(tmp_path, adam_game())
    with pytest.raises(UserError, match="with your own game"):
        load(tmp_path)
    with pytest.raises(UserError, match=r"game: players.a.\S*: missing; build"):
        load(tmp_path, bilinear_game((("a", "b"),)))


def with_weights(**weights):
    """adam_game with other weights of its one player."""
    game = adam_game()
    player = game.players["model"]

    def init(rng, batch):
        return player.init(rng, batch)._replace(**weights)

    game.players["model"] = player._replace(init=init)
    return game


W, B = jnp.zeros((2, 3)), jnp.zeros(3)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"mutable": {}}, "players.model.ema.0.mutable.n.mean: unknown, the game"),
        ({"mutable": {"m": B}}, "players.model.mutable.m: missing"),
        ({"params": {"w": W}}, "players.model.ema.0.params.b: unknown, the game"),
        (
            {"params": {"w": W.T, "b": B}},
            r"model.params.w: shape \(2, 3\), the game has \(3, 2\)",
        ),
        (
            {"params": {"w": W, "b": B.astype(jnp.bfloat16)}},
            "model.params.b: dtype float32, the game has bfloat16",
        ),
        ({"params": {"w": {"w": W}, "b": B}}, "model.params.w.w: missing"),
        ({"params": {"w": (), "b": B}}, "model.ema.0.params.w: unknown, the game"),
    ],
)
def test_another_structure_names_the_leaf(weights, says, copy):
    with pytest.raises(UserError, match=f"does not fit the game: .*{says}"):
        load(copy, with_weights(**weights))
    assert checkpoint.steps(copy / "checkpoints") == [2, 1]
