"""Stricter than users: strict dtypes and ranks, warnings as errors, four devices.

Compiling takes most of the suite's time. So the tests compile without optimisations,
which halves it. `XLA_FLAGS=--xla_backend_optimization_level=3 ./launch.sh test`
compiles with them.
"""

import os
import tempfile
from pathlib import Path

import fast_compilation

os.environ["JAX_PLATFORMS"] = os.environ.get("GEN_JAX_TEST_PLATFORM", "cpu")
# Four devices on two cores meet in a collective only if XLA has threads for all.
os.environ["PJRT_NPROC"] = "16"
# Of small matrices most of what BLAS's threads do is to wait for each other, at work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Of a flag that stands twice XLA takes the last one: the caller's.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_force_host_platform_device_count=4",
        *(fast_compilation.FLAGS if os.environ["JAX_PLATFORMS"] == "cpu" else ()),
        os.environ.get("XLA_FLAGS", ""),
    )
)

import jax

_COMPILATION_CACHE = Path(tempfile.gettempdir()) / f"gen_jax-tests-{os.getuid()}"

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(_COMPILATION_CACHE))
# The two workers and the commands that they start share even the small programs.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.01)
