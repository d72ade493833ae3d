"""Arrays of many examples on disk, computed in chunks, each of them once.

A chunk is written as soon as it is computed, so that an interrupted evaluation can
resume. A chunk's name holds a hash of everything that it depends on.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gen_jax import progress
from gen_jax.files import written_whole

SIZE = 1000

Make = Callable[[int, int], np.ndarray]  # (start, stop) -> [stop - start, ...]


class Chunks:
    """A store of arrays in a folder, under a key."""

    def __init__(self, folder: Path, key: str):
        self._folder, self._key = folder, key

    def each(
        self, name: str, number: int, make: Make, size: int
    ) -> Iterator[np.ndarray]:
        """Yield chunks [size, ...] of `number` examples; print the progress."""
        for start, stop in progress.blocks(name, number, size):
            yield self.one(name, start, stop, make)

    def one(self, name: str, start: int, stop: int, make: Make) -> np.ndarray:
        """Return a chunk [stop - start, ...] from its file, or compute and write it.

        A damaged chunk is computed again. If a chunk cannot be written, it is computed
        again next time.
        """
        path = self._folder / f"{self._key}-{name}-{start:06d}-{stop:06d}.npy"
        if (kept := load_array(path)) is not None:
            return kept
        made = make(start, stop)
        with contextlib.suppress(OSError):
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
