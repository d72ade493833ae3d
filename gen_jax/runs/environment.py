"""The environment of a run: versions, devices and the commit of the code."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Collection
from pathlib import Path

import jax

_LIBRARIES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "gen_jax")


def describe(devices: Collection[jax.Device]) -> dict[str, str | int | None]:
    """Return, as JSON, the facts that may explain another speed or another last bit.

    devices: the run's devices, of all processes.
    The commit is None if the code is not a git checkout, and ends in -dirty if files
    were changed.
    """
    device = next(iter(devices))
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _LIBRARIES},
        "commit": _commit(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": len(devices),
        "processes": len({each.process_index for each in devices}),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the checkout that contains this file; None without one.

    A package that was installed without a checkout may lie inside another project's
    checkout, whose commit would be wrong.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    asked = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(
            [*asked, "--abbrev=40"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
