"""Platforms: the cache of compiled programs."""

import warnings

import jax
import pytest

from gen_jax import devices

WARNING = "Error {} persistent compilation cache entry for 'jit_step': {}"


def shown(cache, monkeypatch, *messages):
    """The warnings that are shown of some that JAX or others give.

    cache: a folder, which gets compiled programs in place of the tests' own.
    """
    for name in ("jit_step-1-cache", "jit_step-1-atime", "jit_steps-2-cache"):
        (cache / name).write_bytes(b"torn")
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(cache))
    found = []
    jax.config.update("jax_compilation_cache_dir", str(cache))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_: found.append(str(message))
            devices.use_compilation_cache()
            devices.use_compilation_cache()  # a second time
            for message in messages:
                warnings.warn(message, stacklevel=1)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    return found


@pytest.mark.parametrize("error", ["ZstdError: bad", "RuntimeError: 3", "OSError: io"])
def test_a_damaged_program_is_removed_and_compiled_again(error, tmp_path, monkeypatch):
    assert shown(tmp_path, monkeypatch, WARNING.format("reading", error)) == []
    assert [path.name for path in tmp_path.iterdir()] == ["jit_steps-2-cache"]


def test_a_program_that_cannot_be_cached_prints_nothing(tmp_path, monkeypatch):
    warning = WARNING.format("writing", "PermissionError: 13")
    assert shown(tmp_path, monkeypatch, warning) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_other_warnings_are_shown(tmp_path, monkeypatch):
    assert shown(tmp_path, monkeypatch, "another", "one more") == [
        "another",
        "one more",
    ]
