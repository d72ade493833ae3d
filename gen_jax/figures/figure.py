"""What a claim shows and says."""

from typing import Any, NamedTuple

import numpy as np

Picture = np.ndarray  # uint8 [H, W, 1 or 3]


class Figure(NamedTuple):
    """What was drawn and what was measured, by name."""

    pictures: dict[str, Picture]
    numbers: dict[str, Any]  # as JSON has them
    films: dict[str, list[Picture]] = {}  # noqa: RUF012  frames of one size
