"""Several seeds at once: each run is what it would be alone, and lies apart."""

import itertools
import shutil
import signal
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import mean_game, noisy_game
from records import logged

from gen_jax import FitConfig, fit, load
from gen_jax.errors import UserError
from gen_jax.game import Game, Player, Weights
from gen_jax.optimizers import adam
from gen_jax.runs import checkpoint, seeds

SEEDS = (3, 4, 7)
CONFIG = FitConfig(steps=6, log_every_steps=2, keep_every_steps=2)


def batches_of(seed):
    """One run's batches of 8 numbers, its own at every step."""

    def from_(start):
        for step in itertools.count(start):
            rng = np.random.default_rng((seed, step))
            yield {"x": rng.normal(size=8).astype(np.float32)}

    return from_


GAME = noisy_game()
MUTE = Game(GAME.players, GAME.turns)  # draws nothing: quicker to compile
BATCHES = seeds.batches([batches_of(seed) for seed in SEEDS])


def alone(seed, steps=6, game=MUTE, **options):
    config = replace(CONFIG, steps=steps, seed=seed)
    return fit(game, batches_of(seed), config, **options)


def together(workdir, steps=6, batches=BATCHES, game=MUTE, **fields):
    config = replace(CONFIG, steps=steps, **fields)
    return fit(game, batches, config, workdir=workdir, seeds=SEEDS)


def close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_each_seed_is_the_run_that_it_would_be_alone(tmp_path, capsys):
    state = together(tmp_path / "all", game=GAME, steps_per_call=3)
    assert state.step.shape == (3,)
    assert "samples: " in capsys.readouterr().err
    for place, seed in ((1, 4), (2, 7)):
        workdir, folder = tmp_path / str(seed), tmp_path / "all" / f"seed_{seed}"
        expected = alone(seed, game=GAME, workdir=workdir)
        close(jax.tree.map(lambda x, place=place: x[place], state), expected)
        close(load(folder, MUTE).state, expected)
        for mine, other in zip(logged(folder), logged(workdir), strict=True):
            assert mine == pytest.approx(other, rel=1e-5)
        kept = {path.name for path in workdir.iterdir() if "event" not in path.name}
        assert kept <= {path.name for path in folder.iterdir()}
        assert (folder / "samples" / "6.png").exists()
    # What is drawn goes by the seed as well: no two runs show the same latents.
    pictures = {path.read_bytes() for path in tmp_path.glob("all/*/samples/6.png")}
    assert len(pictures) == 3


def test_a_seed_goes_on_alone_like_any_other_run(tmp_path):
    together(tmp_path)
    close(alone(4, 9, workdir=tmp_path / "seed_4"), alone(4, 9))


def test_killed_in_the_middle_of_writing_they_end_as_if_nothing_had_happened(tmp_path):
    straight = together(tmp_path / "straight", 8)
    broken = tmp_path / "broken"
    together(broken, 6)
    for seed in SEEDS[1:]:
        shutil.rmtree(broken / f"seed_{seed}" / "checkpoints" / "6")
    same(together(broken, 8), straight)
    assert (broken / "seed_3" / "ahead" / "6").is_dir()
    for seed in SEEDS:
        mine, other = (f / f"seed_{seed}" for f in (broken, tmp_path / "straight"))
        assert logged(mine) == logged(other)
        same(*(load(folder, MUTE).state for folder in (mine, other)))


def test_killed_before_all_had_their_first_checkpoint_they_begin_anew(tmp_path):
    straight = together(tmp_path, 2)
    shutil.rmtree(tmp_path / "seed_7" / "checkpoints" / "2")
    same(together(tmp_path, 2), straight)
    assert load(tmp_path / "seed_7", MUTE).step == 2


def test_damage_of_one_takes_all_to_the_step_before(tmp_path, capsys):
    together(tmp_path)
    for path in (tmp_path / "seed_4" / "checkpoints" / "6" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    together(tmp_path, 7)
    err = capsys.readouterr().err
    assert "seed_4/checkpoints/6 is damaged" in err
    assert "resuming from step 4" in err
    assert (tmp_path / "seed_4" / "damaged" / "6").is_dir()


def test_no_step_in_common_is_an_error_and_stays(tmp_path):
    together(tmp_path)
    shutil.rmtree(tmp_path / "seed_4" / "checkpoints")
    with pytest.raises(
        UserError, match=r"no step.*seed_3/checkpoints: 6, .*_4.*: none"
    ):
        together(tmp_path)
    assert checkpoint.steps(tmp_path / "seed_3" / "checkpoints") == [6, 4, 2]


def test_a_signal_saves_all(tmp_path):
    def signalling(start):
        for step, batch in enumerate(BATCHES(start), start):
            if step == 2:
                signal.raise_signal(signal.SIGTERM)
            yield batch

    with pytest.raises(SystemExit):
        together(tmp_path, 6, signalling)
    newest = [
        checkpoint.step_directories(f)[0].name for f in seeds.found(tmp_path).values()
    ]
    assert newest == ["3", "3", "3"]
    same(together(tmp_path, 6), together(None, 6))


def test_a_seed_that_diverges_is_named_and_stops_all(tmp_path):
    def diverging(start):
        for step, batch in enumerate(BATCHES(start), start):
            if step == 5:
                batch["x"][1] = np.inf
            yield batch

    with pytest.raises(UserError, match=r"of model of seed 4 .* at step 6: .* step 4$"):
        together(tmp_path, 8, diverging)
    with pytest.raises(
        UserError, match=r"the loss of model of seed 4 .* at step 6: .* step 4$"
    ):
        together(tmp_path, 6, diverging, log_every_steps=100)
    for seed in SEEDS:
        assert load(tmp_path / f"seed_{seed}", MUTE).step == 4


def test_a_folder_in_use_is_left_as_it_is(tmp_path):
    together(tmp_path)
    config = tmp_path / "seed_3" / "config.json"
    before = config.stat().st_mtime_ns

    def intruding(start):
        for step, batch in enumerate(batches_of(7)(start), start):
            if step == 7:
                with pytest.raises(UserError, match=r"training in .*seed_7"):
                    together(tmp_path, 9)
                assert config.stat().st_mtime_ns == before
            yield batch

    fit(
        MUTE,
        intruding,
        replace(CONFIG, steps=8, seed=7),
        workdir=tmp_path / "seed_7",
    )


def test_options_that_several_seeds_lack_are_refused():
    with pytest.raises(
        UserError, match="need the backend jit, not pmap: use --backend=jit"
    ):
        fit(mean_game(), BATCHES, CONFIG, seeds=SEEDS, backend="pmap")
    player = Player(
        lambda *_: Weights({"w": jnp.zeros((2**15, 2**15))}),
        lambda players, *_: (players["model"].params["w"].mean(), ({}, {})),
        adam(0.1),
    )
    many = range(1000)
    wide = Game({"model": player}, (("model",),))
    with pytest.raises(UserError, match=r"the state takes 12,000\.0 GiB"):
        fit(wide, seeds.batches([batches_of(s) for s in many]), CONFIG, seeds=many)


def test_folders_are_found_by_the_names_that_seeds_have(tmp_path):
    for name in ("seed_10", "seed_2", "seed_x", "seed_02", "seed_٣", "seed_-1"):
        (tmp_path / name).mkdir()
    (tmp_path / "seed_5").touch()
    assert list(seeds.found(tmp_path)) == [2, 10]
    with pytest.raises(UserError, match=r"name one, such as .*seed_"):
        load(tmp_path)
