"""A trained run as what looks at it sees it: a game, weights, data, a judge of labels.

Figures draw subjects, evaluations measure them.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import data, images, sampling
from gen_jax.errors import UserError
from gen_jax.game import Game, Players, State, averaged, init_state
from gen_jax.metrics.networks import classifier
from gen_jax.runs.run import Run
from gen_jax.runs.run import load as load_run
from gen_jax.step import sample_keys

PER_CLASS = 100  # samples of a class
MAX_IMAGES = 2000  # images encoded

_MADE = ("sample", "decode", "reconstruct", "translate")  # ops that make examples


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A trained run.

    name: its experiment's. board: what its ops are asked with, averaged weights or, if
    `raw`, the last ones. seed: of all that is drawn of it. Labels are int32 [N],
    latents z [N, ...], examples x [N, ...] float32, images in [-1, 1].
    """

    name: str
    run: Run
    folder: Path
    players: Players
    seed: int = 0
    raw: bool = False

    @property
    def game(self) -> Game:
        """The run's."""
        return self.run.game

    @property
    def which_weights(self) -> str:
        """ "averaged", or "raw", also where no player has an average."""
        has_any = any(player.ema for player in self.run.state.players.values())
        return "averaged" if has_any and not self.raw else "raw"

    @functools.cached_property
    def dataset(self) -> data.Dataset:
        """What it was trained on, with the split that it never saw."""
        return data.load(self.run.config.data)

    @functools.cached_property
    def classifier(self) -> classifier.Classifier:
        """A classifier of the dataset's labels, trained on real examples alone."""
        return classifier.trained(self.dataset)

    @property
    def has(self) -> set[str]:
        """What claims may need: ops by name, images, labels, conditional, chance.

        chance: that what is restored depends on its keys.
        """
        info, has = self.dataset.info, set(self.game.ops.by_name)
        has |= {"images"} if len(info.shape) == 3 else set()
        has |= {"labels"} if info.num_classes else set()
        has |= {"chance"} if self._restores_by_chance else set()
        return has | ({"conditional"} if self.game.num_classes else set())

    @functools.cached_property
    def _restores_by_chance(self) -> bool:
        """Whether anything that restoring computes is computed from the keys."""
        if self.game.ops.denoise_between is None:
            return False
        x_t, keys = np.zeros((1, *self.dataset.info.shape), np.float32), self.keys(1)
        restore = functools.partial(self.game.ops.denoise_between, self.players, x_t)
        traced = jax.make_jaxpr(lambda keys: restore(keys, start=1.0, end=0.0))(keys)
        [given] = traced.jaxpr.invars
        return any(given is read for step in traced.eqns for read in step.invars)

    def real(self, most: int, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Some of the split's examples, at most so many: x, and y as it is.

        The same ones every time, picked by chance: the first may be of one class.
        """
        examples = getattr(self.dataset, split)
        batch = examples.read(shuffled(len(examples))[:most])
        x = batch["x"]
        return images.from_uint8(x) if x.dtype == np.uint8 else x, batch["y"]

    def keys(self, number: int, stream: int = 0) -> jax.Array:
        """Keys [number]; streams share none."""
        index = np.arange(number, dtype=np.int32)
        return sample_keys((self.seed + 7919 * stream) % 2**32, index)

    def call(
        self,
        op: str,
        *,
        players: Players | None = None,
        options: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> np.ndarray:
        """An op on inputs [N, ...] by its names for them, in chunks.

        y is left out where the game is told no labels. board: by default the run's.
        options: what is the same for all, such as a time. Images that the op makes are
        as a viewer sees them.
        """
        if not self.game.num_classes:
            inputs.pop("y", None)
        players = players or self.players
        made = sampling.call(
            self.game.ops.by_name[op], players, inputs, **(options or {})
        )
        return _as_seen(made) if op in _MADE else made

    @functools.cached_property
    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """x and the labels asked for, all in turn, as `experiments.sample` draws them.

        PER_CLASS of a class of the dataset's, or of ten where it has none; without
        conditioning the labels are -1.
        """
        number = PER_CLASS * (self.dataset.info.num_classes or 10)
        classes = self.game.num_classes
        y = np.arange(number, dtype=np.int32) % max(1, classes)
        x = sampling.draw(
            self.game, self.players, number, self.seed, y if classes else None
        )
        return _as_seen(x), y if classes else np.full_like(y, -1)

    @functools.cached_property
    def codes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Held-out x [N, ...], labels and codes, q's means: N <= MAX_IMAGES."""
        x, y = self.real(MAX_IMAGES)
        return x, y, self.call("encode", x=x, y=y)

    def first_state(self) -> State:
        """The state before the run's first step."""
        example = data.prepared_like(self.dataset.info, 1)
        return init_state(self.game, jax.random.key(self.run.config.seed), example)


def shuffled(number: int) -> np.ndarray:
    """The places 0 .. number - 1 in an order by chance, always the same."""
    return np.random.default_rng(0).permutation(number)


def _as_seen(x: np.ndarray) -> np.ndarray:
    """Images [N, H, W, C] clipped to what a file can hold, [-1, 1]; points as they are.

    Flows and DDIM without noise end beyond it, where a judge has never been and may say
    anything.
    """
    return np.clip(x, -1, 1) if x.ndim == 4 else x


def load(folder: str | Path, *, raw: bool = False, seed: int = 0) -> Subject:
    """The newest checkpoint of a run's folder, its data included.

    raw: the last weights instead of the averaged ones. Raises UserError where there is
    no checkpoint, or it is of a game of one's own, whose data nothing is known of.
    """
    run = load_run(folder)
    if run.config is None:
        raise UserError(f"{folder} is of a game of its own: this needs a recipe")
    players = run.state.players if raw else averaged(run.state.players)
    return Subject(run.name, run, Path(folder), players, seed, raw)
