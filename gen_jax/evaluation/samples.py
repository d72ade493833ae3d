"""A model's samples on disk, chunk by chunk: as many as one likes, drawn once.

A chunk is written when it is drawn, so that an evaluation that was killed goes on where
it was, and no more than one chunk lies in memory. Its name holds a hash of what it was
drawn from: the weights, the seed and the sampler's options.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from gen_jax import batched, images
from gen_jax.data.dataset import digest_of_value
from gen_jax.manifest import written_whole
from gen_jax.metrics.features import FeatureNetwork
from gen_jax.subject import Subject

_CHUNK = 1000
_LONG_SECONDS = 60.0


class Samples:
    """`number` samples of a subject, drawn with the sampling op's `options`.

    weights: a hash of the subject's.

    Sample i has the key and the label that `experiments.sample` gives it. They are at
    rest: images uint8, points float32.
    """

    def __init__(
        self,
        subject: Subject,
        number: int,
        folder: Path,
        options: Mapping[str, Any],
        weights: str,
    ):
        self.subject, self.number, self.options = subject, number, dict(options)
        drawn_from = (weights, subject.seed, sorted(self.options.items()), _CHUNK)
        self.key = digest_of_value(drawn_from)
        self._folder = folder

    def labels(self, start: int = 0, stop: int | None = None) -> np.ndarray | None:
        """int32, every class in turn; None for a game without."""
        if not self.subject.game.num_classes:
            return None
        index = np.arange(start, self.number if stop is None else stop, dtype=np.int32)
        return index % self.subject.game.num_classes

    def chunks(self) -> Iterator[np.ndarray]:
        """The samples at rest, a thousand at a time; those not there are drawn."""
        return self._each("samples", self._drawn)

    def features(self, network: FeatureNetwork) -> np.ndarray:
        """float32 [number, dim]."""
        name = f"{network.name}-{network.sha256[:12]}"

        def of_chunk(start: int, stop: int) -> np.ndarray:
            return network.features(self._at("samples", start, stop, self._drawn))

        return np.concatenate(list(self._each(name, of_chunk)))

    def first(self, most: int) -> np.ndarray:
        """At most so many samples at rest."""
        chunks, count = [], 0
        for chunk in self.chunks():
            chunks.append(chunk[: most - count])
            count += len(chunks[-1])
            if count >= most:
                break
        return np.concatenate(chunks)

    def _each(self, what: str, make) -> Iterator[np.ndarray]:
        starts = range(0, self.number, _CHUNK)
        hidden = len(starts) == 1 or not sys.stderr.isatty()
        began = time.monotonic()
        for start in tqdm(starts, desc=what, disable=hidden, leave=False):
            yield self._at(what, start, min(start + _CHUNK, self.number), make)
            seconds = (time.monotonic() - began) * (len(starts) - 1)
            if start == 0 and seconds > _LONG_SECONDS:
                line = f"{what}: about {seconds / 60:.0f} minutes for {self.number:,}"
                print(line, file=sys.stderr, flush=True)

    def _at(self, what: str, start: int, stop: int, make) -> np.ndarray:
        """One chunk, read or made and written."""
        path = self._folder / f"{self.key}-{what}-{start:06d}-{stop:06d}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):
            kept = np.load(path, allow_pickle=False)
            if len(kept) == stop - start:
                return kept
        made = make(start, stop)
        save_array(path, made)
        return made

    def _drawn(self, start: int, stop: int) -> np.ndarray:
        subject = self.subject
        x = batched.draw(
            subject.game,
            subject.board,
            stop - start,
            subject.seed,
            self.labels(start, stop),
            start=start,
            **self.options,
        )
        return images.to_uint8(x) if x.ndim == 4 else x


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an .npy file in one piece, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, array)
