"""Arrays of many examples on disk, computed in chunks, each of them once.

A chunk is written as soon as it is computed, so that an interrupted evaluation can
resume. A chunk's name holds a hash of everything that it depends on.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gen_jax.files import written_whole

SIZE = 1000
_LONG_SECONDS = 60.0

Make = Callable[[int, int], np.ndarray]  # (start, stop) -> [stop - start, ...]


class Chunks:
    """A store of arrays in a folder, under a key."""

    def __init__(self, folder: Path, key: str):
        self._folder, self._key = folder, key

    def each(
        self, name: str, number: int, make: Make, size: int
    ) -> Iterator[np.ndarray]:
        """Yield chunks [size, ...] of `number` examples.

        Print the remaining time once if it exceeds a minute.
        """
        starts = range(0, number, size)
        printed = len(starts) == 1
        hidden = printed or not sys.stderr.isatty()
        for start in tqdm(starts, desc=name, disable=hidden, leave=False):
            stop, began = min(start + size, number), time.monotonic()
            yield self.one(name, start, stop, make)
            seconds = (time.monotonic() - began) * (number - stop) / size
            if not printed and seconds > _LONG_SECONDS:
                line = f"{name}: about {seconds / 60:.0f} minutes for the rest"
                print(f"{line} of {number:,}", file=sys.stderr, flush=True)
                printed = True

    def one(self, name: str, start: int, stop: int, make: Make) -> np.ndarray:
        """Return a chunk [stop - start, ...] from its file, or compute and write it.

        A damaged chunk is computed again.
        """
        path = self._folder / f"{self._key}-{name}-{start:06d}-{stop:06d}.npy"
        if (kept := load_array(path)) is not None:
            return kept
        made = make(start, stop)
        save_array(path, made)
        return made


def load_array(path: Path) -> np.ndarray | None:
    """Return the array [...] of an .npy file; None if it is missing or damaged."""
    with contextlib.suppress(Exception), path.open("rb") as file:
        found = np.load(file, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else None
    return None


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array [...] as an .npy file in one piece; make the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, array)
