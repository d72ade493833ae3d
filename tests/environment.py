"""The environment in which the tests, and the commands that they run, import JAX.

Compiling takes most of the suite's time. So programs are compiled without
optimisations, which halves it. `JAX_DISABLE_MOST_OPTIMIZATIONS=0 ./launch.sh test`
compiles as users do.
"""

import importlib.metadata
import os

os.environ["JAX_PLATFORMS"] = os.environ.get("GEN_JAX_TEST_PLATFORM", "cpu")
# Four devices on two cores meet in a collective only if XLA has threads for all.
os.environ["PJRT_NPROC"] = "16"
# With small matrices, BLAS threads mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

FOUR_DEVICES = "--xla_force_host_platform_device_count=4"
_flags = [FOUR_DEVICES, *os.environ.get("XLA_FLAGS", "").split()]
if os.environ["JAX_PLATFORMS"] == "cpu":
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    # XLA compiles a program's parts in as many threads; the workers fill the cores.
    _flags.append("--xla_cpu_parallel_codegen_split_count=1")
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        # XLA's older emitters compile faster; newer versions have no choice of them.
        _flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join(_flags)
