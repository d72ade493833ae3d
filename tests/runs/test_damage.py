"""Damage, other formats and kills: what is passed over, refused, or kept."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from games import noisy_game
from saved_runs import BATCH, META, adam_game, damage, same, save, train

from gen_jax import FitConfig, fit, load, load_params
from gen_jax.errors import UserError
from gen_jax.runs import checkpoint
from gen_jax.runs.manifest import write_manifest
from gen_jax.runs.writer import Writer

SAVED = {"format": 2, **META, "frozen": {}}


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
    assert (
        f"state/d/{path.name} has changed since it was written"
        in capsys.readouterr().err
    )


def test_every_flipped_bit_of_every_file_is_damage(copy):
    directory = copy / "checkpoints" / "2"
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert {"meta.json", "manifest.json"} < {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1} if content else ():
            for bit in (1, 32, 128):
                flipped = bytearray(content)
                flipped[place] ^= bit
                path.write_bytes(bytes(flipped))
                with pytest.raises(UserError, match="checkpoints/2 cannot be read"):
                    checkpoint.newest([directory])
        path.write_bytes(content)
    assert checkpoint.newest([directory]).meta == SAVED


JUNK = ["[]", "{}", "5", '{"format": "a"}', '{"batch": 3}', "{", "[" * 10**5]


@pytest.mark.parametrize("content", JUNK)
@pytest.mark.parametrize("name", ["meta.json", "manifest.json"])
@pytest.mark.parametrize("there", [True, False])
def test_junk_for_a_meta_gives_way_to_the_checkpoint_before(content, name, there, copy):
    newest = copy / "checkpoints" / "2"
    (newest / name).write_text(content)
    if not there:
        (newest / name).unlink()
    assert load(copy, adam_game()).step == 1
    assert checkpoint.newest_meta(checkpoint.step_directories(copy)) == SAVED
    with pytest.raises(UserError, match="checkpoints/2 is damaged"):
        checkpoint.read_meta(newest)


def test_parameters_too_come_from_the_checkpoint_before(tmp_path, capsys):
    states = save(tmp_path, adam_game(), steps=(1, 2))
    damage(tmp_path / "checkpoints" / "2")
    mine = states[1].players["model"]
    same(load_params(tmp_path)["model"], mine.ema[0])
    assert "checkpoints/2 is damaged" in capsys.readouterr().err


def test_unfinished_files_of_a_killed_run_are_removed(tmp_path):
    save(tmp_path, adam_game())
    left = tmp_path / "checkpoints" / ".4.tmp"
    (left / "state").mkdir(parents=True)
    (left / "state" / "torn").write_text("torn")
    Writer(tmp_path / "checkpoints").close()
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
    state = checkpoint.restore(checkpoint.newest(directories, repair=True), like)
    assert (tmp_path / "damaged" / "2").is_dir()
    writer = Writer(tmp_path / "checkpoints")
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


def change_meta(directory, **fields):
    """Changes fields of a meta as another version would have written them."""
    meta = json.loads((directory / "meta.json").read_text()) | fields
    (directory / "meta.json").write_text(json.dumps(meta))
    (directory / "manifest.json").unlink()
    write_manifest(directory)


@pytest.mark.parametrize("read", [load_params, lambda path: load(path, adam_game())])
def test_a_newer_format_is_not_damage(read, copy):
    change_meta(copy / "checkpoints" / "2", format=3)
    says = r"checkpoints/2 has format 3; this version reads format 2; install a newer"
    with pytest.raises(UserError, match=says):
        read(copy)
    with pytest.raises(UserError, match=says):
        checkpoint.newest(checkpoint.step_directories(copy), repair=True)
    assert checkpoint.steps(copy / "checkpoints") == [2, 1]


def test_format_1_has_one_clear_line(tmp_path):
    step = tmp_path / "checkpoints" / "3"
    (step / "state").mkdir(parents=True)
    (step / "meta").mkdir()
    (step / "meta" / "metadata").write_text('{"format": 1, "batch": {}}')
    says = (
        f"{step} has format 1; this version reads format 2; train again or use "
        "version 0.1"
    )
    for read in (load, load_params):
        with pytest.raises(UserError) as refused:
            read(tmp_path)
        assert str(refused.value) == says
    assert checkpoint.steps(tmp_path / "checkpoints") == [3]


def test_a_file_that_may_not_be_read_is_not_damage(copy, monkeypatch):

    def refused(file, name):
        raise PermissionError(13, "Permission denied", file.name)

    monkeypatch.setattr("hashlib.file_digest", refused)
    directories = checkpoint.step_directories(copy)
    with pytest.raises(UserError, match="cannot be read: Permission denied; check"):
        checkpoint.newest(directories, repair=True)
    assert checkpoint.steps(copy / "checkpoints") == [2, 1]


COMMIT = ("write_json", "write_manifest", "rename")


@pytest.mark.parametrize("last", COMMIT)
def test_killed_at_the_commit_it_leaves_all_or_nothing(last, tmp_path, monkeypatch):
    """The process ends just before each of the steps that make a commit."""
    save(tmp_path, adam_game(), steps=(1,))

    def killed(*_):
        raise OSError("killed")

    target = "pathlib.Path" if last == "rename" else "gen_jax.runs.writer"
    with monkeypatch.context() as patch:
        patch.setattr(f"{target}.{last}", killed)
        with pytest.raises(OSError, match="killed"):
            save(tmp_path, adam_game(), steps=(2,))
    assert load(tmp_path, adam_game()).step == 1
    assert (tmp_path / "checkpoints" / ".2.tmp").exists()
    states = save(tmp_path, adam_game(), steps=(2,))
    assert not (tmp_path / "checkpoints" / ".2.tmp").exists()
    same(jax.tree.map(np.array, load(tmp_path, adam_game()).state), states[2])


def test_killed_while_an_old_one_is_removed_no_half_of_it_is_left(
    tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(OSError, match="killed"):
            save(tmp_path, adam_game(), steps=(1, 2, 3, 4))
    folder = tmp_path / "checkpoints"
    assert checkpoint.steps(folder) == [4, 3, 2]
    assert load(tmp_path, adam_game()).step == 4
    Writer(folder).close()
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3", "4"]


KILLED = """
import itertools, os, pathlib, sys
import numpy as np
from games import noisy_game
from gen_jax import FitConfig, fit

rename = pathlib.Path.rename

def commit(path, target):
    if pathlib.Path(target).name == "3":
        os._exit(9)  # as SIGKILL: no handler runs, no file is closed
    return rename(path, target)

pathlib.Path.rename = commit
batches = itertools.repeat({"x": np.zeros(8, np.float32)})
config = FitConfig(steps=4, keep_every_steps=1, sample_every_steps=0)
fit(noisy_game(), lambda step: batches, config, workdir=sys.argv[1])
"""


def test_a_process_killed_before_the_commit_resumes_as_if_it_had_not_been(tmp_path):
    def batches(step):
        return itertools.repeat({"x": np.zeros(8, np.float32)})

    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "broken")],
        env={**os.environ, "PYTHONPATH": str(tests)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 9, done.stderr
    folder = tmp_path / "broken" / "checkpoints"
    assert checkpoint.steps(folder) == [2, 1]
    assert (folder / ".3.tmp" / "manifest.json").exists()
    config = FitConfig(steps=4, keep_every_steps=1)
    for name in ("broken", "straight"):
        fit(noisy_game(), batches, config, workdir=tmp_path / name)
    one, other = (
        load(tmp_path / name, noisy_game()).state for name in ("broken", "straight")
    )
    same(jax.tree.map(np.array, one), jax.tree.map(np.array, other))
    assert checkpoint.steps(folder) == [4, 3, 2, 1]
