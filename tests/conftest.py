"""Stricter than users: strict dtypes and ranks, warnings as errors, four devices."""

import os
import tempfile
from pathlib import Path

import environment  # noqa: F401  it has to come before jax
import jax
import pytest

_COMPILATION_CACHE = Path(tempfile.gettempdir()) / f"gen_jax-tests-{os.getuid()}"

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_COMPILATION_CACHE))
# The workers and the commands that they start share even the small programs.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.01)

# What these compile runs for longer than it would take to optimise it.
_LONG_RUNNING = {
    *("test_features", "test_inception", "test_manifold", "test_readme"),
    *("test_torch_vectors", "test_variational"),
}


@pytest.fixture(autouse=True, scope="module")
def _compilation(request):
    """Compile as users do in the modules that run for long; free what was compiled."""
    is_fast = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS") == "1"
    is_fast = is_fast and request.path.stem not in _LONG_RUNNING
    jax.config.update("jax_disable_most_optimizations", is_fast)
    yield
    jax.clear_caches()  # all modules' programs together would fill 5 GB
