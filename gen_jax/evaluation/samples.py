"""A model's samples on disk, in chunks, so that each is computed once.

At most one chunk is in memory at a time. A chunk's name holds a hash of the weights,
the seed and the sampler's options.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gen_jax import console, images, sampling
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError
from gen_jax.evaluation.chunks import SIZE, Chunks
from gen_jax.metrics.networks.features import FeatureNetwork

if TYPE_CHECKING:
    from gen_jax.evaluation.request import Evaluation

_MAX_RANGE = 10.0  # samplers of diffusion and flow may leave [-1, 1], but not by this


class Samples:
    """`number` samples of an evaluation's run.

    Sample i has the key that `experiments.sample` gives it, and the i-th label of
    `Evaluation.labels`. Samples are stored as the data are: images as uint8, or as
    float32 if the data's are, and points as float32.
    """

    def __init__(self, evaluation: "Evaluation", number: int):
        self._evaluation, self.number = evaluation, number
        options = sorted(evaluation.options.items())
        depends = [evaluation.weights, evaluation.seed, options, SIZE]
        if 0 < len(evaluation.classes) < evaluation.game.num_classes:
            depends.append(evaluation.classes)
        self.key = digest_of_value(tuple(depends))
        self._chunks = Chunks(evaluation.folder, self.key)

    def chunks(self) -> Iterator[np.ndarray]:
        """Yield the stored samples, at most [1000, ...]; compute missing ones."""
        return self._chunks.each("samples", self.number, self._sample, SIZE)

    def features(self, network: FeatureNetwork) -> np.ndarray:
        """Return features float32 [number, dim] on a network."""

        def of_chunk(start: int, stop: int) -> np.ndarray:
            return network.features(
                self._chunks.one("samples", start, stop, self._sample)
            )

        name = f"{network.name}-{network.sha256[:12]}"
        chunks = self._chunks.each(name, self.number, of_chunk, SIZE)
        return np.concatenate(list(chunks))

    def first(self, number: int) -> np.ndarray:
        """Return N <= number samples [N, ...] as they are stored."""
        chunks, count = [], 0
        for chunk in self.chunks():
            chunks.append(chunk[: number - count])
            count += len(chunks[-1])
            if count >= number:
                break
        return np.concatenate(chunks)

    def float_blocks(self, number: int, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (start, x [B, ...]) of N <= number samples, as `first_float`."""
        x = self.first(number)
        for start in range(0, len(x), size):
            yield start, images.from_uint8(x[start : start + size])

    def first_float(self, number: int) -> np.ndarray:
        """Return N <= number samples float32 [N, ...], images in [-1, 1]."""
        return images.from_uint8(self.first(number))

    def _sample(self, start: int, stop: int) -> np.ndarray:
        this, count = self._evaluation, stop - start
        y = this.labels(count, start) if this.game.num_classes else None
        x = sampling.draw(
            this.game, this.players, count, this.seed, y, start=start, **this.options
        )
        _check(x, this.dataset.info.shape)
        return images.to_uint8(x) if this.stores_uint8 else x


def _check(x: np.ndarray, shape: tuple[int, ...]) -> None:
    """Tell a line if samples [N, ...] lie in another range than the data's, [-1, 1].

    Raises UserError for samples of another shape, and for any that is not finite.
    """
    if x.shape[1:] != shape:
        raise UserError(
            f"a sample has the shape {list(x.shape[1:])}, the data have {list(shape)}"
        )
    axes = tuple(range(1, x.ndim))
    if broken := int(np.sum(~np.isfinite(x).all(axis=axes))):
        raise UserError(f"{broken} of {len(x)} samples are not finite")
    low, high = float(x.min()), float(x.max())
    if len(shape) == 3 and (low >= 0 or high > _MAX_RANGE):
        console.tell(
            f"the samples lie in [{low:.3g}, {high:.3g}]; images are in [-1, 1], and "
            "values outside are clipped"
        )
