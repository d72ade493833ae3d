"""Stricter than users: strict dtypes and ranks, warnings as errors, four devices."""

import os
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = os.environ.get("GEN_JAX_TEST_PLATFORM", "cpu")
# Four devices on two cores meet in a collective only if XLA has threads for all.
os.environ["PJRT_NPROC"] = "16"
# Of small matrices most of what BLAS's threads do is to wait for each other, at work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

import jax
import pytest

_COMPILATION_CACHE = Path(tempfile.gettempdir()) / f"gen_jax-tests-{os.getuid()}"

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_COMPILATION_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

# Their values hold within a tolerance, and compiling takes most of their time.
# All other tests compile as users do.
_COMPILED_FAST = {"test_ddpm_choices", "test_ddpm_unet"}


@pytest.fixture(autouse=True, scope="module")
def _compile_fast(request):
    """Lower the compiler's effort for these modules."""
    fast = request.path.stem in _COMPILED_FAST
    jax.config.update("jax_disable_most_optimizations", fast)
