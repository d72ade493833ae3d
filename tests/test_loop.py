"""fit: the same run in one go or in pieces, and the files in its folder."""

import itertools
import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from games import mean_game, noisy_game, scalar_player
from records import logged

from gen_jax import FitConfig, devices, fit, load
from gen_jax.errors import UserError
from gen_jax.game import Game, Player, Weights, init_state
from gen_jax.optimizers import adam
from gen_jax.runs import seeds as several


def batches(start):
    """Batches of 8 numbers that depend on the step alone."""
    for step in itertools.count(start):
        yield {"x": np.random.default_rng(step).normal(size=8).astype(np.float32)}


def numpy(state):
    return jax.tree.map(np.array, jax.device_get(state))


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, numpy(one), numpy(other))


def config(steps, **options):
    return FitConfig(**{"log_every_steps": 2, "steps": steps, **options})


def test_ten_steps_are_five_and_five_more_bit_for_bit(tmp_path):
    straight = fit(noisy_game(), batches, config(10), workdir=tmp_path / "one")
    fit(noisy_game(), batches, config(5), workdir=tmp_path / "two")
    resumed = fit(noisy_game(), batches, config(10), workdir=tmp_path / "two")
    same(resumed, straight)
    assert logged(tmp_path / "two") == logged(tmp_path / "one")
    assert [line["step"] for line in logged(tmp_path / "one")] == [1, 2, 4, 6, 8, 10]
    assert logged(tmp_path / "one")[-1]["images"] == 80


def test_nothing_depends_on_how_steps_are_called(tmp_path):
    one = fit(noisy_game(), batches, config(10), workdir=tmp_path / "one")
    two = fit(
        noisy_game(), batches, config(10, steps_per_call=4), workdir=tmp_path / "two"
    )
    for a, b in zip(
        jax.tree.leaves(numpy(one)), jax.tree.leaves(numpy(two)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    steps = [
        [line["step"] for line in logged(tmp_path / name)] for name in ("one", "two")
    ]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("backend", ["jit", "pmap"])
def test_a_run_resumes_with_another_backend_and_other_devices(tmp_path, backend):
    one = devices.data_mesh(jax.devices()[:1])
    straight = fit(noisy_game(), batches, config(6), mesh=one)
    fit(noisy_game(), batches, config(3), workdir=tmp_path, mesh=one)
    resumed = fit(noisy_game(), batches, config(6), workdir=tmp_path, backend=backend)
    for a, b in zip(
        jax.tree.leaves(numpy(resumed)), jax.tree.leaves(numpy(straight)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_files_of_a_finished_run(tmp_path, capsys):
    state = fit(
        noisy_game(), batches, config(6, sample_every_steps=4), workdir=tmp_path / "run"
    )
    folder = tmp_path / "run"
    assert sorted(path.name for path in (folder / "samples").iterdir()) == [
        "4.png",
        "6.png",
    ]
    assert (folder / "checkpoints" / "6").is_dir()
    assert json.loads((folder / "config.json").read_text())["format"] == 2
    assert list(folder.glob("events*"))
    same(load(folder, noisy_game()).state, state)
    err = capsys.readouterr().err
    assert "samples: " in err
    assert "6.png" in err


def test_a_finished_run_says_that_nothing_is_left_to_do(tmp_path, capsys):
    first = fit(noisy_game(), batches, config(3), workdir=tmp_path)
    again = fit(noisy_game(), batches, config(2), workdir=tmp_path)
    same(first, again)
    assert "already at step 3 of 2" in capsys.readouterr().err


def test_no_workdir_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = fit(mean_game(), batches, config(4))
    assert int(state.step) == 4
    assert not list(tmp_path.iterdir())


def test_a_start_is_taken_over(tmp_path):
    start = fit(noisy_game(), batches, config(3))
    straight = fit(noisy_game(), batches, config(6))
    resumed = fit(noisy_game(), batches, config(6), workdir=tmp_path, start=start)
    same(resumed, straight)


def test_prepare_sees_the_raw_batch():
    def bytes_(start):
        for step in itertools.count(start):
            yield {"x": np.full(8, step % 256, np.uint8)}

    def prepare(batch, keys):
        assert batch["x"].dtype == jnp.uint8
        assert keys.shape == batch["x"].shape
        return {"x": batch["x"].astype(jnp.float32)}

    one = devices.data_mesh(jax.devices()[:1])
    state = fit(mean_game(), bytes_, config(2), prepare=prepare, mesh=one)
    expected = (1.0 - 0.1 * 1.0) - 0.1 * (0.9 - 1.0)
    np.testing.assert_allclose(state.players["model"].params["w"], expected, rtol=1e-6)


def test_a_run_that_diverges_stops_with_its_last_good_checkpoint(tmp_path):
    def loss(players, batch, context):
        return -jnp.exp(players["model"].params["w"] ** 2), ({}, {})

    game = Game({"model": scalar_player(loss, learning_rate=1.0)}, (("model",),))
    with pytest.raises(UserError, match="no longer finite at step"):
        fit(game, batches, config(50, checkpoint_every_seconds=0.0), workdir=tmp_path)
    run = load(tmp_path, game)
    assert np.isfinite(run.state.players["model"].params["w"])


def test_a_loss_that_diverges_is_noticed_when_it_is_logged(tmp_path):
    def loss(players, batch, context):
        w = players["model"].params["w"]
        return w**2, ({}, {"by_zero": 1 / jnp.zeros_like(w)})

    game = Game({"model": scalar_player(loss, learning_rate=1e3)}, (("model",),))
    fit(game, batches, config(2), workdir=tmp_path)  # only a loss has to be finite
    with pytest.raises(UserError, match=r"loss of model is .*; the last .* step 2$"):
        fit(game, batches, config(10**6), workdir=tmp_path)
    assert load(tmp_path, game).step == 2
    with pytest.raises(UserError, match="loss of model is no longer finite at step"):
        fit(game, batches, config(10**6))


@pytest.mark.parametrize(
    ("rate", "start", "told"),
    # A step multiplies w by 1 + 2 rate: after eight of them -w^2 is -11^16, or less.
    [(5.0, 1.0, True), (0.01, 1.0, False), (5.0, 1e-9, False)],
)
def test_a_loss_that_ran_away_is_told_at_the_end(rate, start, told, capsys):
    def loss(players, batch, context):
        return -jnp.square(players["model"].params["w"]), ({}, {})

    player = scalar_player(loss, learning_rate=rate, start=start)
    fit(Game({"model": player}, (("model",),)), batches, config(9))
    line = "model/loss went from -1 to -4.595e+16: the training ran away; lower"
    found = [x for x in capsys.readouterr().err.splitlines() if "went from" in x]
    assert [x[: len(line)] for x in found] == [line] * told


def test_a_signal_after_the_last_step_does_not_interrupt(tmp_path):
    def signalling(number, at):
        def from_(start):
            for step, batch in enumerate(batches(start), start):
                if step == at:
                    signal.raise_signal(number)
                yield batch

        return from_

    last = signalling(signal.SIGTERM, 4)
    assert int(fit(noisy_game(), last, config(5), workdir=tmp_path).step) == 5
    with pytest.raises(KeyboardInterrupt):
        fit(noisy_game(), signalling(signal.SIGINT, 6), config(9), workdir=tmp_path)
    assert load(tmp_path, noisy_game()).step == 7


def test_a_call_takes_no_more_steps_than_are_left(tmp_path):
    many = config(2, steps_per_call=10**9)
    same(fit(noisy_game(), batches, many), fit(noisy_game(), batches, config(2)))
    with pytest.raises(UserError, match=r"batches a call take .* GiB; there is"):
        fit(noisy_game(), batches, config(2**31 - 1, steps_per_call=2**31 - 1))


def test_a_run_too_large_for_memory_is_refused_before_allocation(tmp_path):
    def wide(shape, loss):
        player = Player(lambda *_: Weights({"w": jnp.zeros(shape)}), loss, adam(0.1))
        return Game({"model": player}, (("model",),))

    def of_outer_products(players, batch, context):
        w = players["model"].params["w"]  # 2^40 numbers on the way to one
        outer = jnp.sin(w[:, None] * w[None] + batch["x"][0])
        return (outer @ outer).mean(), ({}, {})

    def mean(players, batch, context):
        return players["model"].params["w"].mean(), ({}, {})

    for game, says in (
        (wide((2**20, 2**20), mean), "the state takes 12,288.0 GiB, a batch 0.0 GiB"),
        (wide((2**20,), of_outer_products), "the values kept for its gradients"),
    ):
        with pytest.raises(UserError, match=says):
            fit(game, batches, config(2), workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_batch_that_does_not_divide_writes_nothing(tmp_path):
    def seven(start):
        return ({"x": np.zeros(7, np.float32)} for _ in itertools.count(start))

    with pytest.raises(UserError, match="a batch of 7 is not divisible by 4"):
        fit(mean_game(), seven, config(2), workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("per_call", [1, 2])
def test_batches_that_end_are_saved_and_named(tmp_path, per_call):
    few = lambda start: itertools.islice(batches(start), 5 - start)  # noqa: E731
    options = config(10, steps_per_call=per_call)
    with pytest.raises(UserError, match="batches ended at step 5 of 10: yield them"):
        fit(noisy_game(), few, options, workdir=tmp_path)
    assert load(tmp_path, noisy_game()).step == 5 - 5 % per_call
    resumed = fit(noisy_game(), batches, options, workdir=tmp_path)
    same(resumed, fit(noisy_game(), batches, options))


def test_an_error_of_the_reader_saves_first(tmp_path):
    def broken(start):
        for step, batch in enumerate(batches(start), start):
            if step == 4:
                raise OSError("the disk went away")
            yield batch

    with pytest.raises(OSError, match="the disk went away"):
        fit(noisy_game(), broken, config(10), workdir=tmp_path)
    assert load(tmp_path, noisy_game()).step == 4
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 4]


def test_an_error_of_the_reader_does_not_save_a_state_that_is_not_finite(tmp_path):
    def loss(players, batch, context):
        return players["model"].params["w"] ** 2, ({}, {})

    def broken(start):
        yield from itertools.islice(batches(start), 40)
        raise OSError("the disk went away")

    game = Game({"model": scalar_player(loss, learning_rate=1e9)}, (("model",),))
    with pytest.raises(OSError, match="the disk went away"):
        fit(game, broken, config(50, log_every_steps=1000), workdir=tmp_path)
    with pytest.raises(UserError, match="holds no checkpoint"):
        load(tmp_path, game)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (
            iter([{"x": np.zeros(8)}]),
            "batches is a value of type list_iterator: give a",
        ),
        (lambda step: None, r"\(0\) is a value of type NoneType: it must yield"),
        (lambda step: [], r"batches\(0\) yields no batch: it must yield arrays"),
        (lambda step: [{}], r"batches\(0\) yields {} first: it must yield arrays"),
        (lambda step: [[1, 2]], r"batch.0 is a value of type int: a batch is a tree"),
        (
            lambda step: [{"x": np.float32(1)}],
            r"batch.x is an array float32 \[\]: a batch is a tree of arrays \[B",
        ),
        (
            lambda step: [{"x": np.zeros(8), "y": np.zeros(4)}],
            "arrays of a batch hold 4 and 8 examples: they need the same first axis",
        ),
        (
            lambda step: [{"x": np.zeros((8, 2, 2, 1), np.uint8)}],
            r"batch.x is uint8 \[8, 2, 2, 1\]: convert .* prepare=data.prepare\(\)",
        ),
    ],
)
def test_batches_of_another_form_are_refused_in_one_line(tmp_path, batches, message):
    with pytest.raises(UserError, match=message) as error:
        fit(mean_game(), batches, config(2), workdir=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("later", "message"),
    [
        ({"x": np.zeros(7, np.float32)}, r"step 2 differs: batch.x: shape \(7,\)"),
        ({"z": np.zeros(8, np.float32)}, "step 2 differs: batch.x: missing"),
    ],
)
def test_a_later_batch_of_another_form_is_refused(tmp_path, later, message):
    def changing(start):
        stream = itertools.islice(batches(0), 2)
        return itertools.islice(itertools.chain(stream, [later] * 9), start, None)

    with pytest.raises(UserError, match=message):
        fit(noisy_game(), changing, config(4), workdir=tmp_path)
    assert load(tmp_path, noisy_game()).step == 2  # nothing is lost


def test_a_start_of_another_game_is_refused():
    other = Game({"other": mean_game().players["model"]}, (("other",),))
    start = init_state(other, jax.random.key(0), next(batches(0)))
    with pytest.raises(UserError, match="start is not a state of this game"):
        fit(noisy_game(), batches, config(4), start=start)
    with pytest.raises(UserError, match="give a State of this game"):
        fit(noisy_game(), batches, config(4), start="x")


def test_a_runs_description_cannot_change_its_format(tmp_path):
    fit(noisy_game(), batches, config(2), workdir=tmp_path, meta={"format": 9})
    assert load(tmp_path, noisy_game()).step == 2


def test_a_config_of_another_type_is_refused():
    with pytest.raises(UserError, match=r"config is {'steps': 2}: write FitConfig\("):
        fit(mean_game(), batches, {"steps": 2})


def test_given_weights_begin_a_new_run_and_no_other(tmp_path):
    given = {
        "model": Weights({"w": jnp.full((4, 4, 1), 5.0)}, {"last": jnp.float32(1)})
    }
    begun = init_state(noisy_game(), jax.random.key(0), next(batches(0)), given)
    straight = fit(noisy_game(), batches, config(4), start=begun)
    fit(noisy_game(), batches, config(2), workdir=tmp_path, given=given)
    resumed = fit(noisy_game(), batches, config(4), workdir=tmp_path, given=given)
    same(resumed, straight)
    assert abs(float(resumed.players["model"].params["w"].mean()) - 5) < 1
    with pytest.raises(UserError, match="start has every player's weights"):
        fit(noisy_game(), batches, config(4), start=begun, given=given)


def test_given_weights_begin_every_seed():
    given = {
        "model": Weights({"w": jnp.full((4, 4, 1), 5.0)}, {"last": jnp.float32(1)})
    }
    both = several.batches([batches, batches])
    state = fit(noisy_game(), both, config(2), given=given, seeds=(0, 1))
    one = fit(noisy_game(), batches, config(2), given=given)
    np.testing.assert_allclose(
        state.players["model"].params["w"][0], one.players["model"].params["w"], 1e-5
    )
    assert np.all(np.abs(state.players["model"].params["w"] - 5) < 1)


def test_a_folder_takes_one_run_at_a_time(tmp_path):
    def intruding(start):
        for step, batch in enumerate(batches(start), start):
            if step == 3:
                before = (tmp_path / "config.json").stat()
                with pytest.raises(UserError, match="another process is training in"):
                    fit(mean_game(), batches, config(9), workdir=tmp_path)
                assert (tmp_path / "config.json").stat() == before
            yield batch

    fit(noisy_game(), intruding, config(5), workdir=tmp_path)
    fit(noisy_game(), batches, config(6), workdir=tmp_path)


@pytest.mark.parametrize("name", ["run[1]", "run*", "what?", "a\\b"])
def test_a_folder_that_is_a_pattern_is_refused_before_anything_is_written(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for folder in (name, f"{name}/below", tmp_path / name):
        with pytest.raises(UserError, match="could not be read again: choose"):
            fit(mean_game(), batches, FitConfig(steps=1), workdir=folder)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_any_other_name_is_read_again(tmp_path):
    folder = tmp_path / "a run] {of} 'mine', ~50% $x #1 é"
    state = fit(mean_game(), batches, FitConfig(steps=2), workdir=folder)
    same(load(folder, mean_game()).state, state)
