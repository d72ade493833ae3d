"""The examples of a split as an array that is read in parts, and a check of counts."""

from typing import Any

import numpy as np

from gen_jax.data import Split
from gen_jax.errors import UserError


class Examples:
    """The x of a split at `places`, [N, ...] as it is stored; an index reads them."""

    def __init__(self, split: Split, places: np.ndarray | None = None):
        """Store the split; examples are read on access.

        places: int [N]; None for all, in their order.
        """
        self._split = split
        self._places = np.arange(len(split)) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return [N, ...]."""
        return (len(self), *self._split.read([0])["x"].shape[1:])

    def __getitem__(self, places: Any) -> np.ndarray:
        """Return the examples at a slice or at int [B]: [B, H, W, C] or [B, D]."""
        return self._split.read(self._places[places])["x"]


def needs(number: int, least: int, things: str, advice: str = "") -> None:
    """Raise UserError if there are fewer than `least` of the counted things."""
    if number < least:
        are = "is" if number == 1 else "are"
        raise UserError(
            f"needs at least {least} {things}, and there {are} {number}"
            f"{'; ' if advice else ''}{advice}"
        )
