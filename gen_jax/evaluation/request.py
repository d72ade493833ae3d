"""A run, its samples and the real data beside them, as the measures ask for them."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import devices
from gen_jax.data.dataset import digest_of, digest_of_value
from gen_jax.errors import UserError
from gen_jax.evaluation.chunks import Chunks, load_array, save_array
from gen_jax.evaluation.preset import Preset
from gen_jax.evaluation.samples import Samples
from gen_jax.evaluation.subject import Subject, shuffled
from gen_jax.metrics.networks.features import FeatureNetwork

HALVINGS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What is measured, how much of it, and by what.

    networks: those that samples are compared on. folder: where samples are kept.
    options: of the sampling op, where they are not its own.
    """

    subject: Subject
    preset: Preset
    networks: tuple[FeatureNetwork, ...]
    folder: Path
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def samples(self) -> Samples:
        """As many as the protocol has; no more than half of the training examples."""
        number = self.preset.samples
        if not self.preset.whole_reference:
            number = min(number, self._half)
        return Samples(self.subject, number, self.folder, self.options, self.weights)

    @functools.cached_property
    def weights(self) -> str:
        """A hash of them."""
        return digest_of(map(np.asarray, jax.tree.leaves(self.subject.players)))

    @property
    def _half(self) -> int:
        return len(self.subject.dataset.train) // 2

    def reference(self) -> np.ndarray:
        """Places of training examples, twice as many as samples, in no order.

        Samples are compared with the first half of them. The data's own order may be
        one of classes, writers or modes.
        """
        size = min(self._half, self.preset.samples)
        return shuffled(len(self.subject.dataset.train))[: 2 * size]

    @property
    def chunks(self) -> Chunks:
        """Of what is computed of each real image by this subject's weights and seed."""
        subject = self.subject
        key = digest_of_value((self.weights, subject.seed, subject.dataset.digest))
        return Chunks(self.folder, key)

    def features(self, network: FeatureNetwork, places: np.ndarray) -> np.ndarray:
        """Of training examples: float32 [N, dim], kept in the user's cache."""
        what = f"{self.subject.dataset.digest}-{network.name}-{network.sha256[:16]}"
        name = f"{what}-{digest_of((places,))[:16]}.npy"
        path = devices.cache_folder("features") / name
        kept = load_array(path)
        if kept is not None and kept.shape == (len(places), network.dim):
            return kept
        train = self.subject.dataset.train
        parts = np.array_split(places, -(-len(places) // 1000))
        found = [network.features(train.read(part)["x"]) for part in parts]
        features = np.concatenate(found)
        with contextlib.suppress(OSError):  # it costs time alone
            save_array(path, features)
        return features

    def check_rank(self, network: FeatureNetwork) -> None:
        """Raises UserError where a set is too small for a network's covariance."""
        size = min(self.samples.number, self._half)
        if size <= network.dim:
            raise UserError(
                f"a Frechet distance on {network.name} needs more than {network.dim} "
                f"images in each set, and these have {size}: more --samples, more "
                "data, or another --features"
            )

    def held_out(self, most: int) -> np.ndarray:
        """x of the test split at rest, at most so many, picked by chance."""
        test = self.subject.dataset.test
        return test.read(shuffled(len(test))[:most])["x"]

    def about_samples(self) -> dict[str, Any]:
        """What numbers of samples depend on, beside the run."""
        sampling = self.subject.game.ops.sampling_options or dict
        return {"samples": self.samples.number, **sampling(**self.samples.options)}


def halvings(real: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Real examples [2 N, ...] dealt into two sets of N by chance, again and again.

    How they compare with each other is a metric's floor, and it scatters too.
    """
    rng = np.random.default_rng(0)
    for _ in range(HALVINGS):
        yield np.split(rng.permutation(real)[: 2 * (len(real) // 2)], 2)
