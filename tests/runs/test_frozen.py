"""Players that never change: kept once in a run's folder, however often it saves."""

import itertools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax import FitConfig, fit, init_state, load, load_params
from gen_jax.errors import UserError
from gen_jax.game import Game, Player, Weights
from gen_jax.optimizers import adam
from gen_jax.runs import checkpoint

BATCH = {"x": np.zeros(8, np.float32)}
TEACHER = Weights(
    {"w": np.linspace(0, 1, 100_000, dtype=np.float32)}, {"n": np.int32(7)}
)


def distillation():
    """A student that moves towards a frozen teacher."""

    def loss(players, batch, context):
        taught = jax.lax.stop_gradient(players["teacher"].params["w"])
        return jnp.mean((players["student"].params["w"] - taught.mean()) ** 2), ({}, {})

    def init(rng, batch):
        return Weights({"w": jax.random.normal(rng, (10,))})

    def blank(rng, batch):
        return Weights({"w": jnp.zeros(100_000)}, {"n": jnp.int32(0)})

    student = Player(init, loss, adam(0.01), (50.0,))
    players = {"teacher": Player(blank, None), "student": student}
    return Game(players, (("student",),))


def start():
    given = {"teacher": TEACHER}
    return init_state(distillation(), jax.random.key(0), BATCH, given)


def trained(workdir, steps=4, begin=True, **options):
    config = FitConfig(steps=steps, keep_every_steps=1)
    batches = itertools.repeat(BATCH)
    options |= {"start": start()} if begin else {}
    return fit(distillation(), lambda step: batches, config, workdir=workdir, **options)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def frozen_files(workdir):
    return [path for path in (workdir / "frozen").rglob("*") if path.is_file()]


def test_it_is_kept_once_and_comes_back(tmp_path):
    state = trained(tmp_path)
    same(load(tmp_path, distillation()).state, state)
    [folder] = (tmp_path / "frozen").iterdir()
    for step in (1, 2, 3, 4):
        meta = json.loads((tmp_path / f"checkpoints/{step}/meta.json").read_text())
        assert meta["frozen"] == {"teacher": folder.name}
        files = (tmp_path / f"checkpoints/{step}/state").rglob("*")
        assert sum(path.stat().st_size for path in files) < 100_000
    assert sum(path.stat().st_size for path in frozen_files(tmp_path)) < 500_000
    weights = load_params(tmp_path)
    same(weights["teacher"], TEACHER)
    same(weights["student"], state.players["student"].ema[0])
    assert isinstance(weights["teacher"].params["w"], np.ndarray)


def test_a_resumed_run_keeps_it_and_writes_it_no_more(tmp_path):
    straight = trained(tmp_path / "one", 6)
    trained(tmp_path / "two", 3)
    before = {path: path.stat().st_mtime_ns for path in frozen_files(tmp_path / "two")}
    same(trained(tmp_path / "two", 6, begin=False), straight)
    after = {path: path.stat().st_mtime_ns for path in frozen_files(tmp_path / "two")}
    assert before == after


def test_seeds_have_a_copy_each(tmp_path):
    def batches(step):
        return itertools.repeat({"x": np.zeros((2, 8), np.float32)})

    config = FitConfig(steps=2)
    states = fit(
        distillation(),
        batches,
        config,
        workdir=tmp_path,
        seeds=(1, 2),
        start=start(),
    )
    for place, seed in enumerate((1, 2)):
        mine = load(tmp_path / f"seed_{seed}", distillation()).state
        same(mine, jax.tree.map(lambda x, place=place: x[place], states))
        same(load_params(tmp_path / f"seed_{seed}")["teacher"], TEACHER)


def test_damage_is_noticed_and_nothing_is_moved(tmp_path):
    trained(tmp_path)
    for path in frozen_files(tmp_path):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"x")
        with pytest.raises(
            UserError,
            match=r"in frozen/[0-9a-f]{64}, .* (has changed since|or damaged)",
        ):
            load_params(tmp_path)
        path.write_bytes(content)
    shutil.rmtree(tmp_path / "frozen")
    for read in (load_params, lambda path: load(path, distillation())):
        with pytest.raises(UserError, match=r"in frozen/.*, manifest.json is missing"):
            read(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        trained(tmp_path, 9)
    assert checkpoint.steps(tmp_path / "checkpoints") == [4, 3, 2, 1]


def test_a_damaged_or_torn_copy_is_written_again_by_a_new_run(tmp_path):
    trained(tmp_path)
    [folder] = (tmp_path / "frozen").iterdir()
    shutil.rmtree(tmp_path / "checkpoints")
    (folder / "manifest.json").unlink()
    (folder.with_name(f".{folder.name}.tmp") / "state").mkdir(parents=True)
    state = trained(tmp_path)
    same(load(tmp_path, distillation()).state, state)
    assert [path.name for path in (tmp_path / "frozen").iterdir()] == [folder.name]


def test_another_structure_names_the_leaf(tmp_path):
    trained(tmp_path)
    game = distillation()
    players = {"student": game.players["student"]}
    with pytest.raises(UserError, match=r"fit .*: players.teacher: unknown, the"):
        load(tmp_path, Game(players, game.turns))
    simple = Player(lambda rng, batch: Weights({"w": jnp.zeros(100_000)}), None)
    with pytest.raises(UserError, match=r"players.teacher.mutable.n: unknown"):
        load(tmp_path, Game({**players, "teacher": simple}, game.turns))
