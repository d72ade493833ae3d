"""Files that are whole, and places that are tried before time is spent."""

import json
import os
import subprocess
import sys

import pytest

from gen_jax import files
from gen_jax.errors import UserError


def ended_process():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_files_of_a_killed_process_are_removed_by_the_next(tmp_path):
    dead = ended_process()
    path = tmp_path / "a[1].json"
    left = [f".{path.name}.{dead}.tmp", f".other.json.{dead}.tmp"]
    running = f".{path.name}.{os.getppid()}.tmp"
    for name in (*left, running, ".a[1].json.x.tmp", ".mine.tmp"):
        (tmp_path / name).write_text("")
    files.write_json(path, {"a": 1})
    names = {each.name for each in tmp_path.iterdir()}
    assert json.loads(path.read_text()) == {"a": 1}
    assert names == {path.name, left[1], running, ".a[1].json.x.tmp", ".mine.tmp"}
    files.remove_unfinished(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == names - {left[1]}


@pytest.mark.parametrize(
    "name", ["gs://bucket/run", "s3://b/r", "file:///tmp/run", "hdfs:/run", "http://x"]
)
def test_a_url_is_not_a_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"--workdir={name} is a URL"):
        files.checked_folder(name)
    assert not list(tmp_path.iterdir())


def test_a_place_is_tried_and_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for name in ("there", "link", "new", "a/b/c", "with: colon", "x:y", "日本"):
        assert files.checked_folder(name) == tmp_path / name
    assert files.checked_folder("~/run") == tmp_path / "home" / "run"
    assert {each.name for each in tmp_path.iterdir()} == {"there", "link"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file", "cannot be written to: Not a directory"),
        ("file/below", "cannot be made: Not a directory"),
        ("n" * 300, "cannot be made: File name too long"),
        ("n/" * 2100, "cannot be made: File name too long"),
        ("/proc/run", "cannot be made: "),
        ("gone", "cannot be written to: "),
        ("loop", "cannot be written to: Too many levels of symbolic links"),
        (os.fsdecode(b"run\xff"), r"is not UTF-8, in which checkpoints are named"),
    ],
)
def test_a_place_that_takes_no_files_is_refused(name, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=says) as error:
        files.checked_folder(name)
    str(error.value).encode()  # it can be printed


@pytest.mark.parametrize("number", [13, 28, 30, 122])
def test_a_disk_that_refuses_is_named(number, tmp_path, monkeypatch):
    def refusing(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.TemporaryFile", refusing)
    with pytest.raises(UserError, match=f"written to: {os.strerror(number)}; choose"):
        files.checked_folder(tmp_path)
