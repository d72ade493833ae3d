"""Platforms: the cache of compiled programs."""

import warnings

import jax
import pytest

from gen_jax import devices

WARNING = "Error {} persistent compilation cache entry for 'jit_step': {}"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder of compiled programs, in place of the tests' own."""
    monkeypatch.setitem(jax.config.values, "jax_compilation_cache_dir", str(tmp_path))
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    devices.use_compilation_cache()
    for name in ("jit_step-1-cache", "jit_step-1-atime", "jit_steps-2-cache"):
        (tmp_path / name).write_bytes(b"torn")
    with warnings.catch_warnings(record=False):
        warnings.simplefilter("always")
        yield tmp_path


@pytest.mark.parametrize("error", ["ZstdError: bad", "RuntimeError: 3", "OSError: io"])
def test_a_damaged_program_is_removed_and_compiled_again(error, cache, capsys):
    warnings.warn(WARNING.format("reading", error), stacklevel=1)
    assert [path.name for path in cache.iterdir()] == ["jit_steps-2-cache"]
    assert capsys.readouterr().err == ""


def test_a_program_that_cannot_be_kept_is_no_news(cache, capsys):
    warnings.warn(WARNING.format("writing", "PermissionError: 13"), stacklevel=1)
    assert len(list(cache.iterdir())) == 3
    assert capsys.readouterr().err == ""


def test_other_warnings_are_shown(cache, capsys):
    devices.use_compilation_cache()  # a second time
    warnings.warn("something else", stacklevel=1)
    assert "something else" in capsys.readouterr().err
