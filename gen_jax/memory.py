"""Whether what a run asks for fits, asked before it is taken.

A size with a zero too many would otherwise be swapped for hours, or end in the system's
killing the process without a word.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax

from gen_jax.errors import UserError
from gen_jax.game import Tree


def size(tree: Tree) -> int:
    """The bytes of a tree's arrays, or of ShapeDtypeStructs."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def limit(device: jax.Device | None = None) -> int:
    """The bytes of memory of a device, of the machine for None and for its CPU."""
    stats = device.memory_stats() if device is not None else None
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check(needed: Mapping[str, float], device: jax.Device | None = None) -> None:
    """Raises UserError where what is needed is more than all the memory there is.

    needed: what for -> bytes; a lower bound, so that nothing that fits is refused.
    device: whose memory; None for the machine's.
    """
    total, there_is = sum(needed.values()), limit(device)
    if total > there_is:
        parts = ", ".join(f"{what} {_gib(n)}" for what, n in needed.items())
        raise UserError(
            f"out of memory: {parts}; there is {_gib(there_is)}. Lower batch_size, "
            "steps_per_call or the network's sizes"
        )


def check_planned(planned: Any, device: jax.Device) -> None:
    """Compare the memory that XLA plans to use for a program with that of a device.

    planned: a compiled program's `memory_analysis()`, None where XLA has none.

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
