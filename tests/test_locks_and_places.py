"""Files written whole, folders locked, and places that are tried first."""

import os
import threading
import time

import pytest

from gen_jax.errors import UserError
from gen_jax.files import locked, try_to_write


def test_a_place_is_tried_without_a_trace(tmp_path):
    deep = tmp_path / "a" / "b" / "c.json"
    try_to_write(deep)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept.json").write_text("old")
    try_to_write(tmp_path / "kept.json")
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]
    assert (tmp_path / "kept.json").read_text() == "old"


@pytest.mark.parametrize(
    "path",
    ["file/x.json", "folder", "x" * 250 + ".json", "/proc/x.json"],
)
def test_a_place_that_cannot_be_written(path, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError) as error:  # noqa: PT011  of many kinds
        try_to_write(tmp_path / path)
    assert error.value.strerror
    assert str(path)[:200] in str(error.value.filename)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_lock_waits_or_says_that_it_is_held(tmp_path):
    order = []

    def second():
        with locked(tmp_path):
            order.append("second")

    with locked(tmp_path):
        waiting = threading.Thread(target=second)
        waiting.start()
        with (
            pytest.raises(UserError, match="held"),
            locked(tmp_path, "held by another"),
        ):
            pass
        time.sleep(0.1)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
