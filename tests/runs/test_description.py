"""A sealed meta of other types, which another program may write, gets one line."""

import json

import pytest
from games import noisy_game
from make_checkpoints import unpacked
from saved_runs import BATCH, adam_game

from gen_jax import FitConfig, fit, load, load_params
from gen_jax.errors import UserError
from gen_jax.runs import checkpoint
from gen_jax.runs.manifest import write_manifest

SHAPES = {"x": {"shape": [8], "dtype": "float32"}}
OF_EXPERIMENT = {
    "experiment": "vae",
    "config": {},
    "info": {"shape": [8, 8, 1], "num_classes": 10},
    "data": {"train": 5, "test": 1, "digest": "d"},
}


def sealed(directory, **entries):
    """Give a checkpoint other entries, and a manifest that knows them."""
    path = directory / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    (directory / "manifest.json").unlink()
    write_manifest(directory)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"frozen": []}, "frozen is not an object"),
        ({"frozen": None}, "frozen is not an object"),
        ({"frozen": {"teacher": 3}}, "frozen.teacher is not a text"),
        ({"frozen": {"teacher": "../../etc"}}, "'../../etc', which is not a SHA-256"),
        ({"frozen": {"teacher": "A" * 64}}, "which is not a SHA-256"),
        ({"experiment": ["vae"]}, "experiment is not a text"),
        ({**OF_EXPERIMENT, "config": "x"}, "config is not an object"),
        ({**OF_EXPERIMENT, "info": "x"}, "info is not an object"),
        ({**OF_EXPERIMENT, "info": {"shape": [8]}}, "info lacks num_classes"),
        (
            {**OF_EXPERIMENT, "info": {"shape": [8, "8"], "num_classes": 2}},
            "info.shape.1 is not a whole number",
        ),
        (
            {**OF_EXPERIMENT, "info": {"shape": [8, -8], "num_classes": 2}},
            "info.shape.1 is -8; it has to be finite and at least 1",
        ),
        ({**OF_EXPERIMENT, "data": ["digits"]}, "data is not an object"),
        ({**OF_EXPERIMENT, "data": {"digest": "d"}}, "data lacks train"),
        ({**OF_EXPERIMENT, "began_from": 4}, "began_from is not a text"),
    ],
)
def test_an_entry_of_another_type_is_named(entries, says, copy):
    sealed(copy / "checkpoints" / "2", **entries)
    for read in (load_params, lambda path: load(path, adam_game())):
        with pytest.raises(UserError, match="was not written by gen_jax: in meta") as e:
            read(copy)
        assert says in str(e.value)
    assert (copy / "checkpoints" / "2").is_dir()


@pytest.mark.parametrize(
    "batch",
    [
        *(None, [], "x", 5, {}, {"z": SHAPES["x"]}, [1, "a"]),
        {"x": {"shape": [-1], "dtype": "float32"}},
        {"x": {"shape": ["8"], "dtype": "float32"}},
        {"x": {"shape": [8], "dtype": "float33"}},
        {"x": {"shape": 8, "dtype": "float32"}},
    ],
)
def test_a_batch_of_another_form_is_named(batch, copy):
    game = adam_game()
    player = game.players["model"]

    def init(rng, batch):
        assert batch["x"].shape == (8,)
        return player.init(rng, batch)

    game.players["model"] = player._replace(init=init)
    assert load(copy, game).step == 2
    sealed(copy / "checkpoints" / "2", batch=batch)
    with pytest.raises(UserError) as error:
        load(copy, game)
    assert "\n" not in str(error.value)


def test_an_experiment_is_rebuilt_from_the_entries_that_are_known(tmp_path):
    folder = unpacked("vae", tmp_path)
    [directory] = checkpoint.step_directories(folder)
    info = checkpoint.read_meta(directory)["info"]
    sealed(directory, info={**info, "of_a_later_version": 3})
    assert load(folder).info.shape == tuple(info["shape"])
    sealed(directory, info={**info, "shape": []})
    with pytest.raises(UserError, match=r"no game can be built for .*IndexError"):
        load(folder)


def test_a_description_of_ones_own_may_use_any_names(tmp_path):
    own = {"info": "of mine", "data": ["a", "b"], "config": 3, "began_from": {}}
    options = {"workdir": tmp_path, "meta": own}
    fit(noisy_game(), lambda step: [BATCH] * 9, FitConfig(steps=1), **options)
    run = load(tmp_path, noisy_game())
    assert (run.step, run.info) == (1, None)
