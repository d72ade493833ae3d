"""No moment leaves a checkpoint that can be read and not verified."""

import contextlib
import json
import shutil
import sys

import jax
import numpy as np
import pytest
from saved_runs import META, adam_game, save, train

from gen_jax import load, load_params
from gen_jax.errors import UserError
from gen_jax.runs import checkpoint
from gen_jax.runs.manifest import verify
from gen_jax.runs.writer import Writer

SHOWN = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
_watching: list = []  # an audit hook stays for as long as the process


def _hook(event, arguments):
    if _watching and event in SHOWN:
        _watching[0](event, arguments)


def copied_if_there(source, target):
    """Copy a file; TensorStore's own threads may remove their locks meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def moments(folder, work, into):
    """Copies of a folder before each file operation of `work`: any may be the last."""
    if _hook not in _installed:
        sys.addaudithook(_hook)
        _installed.append(_hook)
    copies = []

    def copied(event, arguments):
        if not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and not set(str(arguments[1])) & set("wax+"):
            return
        act = _watching.pop()  # copying opens files too
        place = into / str(len(copies))
        shutil.copytree(folder, place, copy_function=copied_if_there)
        copies.append(place)
        _watching.append(act)

    _watching.append(copied)
    try:
        work()
    finally:
        _watching.clear()
    return copies


_installed: list = []


def test_every_moment_of_a_commit_leaves_a_verifiable_checkpoint(tmp_path):
    """Kills between any two file operations of the commit, and of the removal."""
    run = tmp_path / "run"
    game = adam_game()
    states = save(run, game, steps=(1, 2, 3))
    state = jax.tree.map(np.asarray, states[3])
    state = train(game, jax.tree.map(jax.numpy.array, state), 1)
    writer = Writer(run / "checkpoints")

    def work():
        writer.save(4, state, META)
        writer.wait()

    copies = moments(run, work, tmp_path / "copies")
    writer.close()
    assert len(copies) > 5
    newest = []
    for place in copies:
        for step in checkpoint.steps(place / "checkpoints"):
            verify(place / "checkpoints" / str(step))  # each is whole
        found = checkpoint.newest(checkpoint.step_directories(place))
        newest.append(int(found.directory.name))
        assert len(checkpoint.steps(place / "checkpoints")) >= 3
    assert newest == sorted(newest)
    assert {*newest} == {3, 4}
    for place in (copies[0], copies[-1]):  # and a new run takes what is there
        Writer(place / "checkpoints").close()
        assert not list((place / "checkpoints").glob(".*.tmp"))
        load(place, game)


def flips(size):
    """Places in a file of this size: all of a small one, a sample of others."""
    rng = np.random.default_rng(size)
    return range(size) if size < 40 else sorted({*rng.integers(0, size, 24)})


def test_a_flipped_bit_anywhere_is_never_another_number(copy):
    directory = copy / "checkpoints" / "2"
    right = load_params(copy)["model"].params
    files = [path for path in directory.rglob("*") if path.is_file()]
    rng = np.random.default_rng(0)
    for path in files:
        content = path.read_bytes()
        for place in flips(len(content)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(flipped))
            try:
                found = checkpoint.newest([directory])
            except UserError:
                continue
            weights = checkpoint.restore_weights(found)["model"]["params"]
            np.testing.assert_array_equal(weights["w"], right["w"])
        path.write_bytes(content)
    verify(directory)


def manifests(hashes):
    """Manifests that leave something out."""
    yield {}
    yield {"meta.json": hashes["meta.json"]}
    yield {name: x for name, x in hashes.items() if not name.startswith("state/d")}
    yield {name: x for name, x in hashes.items() if name != max(hashes)}
    yield {name: x for name, x in hashes.items() if name != "meta.json"}
    yield dict.fromkeys(hashes)
    yield [*hashes]


def test_a_manifest_that_leaves_a_file_out_verifies_nothing(copy):
    directory = copy / "checkpoints" / "2"
    path = directory / "manifest.json"
    for content in manifests(json.loads(path.read_text())):
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match="checkpoints/2 cannot be read"):
            checkpoint.newest([directory])
    assert load(copy, adam_game()).step == 1


@pytest.mark.parametrize("name", ["meta.json", "manifest.json", "state", "state/d"])
def test_a_part_that_is_missing_is_damage(name, copy):
    path = copy / "checkpoints" / "2" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert load(copy, adam_game()).step == 1


def test_an_extra_file_next_to_it_is_not_damage(copy):
    directory = copy / "checkpoints" / "2"
    for name in (".DS_Store", "state/.nfs0001", "note.txt"):
        (directory / name).write_text("")
    assert load(copy, adam_game()).step == 2
