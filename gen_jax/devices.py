"""Differences between platforms: the device axis, kernels, compiler options.

Measured on two CPU cores, XLA's default code for a convolution's weight gradient is
about ten times slower than with the option below. The transposed convolution and
attention have forms that suit a CPU better than the native ones (`models/layers.py`).
"""

import contextlib
import contextvars
import functools
import glob
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from gen_jax.errors import UserError

BATCH_AXIS = "batch"

_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "platform", default=None
)
_batch_axis: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "batch_axis", default=None
)


def batch_axis() -> str | None:
    """Return the name of the axis along which a batch is divided, None without one."""
    return _batch_axis.get()


@contextlib.contextmanager
def batch_divided_along(axis_name: str | None) -> Iterator[None]:
    """Trace the body as one device's part of a batch; None: it has the whole batch.

    axis_name: an axis that pmap, shard_map or vmap has bound.

    Raises UserError for an axis that is not bound.
    """
    if axis_name is not None:
        try:
            jax.lax.axis_size(axis_name)
        except NameError:
            raise UserError(
                f"axis_name={axis_name!r} is not bound: call this inside "
                f"jax.pmap(..., axis_name={axis_name!r}), or leave axis_name out"
            ) from None
    token = _batch_axis.set(axis_name)
    try:
        yield
    finally:
        _batch_axis.reset(token)


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh of one axis, BATCH_AXIS.

    devices: those to use; by default all devices of all processes.
    """
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh(
        (len(devices),), (BATCH_AXIS,), (AxisType.Auto,), devices=devices
    )


def first(count: int | None) -> list[jax.Device]:
    """Return the first `count` devices of all processes, or all of them.

    Raises UserError if there are not that many.
    """
    found = jax.devices()
    if count is not None and not 1 <= count <= len(found):
        raise UserError(f"--devices={count}; allowed here: 1 to {len(found)}")
    return found[:count]


def everywhere(mesh: Mesh) -> NamedSharding:
    """Return the sharding that keeps a copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def join_processes() -> None:
    """Make this process one of several; call it before any use of a device.

    A TPU pod, Slurm and Open MPI number the processes. Elsewhere the environment does:
    JAX_COORDINATOR_ADDRESS=HOST:PORT of process 0, JAX_NUM_PROCESSES, JAX_PROCESS_ID.

    Raises UserError if nothing numbers them, or they do not find each other.
    """
    names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    try:
        numbers: dict[str, Any] = {
            name: int(os.environ[variable])
            for name, variable in names.items()
            if variable in os.environ
        }
        jax.distributed.initialize(**numbers)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"this process cannot join the others: {error} Set JAX_COORDINATOR_ADDRESS,"
            " JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        ) from error


def use_cpu_kernels() -> bool:
    """Return whether layers should use the kernels that are fast on a CPU."""
    return (_platform.get() or jax.default_backend()) == "cpu"


@contextlib.contextmanager
def implementation(platform: str) -> Iterator[None]:
    """Trace the body with the kernels of `platform`, on any machine.

    For lowering to a TPU on a CPU, and for comparing kernels. A function that was
    traced before keeps its kernels.
    """
    token = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(token)


def cache_folder(name: str) -> Path:
    """Return the path of a folder in the user's cache, without creating it."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "gen_jax", name)


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, for the next process.

    If JAX_COMPILATION_CACHE_DIR is set, JAX's own settings hold instead. If the folder
    cannot be written, or an entry is damaged, the program is compiled again silently.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder("xla")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    if warnings.showwarning is not _replace_damaged_programs:
        _show_warning.append(warnings.showwarning)
        warnings.showwarning = _replace_damaged_programs


_show_warning: list[Any] = []


def _replace_damaged_programs(message: Any, *where: Any, **more: Any) -> None:
    """Remove the cache entries that JAX cannot read; show all other warnings.

    JAX itself would keep a damaged entry and warn of it at every use.
    """
    found = re.match(
        r"Error (reading|writing) persistent compilation cache entry for '([^']*)'",
        str(message),
    )
    if found is None:
        _show_warning[-1](message, *where, **more)
    elif found[1] == "reading":
        folder = Path(jax.config.values["jax_compilation_cache_dir"])
        with contextlib.suppress(OSError):
            for entry in folder.glob(f"{glob.escape(found[2])}-*"):
                entry.unlink(missing_ok=True)


@functools.cache
def compiler_options() -> dict[str, str]:
    """Return XLA options that speed up this platform; only those that XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return options


def jit(function: Callable, **options: Any) -> Callable:
    """Compile like `jax.jit`, with this platform's compiler options."""
    return jax.jit(function, **{"compiler_options": compiler_options(), **options})


def run_once(function: Callable, *args: Any) -> Any:
    """Return `function(*args)`, compiled for one call: an initialisation.

    Each parameter compiles to its own random number generator. On a CPU, optimising
    that code takes far longer than running it (10 s against 2 s for a U-Net), so it is
    not optimised.
    """
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
        return function(*args)  # inside jit, vmap or eval_shape already
    cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if cpu else {}
    return jax.jit(function, compiler_options=options)(*args)
