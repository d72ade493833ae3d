"""A run is known by its content: what is its own, too new, unreadable or damaged."""

import dataclasses
import itertools
import json
import os
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from games import mean_game, noisy_game
from saved_runs import adam_game, damage

from gen_jax import FitConfig, fit, load, load_params
from gen_jax.errors import UserError
from gen_jax.ops import Ops
from gen_jax.runs import checkpoint, identity
from gen_jax.runs.manifest import write_manifest

SHORT = {"sample_every_steps": 0}


def batches_of(size):
    def batches(start):
        for step in itertools.count(start):
            yield {"x": np.random.default_rng(step).normal(size=size).astype("f")}

    return batches


def trained(folder, steps=2, size=8, game=None, meta=None, **fields):
    config = FitConfig(steps=steps, **SHORT, **fields)
    return fit(
        game or noisy_game(), batches_of(size), config, workdir=folder, meta=meta
    )


def tree(folder):
    """Every file of a folder, with its content."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"seed": 1}, "seed=1 disagrees with the run .*, which has 0"),
        ({"size": 16}, r"batch.x.shape=\[16\] disagrees .*, which has \[8\]"),
        ({"meta": {"data": {"digest": "b"}}}, "data.digest=b disagrees .* has a"),
        ({"meta": {"experiment": "vae"}}, "experiment=vae disagrees .* has None"),
    ],
)
def test_another_run_does_not_go_on_in_the_folder(other, says, tmp_path):
    trained(tmp_path, meta={"data": {"digest": "a"}})
    before = tree(tmp_path)
    with pytest.raises(UserError, match=says):
        trained(tmp_path, steps=4, **{"meta": {"data": {"digest": "a"}}, **other})
    assert tree(tmp_path) == before


def test_fields_that_may_change_do(tmp_path):
    trained(tmp_path)
    trained(tmp_path, steps=4, log_every_steps=1, keep_every_steps=2)
    assert load(tmp_path, noisy_game()).step == 4


def foreign(tmp_path, **options):
    """A run at step 2, with the checkpoint of another at step 5 copied into it."""
    trained(tmp_path / "own")
    trained(tmp_path / "other", steps=5, **options)
    other, own = tmp_path / "other" / "checkpoints", tmp_path / "own" / "checkpoints"
    shutil.copytree(other / "5", own / "5")
    return tmp_path / "own"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": 3}, "it has seed=3, and config.json 0"),
        ({"size": 4}, r"it has batch.x.shape=\[4\], and config.json \[8\]"),
        ({"meta": {"experiment": "ae"}}, "it has experiment=ae, and config.json None"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(options, says, tmp_path):
    own = foreign(tmp_path, **options)
    before = tree(own)
    for read in (load_params, lambda path: load(path, noisy_game())):
        with pytest.raises(UserError, match=says):
            read(own)
    with pytest.raises(UserError, match=says):
        trained(own, steps=9)
    assert tree(own) == before
    assert load(own / "checkpoints" / "2", noisy_game()).step == 2


def test_a_foreign_checkpoint_that_is_damaged_gives_nothing_to_the_run(tmp_path):
    own = foreign(tmp_path, seed=3)
    damage(own / "checkpoints" / "5")
    directories = checkpoint.step_directories(own)
    assert checkpoint.newest_meta(directories)["fit"]["seed"] == 0
    trained(own, steps=4)
    assert (own / "damaged" / "5").is_dir()


@pytest.mark.parametrize("content", ["", "[]", "3", "{", '{"seed": 3}', None])
def test_a_config_of_another_program_is_ignored(content, tmp_path):
    trained(tmp_path)
    config = tmp_path / "config.json"
    config.unlink() if content is None else config.write_text(content)
    assert load(tmp_path, noisy_game()).step == 2


def changed(directory, sealed, **fields):
    """A meta as another version would have written it."""
    path = directory / "meta.json"
    meta = json.loads(path.read_text()) | fields
    path.write_text(json.dumps(meta))
    (directory / "manifest.json").unlink()
    if sealed == "here":
        write_manifest(directory)
    elif sealed == "elsewhere":  # in a way of its own
        content = {"files": {"meta.json": {"sha512": "0", "bytes": 3}}}
        (directory / "manifest.json").write_text(json.dumps(content))


@pytest.mark.parametrize("number", [3, 99, "2", "3.1", None, [3], -1])
@pytest.mark.parametrize("sealed", ["here", "elsewhere", "not"])
def test_too_new_is_not_damaged(number, sealed, copy):
    changed(copy / "checkpoints" / "2", sealed, format=number)
    before = tree(copy)
    for read in (load_params, lambda path: load(path, adam_game())):
        with pytest.raises(UserError, match="this version reads format 2; install"):
            read(copy)
    with pytest.raises(UserError, match="has format"):
        checkpoint.newest(checkpoint.step_directories(copy), repair=True)
    assert tree(copy) == before


def test_a_meta_of_another_form_has_a_line(copy):
    directory = copy / "checkpoints" / "2"
    for content in ("[]", "3", '{"format": 2}'):
        (directory / "meta.json").write_text(content)
        (directory / "manifest.json").unlink()
        write_manifest(directory)
        with pytest.raises(UserError, match="was not written by gen_jax: in meta"):
            load_params(copy)


REFUSALS = [
    PermissionError(13, "Permission denied"),
    OSError(5, "Input/output error"),
    OSError(116, "Stale file handle"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.strerror)
@pytest.mark.parametrize("name", ["meta.json", "manifest.json", "state"])
def test_unreadable_is_not_damaged(error, name, copy, monkeypatch):
    real = open
    target = copy / "checkpoints" / "2" / name

    def refusing(path, *arguments, **options):
        if not isinstance(path, int) and str(path).startswith(str(target)):
            raise type(error)(error.errno, error.strerror, str(path))
        return real(path, *arguments, **options)

    before = tree(copy)
    with monkeypatch.context() as patch:
        patch.setattr("io.open", refusing)  # as `Path.open` and `read_text` do
        with pytest.raises(UserError, match=f"cannot be read: {error.strerror}; check"):
            checkpoint.newest(checkpoint.step_directories(copy), repair=True)
    assert tree(copy) == before
    assert load(copy, adam_game()).step == 2


def test_a_pipe_in_place_of_a_file_is_damage(copy):
    directory = copy / "checkpoints" / "2"
    path = max((directory / "state" / "d").iterdir())
    path.unlink()
    os.mkfifo(path)  # reading it would never end
    assert load(copy, adam_game()).step == 1


@pytest.mark.parametrize(
    "value", [object(), {"a": {1, 2}}, jnp.zeros(2), {"x": b"bytes"}, {(1, 2): 3}]
)
def test_a_meta_that_json_cannot_keep_is_refused_first(value, tmp_path):
    with pytest.raises(UserError, match=r"meta\['mine'\] cannot be saved as JSON"):
        trained(tmp_path / "run", meta={"mine": value})
    assert not (tmp_path / "run").exists()


def test_a_number_of_an_average_is_a_number(tmp_path):
    trained(tmp_path)
    for ema in ("0", 0.0, True, [0]):
        with pytest.raises(UserError, match=r"ema is .*: give a number, or None"):
            load_params(tmp_path, ema)


def test_where_the_data_lie_is_not_who_the_run_is():
    def meta(**data):
        config = {"seed": 0, "steps": 5, "data": {"image_size": 8, **data}}
        return {"experiment": "vae", "config": config, "batch": {}}

    one, moved = meta(spec="folder:/a"), meta(spec="folder:/b")
    identity.check_same_run(one, moved, "W")
    with pytest.raises(UserError, match=r"data\.image_size=16 disagrees"):
        identity.check_same_run(one, meta(image_size=16), "W")


def test_a_failing_op_is_reported_before_the_training(tmp_path):
    def wrong_shape(players, keys):
        return jnp.zeros((len(keys), 2)) @ jnp.zeros((3, 2))

    def refusing(players, keys):
        raise UserError("not this way")

    for sample, says in (
        (wrong_shape, "^this game's op 'sample' fails: TypeError: "),
        (refusing, "^not this way"),
    ):
        options = {"ops": Ops(sample=sample)}
        with pytest.raises(UserError, match=says):
            trained(tmp_path / "run", game=dataclasses.replace(mean_game(), **options))
        assert not (tmp_path / "run").exists()
