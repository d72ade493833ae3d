"""How fast a run was, by its own clock."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gen_jax.report.run_files import number

RATE = "images/s"


def rates(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """{step, images, images/s} of every stretch between two records.

    Not to the first record, before which the step is compiled, nor to the last, which
    is written at once with the one before it; nor where the clock was set back.
    """
    found = []
    for before, after in itertools.pairwise(records[:-1]):
        images, seconds = (
            _risen(name, before, after) for name in ("images", "seconds")
        )
        if images and seconds:
            found.append({**after, RATE: images / seconds})
    return found


def usual(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Images a second, the median of the later half; None where nothing tells."""
    found = [record[RATE] for record in rates(records)]
    return statistics.median(found[len(found) // 2 :]) if found else None


def seconds(records: Sequence[Mapping[str, Any]]) -> float | None:
    """Of the whole run; a clock that begins anew, as older runs' does, is added."""
    times = [t for r in records if (t := number(r.get("seconds"))) is not None]
    if not times:
        return None
    pairs = itertools.pairwise(times)
    return times[0] + sum(b - a if b >= a else b for a, b in pairs)


def _risen(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """By how much a field has risen; 0 where it has not, or says nothing."""
    low, high = number(before.get(name)), number(after.get(name))
    return 0.0 if low is None or high is None else max(high - low, 0.0)
