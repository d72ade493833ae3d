"""Differences between platforms, in one place: device axis, fast kernels, options.

Measured on two CPU cores: XLA's default code for a convolution's weight gradient is
about ten times slower than with the option below. The transposed convolution and
attention have implementations that are faster on a CPU than XLA's (`models/layers.py`).
"""

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gen_jax.errors import UserError

BATCH_AXIS = "batch"

_forms: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "forms", default=None
)


def bound_axis() -> str | None:
    """Return the name of the device axis inside pmap, None elsewhere."""
    try:
        jax.lax.axis_index(BATCH_AXIS)
    except NameError:
        return None
    return BATCH_AXIS


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh of the devices along the one axis of a batch.

    devices: by default all devices of all processes.
    """
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh(
        (len(devices),), (BATCH_AXIS,), (AxisType.Auto,), devices=devices
    )


def everywhere(mesh: Mesh) -> NamedSharding:
    """Return the sharding that keeps a copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def join_processes() -> None:
    """Make this process one of several; call it before any use of a device.

    A TPU pod, Slurm and Open MPI say which process this is. Elsewhere the environment
    has to: JAX_COORDINATOR_ADDRESS=HOST:PORT of process 0, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID.

    Raises UserError if the number of this process is unknown or the processes do not
    find each other.
    """
    names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    try:
        numbers = {k: int(os.environ[v]) for k, v in names.items() if v in os.environ}
        jax.distributed.initialize(**numbers)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"this process cannot join the others: {error} Set JAX_COORDINATOR_ADDRESS,"
            " JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        ) from error


def use_cpu_kernels() -> bool:
    """Return whether layers should use the implementations that are fast on a CPU."""
    return (_forms.get() or jax.default_backend()) == "cpu"


@contextlib.contextmanager
def implementation(platform: str) -> Iterator[None]:
    """Trace layers with the implementations of `platform`, on any machine.

    Used to lower for a TPU on a CPU, and to compare implementations. A function that
    was already traced does not change.
    """
    token = _forms.set(platform)
    try:
        yield
    finally:
        _forms.reset(token)


def cache_folder(name: str) -> Path:
    """Return the path of a folder in the user's cache; it is not made or looked at.

    It is for files that can be made again.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "gen_jax", name)


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, for the next process.

    JAX_COMPILATION_CACHE_DIR in the environment overrides the folder.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@functools.cache
def compiler_options() -> dict[str, str]:
    """Return the XLA options that speed up this platform, if this XLA knows them."""
    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


def jit(function: Callable, **options) -> Callable:
    """Call `jax.jit` with this platform's options: for steps, samplers, metrics."""
    return jax.jit(function, **{"compiler_options": compiler_options(), **options})


def run_once(function: Callable, *args):
    """Run function(*args), compiled for a single call, such as an initialisation.

    Drawing parameters compiles to one generator of random numbers per parameter. On a
    CPU, optimising that code takes far longer than running it: 10 s against 2 s for a
    U-Net. So it is not optimised.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
        return function(*args)  # inside an outer jit, vmap or eval_shape
    cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if cpu else {}
    return jax.jit(function, compiler_options=options)(*args)
