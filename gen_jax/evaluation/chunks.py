"""Arrays of many examples on disk, made chunk by chunk: once, and on where one stopped.

A chunk is written when it is made, so that an evaluation that was killed goes on where
it was. Its name holds a hash of what it was made of.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gen_jax.runs.manifest import written_whole

SIZE = 1000
_LONG_SECONDS = 60.0

Make = Callable[[int, int], np.ndarray]  # (start, stop) -> [stop - start, ...]
Fits = Callable[[np.ndarray], bool]


class Chunks:
    """What is made of examples, kept in a folder under a key."""

    def __init__(self, folder: Path, key: str):
        self._folder, self._key = folder, key

    def each(
        self, what: str, number: int, make: Make, fits: Fits, size: int
    ) -> Iterator[np.ndarray]:
        """`size` after the others, `number` in all. Says how long, where it is long."""
        starts = range(0, number, size)
        told = len(starts) == 1
        hidden = told or not sys.stderr.isatty()
        for start in tqdm(starts, desc=what, disable=hidden, leave=False):
            stop, began = min(start + size, number), time.monotonic()
            yield self.one(what, start, stop, make, fits)
            seconds = (time.monotonic() - began) * (number - stop) / size
            if not told and seconds > _LONG_SECONDS:
                line = f"{what}: about {seconds / 60:.0f} minutes for the rest"
                print(f"{line} of {number:,}", file=sys.stderr, flush=True)
                told = True

    def one(
        self, what: str, start: int, stop: int, make: Make, fits: Fits
    ) -> np.ndarray:
        """A chunk as it was written; made and written where it is not there.

        fits: whether what was read is of the kind that `make` gives; a chunk that is
        damaged is made again.
        """
        path = self._folder / f"{self._key}-{what}-{start:06d}-{stop:06d}.npy"
        kept = load_array(path)
        if kept is not None and kept.shape[:1] == (stop - start,) and fits(kept):
            return kept
        made = make(start, stop)
        save_array(path, made)
        return made


def load_array(path: Path) -> np.ndarray | None:
    """What `save_array` wrote; None where it is missing, or damaged in whatever way."""
    with contextlib.suppress(Exception), path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else None
    return None


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an .npy file in one piece, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, array)
