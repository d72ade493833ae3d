"""A model's samples on disk, chunk by chunk: as many as one likes, drawn once.

No more than one chunk lies in memory. What they were drawn from is hashed: the weights,
the seed and the sampler's options.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gen_jax import images, sampling
from gen_jax.data.dataset import digest_of_value
from gen_jax.evaluation.chunks import SIZE, Chunks
from gen_jax.evaluation.subject import Subject
from gen_jax.metrics.networks.features import FeatureNetwork


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
        drawn_from = (weights, subject.seed, sorted(self.options.items()), SIZE)
        self.key = digest_of_value(drawn_from)
        self._chunks = Chunks(folder, self.key)

    def labels(self, start: int = 0, stop: int | None = None) -> np.ndarray | None:
        """int32, every class in turn; None for a game without."""
        if not self.subject.game.num_classes:
            return None
        index = np.arange(start, self.number if stop is None else stop, dtype=np.int32)
        return index % self.subject.game.num_classes

    def chunks(self) -> Iterator[np.ndarray]:
        """The samples at rest, a thousand at a time; those not there are drawn."""
        return self._chunks.each("samples", self.number, self._drawn, self._fits, SIZE)

    def features(self, network: FeatureNetwork) -> np.ndarray:
        """float32 [number, dim]."""

        def of_chunk(start: int, stop: int) -> np.ndarray:
            x = self._chunks.one("samples", start, stop, self._drawn, self._fits)
            return network.features(x)

        def fits(kept: np.ndarray) -> bool:
            return kept.shape[1:] == (network.dim,) and bool(np.isfinite(kept).all())

        name = f"{network.name}-{network.sha256[:12]}"
        chunks = self._chunks.each(name, self.number, of_chunk, fits, SIZE)
        return np.concatenate(list(chunks))

    def first(self, most: int) -> np.ndarray:
        """At most so many samples at rest."""
        chunks, count = [], 0
        for chunk in self.chunks():
            chunks.append(chunk[: most - count])
            count += len(chunks[-1])
            if count >= most:
                break
        return np.concatenate(chunks)

    def _fits(self, kept: np.ndarray) -> bool:
        shape = self.subject.dataset.info.shape
        is_image = len(shape) == 3
        dtype = np.uint8 if is_image else np.float32
        return kept.shape[1:] == shape and kept.dtype == dtype

    def _drawn(self, start: int, stop: int) -> np.ndarray:
        subject = self.subject
        x = sampling.draw(
            subject.game,
            subject.players,
            stop - start,
            subject.seed,
            self.labels(start, stop),
            start=start,
            **self.options,
        )
        return images.to_uint8(x) if x.ndim == 4 else x
