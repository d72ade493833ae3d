"""A check that a run fits in memory, made before anything is allocated.

Without it a size with a zero too many would make the machine swap for hours. Or the
system would end the process without a message.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax

from gen_jax.errors import UserError
from gen_jax.game import Tree


def size(tree: Tree) -> int:
    """Return the number of bytes of a tree's arrays or ShapeDtypeStructs [...]."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def limit(device: jax.Device | None = None) -> int:
    """Return the bytes of memory of a device, or of the machine for None and a CPU."""
    stats = device.memory_stats() if device is not None else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check(needed: Mapping[str, float], device: jax.Device | None = None) -> None:
    """Check that the bytes needed fit in memory.

    needed: purpose -> bytes. These are lower bounds, so that no run that fits is
        refused.
    device: the device that holds them; None for the machine's memory.

    Raises UserError if their sum is more than all the memory there is.
    """
    total, available = sum(needed.values()), limit(device)
    if total > available:
        parts = ", ".join(f"{purpose} {_gib(n)}" for purpose, n in needed.items())
        raise UserError(
            f"out of memory: {parts}; there is {_gib(available)}. Lower batch_size, "
            "steps_per_call or the network's sizes"
        )


def check_planned(planned: Any, device: jax.Device) -> None:
    """Compare the memory that XLA plans to use for a program with that of a device.

    planned: a compiled program's `memory_analysis()`, None if XLA has none.

    Raises UserError if the device has less.
    """
    if planned is not None:
        arguments = planned.argument_size_in_bytes - planned.alias_size_in_bytes
        needed = {
            "a step's results take": planned.output_size_in_bytes,
            "its arguments": max(arguments, 0),
            "the values kept for its gradients": planned.temp_size_in_bytes,
        }
        check(needed, device)


def _gib(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB"
