"""On what a run was trained: versions, devices, the commit of the code."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Collection
from pathlib import Path

import jax

_LIBRARIES = ("jax", "flax", "optax", "numpy", "gen_jax")


def describe(devices: Collection[jax.Device]) -> dict[str, str | int | None]:
    """What may explain another speed, or another last bit, as JSON.

    devices: those that a run uses, of all processes.
    commit: None where the code is not a git checkout; -dirty where it was changed.
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
    """The commit of the checkout that this file lies in.

    Installed without one it may lie inside somebody else's, which is not asked.
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
