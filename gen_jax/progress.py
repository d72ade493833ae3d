"""Progress of long work on standard error: a bar on a terminal, lines elsewhere.

Progress never stops the work: a stream that is closed or full is ignored.
"""

import time
from collections.abc import Iterator

from gen_jax import console

_FIRST_SECONDS = 10.0  # before the first line
# The pause between lines is a sixth of the time so far, so that a log stays short.
_GROWTH = 6.0


def blocks(
    name: str, total: int, size: int, unit: str = "images"
) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive blocks of `total` things; print the progress.

    name: the work, in the lines. size: maximum length of a block.
    """
    from tqdm import tqdm

    starts = range(0, total, size)
    hidden = not console.is_terminal() or len(starts) < 2
    started = printed = time.monotonic()
    compiled, done = started, 0  # the first block compiles: its time is not counted
    for start in tqdm(starts, desc=name, disable=hidden, leave=False):
        stop = min(start + size, total)
        yield start, stop
        now = time.monotonic()
        if start == 0:
            compiled, done = now, stop
            continue
        pause = max(_FIRST_SECONDS, (now - started) / _GROWTH)
        if hidden and stop < total and now - printed > pause:
            left = (now - compiled) * (total - stop) / (stop - done)
            console.tell(f"{name}: {stop:,} of {total:,} {unit}, {_time(left)} left")
            printed = now


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"about {seconds:.0f} seconds"
    minutes = seconds / 60
    return f"about {minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} h"
