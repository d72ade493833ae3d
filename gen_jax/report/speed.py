"""The speed of a run, by its own clock."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

RATE = "images/s"


def rates(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return {step, images, images/s} of every interval between two records.

    Skip the first interval (compilation), the last, and any across a clock change. The
    last record is written right after the one before.
    """
    found = []
    for before, after in itertools.pairwise(records[:-1]):
        images, seconds = (
            _increase(name, before, after) for name in ("images", "seconds")
        )
        if images and seconds:
            found.append({**after, RATE: images / seconds})
    return found


def usual(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Return images per second, the median of the later half; None if not known."""
    found = [record[RATE] for record in rates(records)]
    return statistics.median(found[len(found) // 2 :]) if found else None


def _increase(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Return the increase of a field; 0 if it decreased or is not known."""
    low, high = before.get(name), after.get(name)
    return 0.0 if low is None or high is None else max(high - low, 0.0)
