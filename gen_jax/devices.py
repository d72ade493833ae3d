"""What differs between platforms, said once: the device axis, fast forms, options.

Measured on two CPU cores: XLA's default code for a convolution's weight gradient is
about ten times slower than with the option below, and the transposed convolution and
attention have forms that suit a CPU better than the native ones (`models/layers.py`).
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
    """The name of the device axis inside pmap, None elsewhere."""
    try:
        jax.lax.axis_index(BATCH_AXIS)
    except NameError:
        return None
    return BATCH_AXIS


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices (by default all, of all processes) along the one axis of a batch."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh(
        (len(devices),), (BATCH_AXIS,), (AxisType.Auto,), devices=devices
    )


def everywhere(mesh: Mesh) -> NamedSharding:
    """A copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def join_processes() -> None:
    """Makes this process one of several; to be called before any use of a device.

    A TPU pod, Slurm and Open MPI say who is who; elsewhere the environment does:
    JAX_COORDINATOR_ADDRESS=HOST:PORT of process 0, JAX_NUM_PROCESSES, JAX_PROCESS_ID.

    Raises UserError where nobody says it, or the processes do not find each other.
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
    """Whether layers should take the forms that are fast on a CPU."""
    return (_forms.get() or jax.default_backend()) == "cpu"


@contextlib.contextmanager
def implementation(platform: str) -> Iterator[None]:
    """Trace layers in the forms of `platform`, whatever this machine is.

    For lowering to a TPU on a CPU, and for comparing forms. A function that was
    already traced keeps the forms it has.
    """
    token = _forms.set(platform)
    try:
        yield
    finally:
        _forms.reset(token)


def cache_folder(name: str) -> Path:
    """Where the user's cache keeps what can be made again: not made, nor looked at."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "gen_jax", name)


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, for the next process.

    The environment's JAX_COMPILATION_CACHE_DIR goes before it.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@functools.cache
def compiler_options() -> dict[str, str]:
    """XLA options that speed up this platform, those that this XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


def jit(function: Callable, **options) -> Callable:
    """`jax.jit` with this platform's compiler options: for steps, samplers, metrics."""
    return jax.jit(function, **{"compiler_options": compiler_options(), **options})


def run_once(function: Callable, *args):
    """`function(*args)`, compiled for the one call that it gets: an initialisation.

    What drawing parameters compiles to is a generator of random numbers for each of
    them; on a CPU, optimising that code takes far longer than running it (10 s against
    2 s for a U-Net), so it is not optimised.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
        return function(*args)  # an outer jit, vmap or eval_shape compiles, or nobody
    cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if cpu else {}
    return jax.jit(function, compiler_options=options)(*args)
