"""Checkpoints: what comes back, what is kept, what damage does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import bilinear_game, mean_game
from jax.sharding import NamedSharding, PartitionSpec

from gen_jax.runs import checkpoint
from gen_jax import devices, load, load_params
from gen_jax.errors import UserError
from gen_jax.game import Weights, init_state
from gen_jax.optimizers import adam
from gen_jax.step import make_train_step

BATCH = {"x": jnp.linspace(-1.0, 2.0, 8, dtype=jnp.float32)}
META = {"batch": {"x": {"shape": [8], "dtype": "float32"}}}
RNG = jax.random.key(3)


def adam_game():
    game = mean_game(ema_halflife_images=(50.0, 100.0))
    player = game.players["model"]._replace(optimizer=adam(0.1, clip_norm=1.0))

    def init(rng, batch):
        w = jax.random.normal(rng, (2, 3))
        return Weights({"w": w, "b": jnp.zeros(3)}, {"n": {"mean": jnp.arange(3.0)}})

    def loss(players, batch, context):
        params = players["model"].params
        noise = jax.vmap(lambda key: jax.random.normal(key, (2, 3)))(context.keys)
        error = params["w"][None] + params["b"] - noise - batch["x"][:, None, None]
        mutable = {"n": {"mean": players["model"].mutable["n"]["mean"] + 1.0}}
        return jnp.mean(error**2), (mutable, {})

    game.players["model"] = player._replace(init=init, loss=loss)
    return game


@pytest.fixture(autouse=True)
def _ranks_may_differ():
    with jax.numpy_rank_promotion("allow"):
        yield


def train(game, state, steps, **options):
    step = make_train_step(game, **options)
    for _ in range(steps):
        state, _ = step(state, BATCH, RNG)
    return state


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def save(folder, game, steps=(3,), keep_every_steps=0):
    """Checkpoints of a run at `steps`, and the states that they should hold."""
    state, states = init_state(game, jax.random.key(0), BATCH), {}
    writer = checkpoint.Writer(folder / "checkpoints", keep_every_steps)
    for step in steps:
        state = train(game, state, step - int(state.step))
        states[step] = jax.tree.map(np.array, state)
        writer.save(step, state, META)
        state = train(game, state, 0)
    state = train(game, state, 10)  # donates the buffers that were saved last
    writer.close()
    return states


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
    same(load_params(tmp_path)["model"], Weights(mine.params, mine.mutable))
    for which in (0, 1):
        same(load_params(tmp_path, ema=which)["model"], mine.ema[which])
    assert isinstance(load_params(tmp_path)["model"].params["w"], np.ndarray)


@pytest.mark.parametrize("devices_then", [2, 4])
def test_restored_on_other_devices(tmp_path, devices_then):
    game = adam_game()
    states = save(tmp_path, game)
    mesh = devices.data_mesh(jax.devices()[:devices_then])
    like = checkpoint.state_like(game, BATCH, NamedSharding(mesh, PartitionSpec()))
    directory = tmp_path / "checkpoints" / "3"
    state = checkpoint.restore(directory, like)
    same(jax.tree.map(np.array, state), states[3])
    train(game, state, 1, mesh=mesh)


def damage(directory):
    """Truncates every data file of a step directory."""
    files = [path for path in (directory / "state").rglob("d/*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:10])


def test_a_truncated_checkpoint_gives_way_to_the_one_before(tmp_path, capsys):
    game = adam_game()
    states = save(tmp_path, game, steps=(1, 2, 3))
    damage(tmp_path / "checkpoints" / "3")
    run = load(tmp_path, game)
    same(jax.tree.map(np.array, run.state), states[2])
    err = capsys.readouterr().err
    assert "checkpoints/3 is damaged" in err
    assert "taking" in err
    assert err.count("\n") == 1


def test_one_flipped_bit_is_damage(tmp_path, capsys):
    game = adam_game()
    save(tmp_path, game, steps=(1, 2))
    path = max((tmp_path / "checkpoints" / "2" / "state" / "d").iterdir())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert load(tmp_path, game).step == 1
    assert f"state/d/{path.name} is not as it was written" in capsys.readouterr().err


JUNK = ["[]", "{}", "5", '{"format": "a"}', '{"batch": 3}', "{", "[" * 10**5]


@pytest.mark.parametrize("content", JUNK)
@pytest.mark.parametrize("sealed", [True, False])
def test_junk_for_a_meta_gives_way_to_the_checkpoint_before(content, sealed, tmp_path):
    game = adam_game()
    save(tmp_path, game, steps=(1, 2))
    newest = tmp_path / "checkpoints" / "2"
    (newest / "meta" / "metadata").write_text(content)
    if not sealed:  # as a run leaves it that is killed just before
        (newest / "manifest.json").unlink()
    assert load(tmp_path, game).step == 1
    assert checkpoint.newest_meta(checkpoint.step_directories(tmp_path)) == META
    with pytest.raises(UserError, match="is no readable checkpoint"):
        checkpoint.read_meta(newest)


def test_parameters_too_come_from_the_checkpoint_before(tmp_path, capsys):
    states = save(tmp_path, adam_game(), steps=(1, 2))
    damage(tmp_path / "checkpoints" / "2")
    mine = states[1].players["model"]
    same(load_params(tmp_path)["model"], Weights(mine.params, mine.mutable))
    assert "checkpoints/2 is damaged" in capsys.readouterr().err


def test_only_folders_with_a_step_for_a_name_are_checkpoints(tmp_path):
    game = adam_game()
    save(tmp_path, game)
    for name in ("²", "٣", "007", "-1", "x"):
        (tmp_path / "checkpoints" / name).mkdir()
    (tmp_path / "checkpoints" / "9").write_text("")
    assert checkpoint.steps(tmp_path / "checkpoints") == [3]
    assert load(tmp_path, game).step == 3
    writer = checkpoint.Writer(tmp_path / "checkpoints")
    writer.save(4, train(game, load(tmp_path, game).state, 1), META)
    writer.close()
    assert checkpoint.steps(tmp_path / "checkpoints") == [4, 3]


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    save(tmp_path, adam_game())
    left = tmp_path / "checkpoints" / "4.orbax-checkpoint-tmp"
    (left / "state").mkdir(parents=True)
    (left / "state" / "torn").write_text("torn")
    checkpoint.Writer(tmp_path / "checkpoints").close()
    assert not left.exists()
    assert checkpoint.steps(tmp_path / "checkpoints") == [3]


def test_repair_moves_damage_aside_so_that_its_step_can_be_written(tmp_path):
    game = adam_game()
    save(tmp_path, game, steps=(1, 2))
    damage(tmp_path / "checkpoints" / "2")
    like = checkpoint.state_like(
        game, BATCH, jax.sharding.SingleDeviceSharding(jax.devices()[0])
    )
    directories = checkpoint.step_directories(tmp_path)
    state, _ = checkpoint.restore_first(directories, like, repair=True)
    assert (tmp_path / "damaged" / "2").is_dir()
    writer = checkpoint.Writer(tmp_path / "checkpoints")
    writer.save(2, train(game, state, 1), META)
    writer.close()
    assert load(tmp_path, game).step == 2


def test_nothing_but_damage_is_an_error_and_stays(tmp_path):
    game = adam_game()
    save(tmp_path, game)
    damage(tmp_path / "checkpoints" / "3")
    with pytest.raises(UserError, match="checkpoints/3 cannot be read"):
        load(tmp_path, game)
    with pytest.raises(UserError, match="cannot be read"):
        load_params(tmp_path)
    assert checkpoint.steps(tmp_path / "checkpoints") == [3]


def test_a_state_that_is_not_finite_is_never_written(tmp_path):
    game = adam_game()
    state = init_state(game, jax.random.key(0), BATCH)
    writer = checkpoint.Writer(tmp_path)
    writer.save(1, state, META)
    mine = state.players["model"]
    params = {**mine.params, "b": jnp.array([0.0, jnp.nan, 0.0])}
    broken = state._replace(players={"model": mine._replace(params=params)})
    with pytest.raises(UserError, match=r"no longer finite at step 2; the last.* 1$"):
        writer.save(2, broken, META)
    writer.close()
    assert checkpoint.steps(tmp_path) == [1]


def test_no_checkpoint_another_game_a_newer_format(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_params(tmp_path)
    save(tmp_path, adam_game())
    with pytest.raises(UserError, match="a game of its own"):
        load(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path, bilinear_game((("a",),)))
    meta = tmp_path / "checkpoints" / "3" / "meta" / "metadata"
    meta.write_text('{"format": 99}')
    with pytest.raises(UserError, match="has format 99; this version reads 1"):
        load(tmp_path, adam_game())
