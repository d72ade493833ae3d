"""Evaluation: a trained run, its data, and how it is to be measured or drawn.

    evaluation = Evaluation(run, data.load(run.config.data), folder=folder)
    x = evaluation.apply("decode", z=z, y=y)

Measures compute numbers of it, figures draw it.
"""

import contextlib
import dataclasses
import functools
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import data, devices, images, progress, sampling
from gen_jax.data.class_names import class_names, shown
from gen_jax.data.dataset import digest_of, digest_of_value, identified
from gen_jax.errors import UserError
from gen_jax.evaluation.chunks import SIZE, Chunks, load_array, save_array
from gen_jax.evaluation.halves import shuffled
from gen_jax.evaluation.preset import QUICK, Preset
from gen_jax.evaluation.run_data import check_fits, trained_on
from gen_jax.evaluation.samples import Samples
from gen_jax.game import Game, Players, State, Tree, averaged, init_state
from gen_jax.metrics.intervals import GROUPS
from gen_jax.metrics.networks import classifier
from gen_jax.metrics.networks.features import FeatureNetwork
from gen_jax.runs.run import Run, load
from gen_jax.step import sample_keys

MAX_CODES = 2000  # images that are encoded
REAL_BLOCK = 512  # real images that are read and converted at a time
_MADE = ("sample", "decode", "reconstruct", "translate")  # ops that make examples


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A run, its data, and how it is to be measured or drawn.

    folder: where samples and bounds are stored, so that they are computed once.
    seed: of all random numbers. raw: use the last weights, not the averaged ones.
    networks: networks on whose features samples are compared.
    options: of the sampling op, in place of its defaults.
    out: folder of evaluation.json; None for the run's own.
    program: a text that identifies the game's code; what is stored of another one is
        not used. "" for an experiment's.

    Arrays: labels are int32 [N], latents z [N, ...], examples x float32 [N, ...];
    images are in [-1, 1].
    """

    run: Run
    dataset: data.Dataset
    folder: Path
    preset: Preset = QUICK
    seed: int = 0
    raw: bool = False
    networks: tuple[FeatureNetwork, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    out: Path | None = None
    program: str = ""

    @property
    def place(self) -> Path | None:
        """Return the folder of evaluation.json; None if the run has no folder."""
        return self.out or self.run.folder

    @property
    def pictures(self) -> Path:
        """Return the folder of the measures' pictures, next to evaluation.json."""
        return self.place / "evaluation" if self.place else self.folder

    @property
    def game(self) -> Game:
        """Return the run's game."""
        return self.run.game

    @functools.cached_property
    def players(self) -> Players:
        """Return the players with the weights that are evaluated."""
        players = self.run.state.players
        return players if self.raw else averaged(players)

    @property
    def which_weights(self) -> str:
        """Return "averaged", or "raw"; "raw" also if no player has an average."""
        has_any = any(player.ema for player in self.run.state.players.values())
        return "averaged" if has_any and not self.raw else "raw"

    @property
    def name(self) -> str:
        """Return the name of the run's experiment."""
        return self.run.name or "a game of its own"

    @property
    def training_seed(self) -> int | None:
        """Return the seed of the training; None if it has no configuration."""
        return self.run.config.seed if self.run.config else None

    @property
    def about_run(self) -> dict[str, Any]:
        """Return the run's folder, experiment, data and training seed, as JSON."""
        folder, config = self.run.folder, self.run.config
        return {
            "folder": str(folder) if folder else None,
            "experiment": self.name,
            "data": config.data.spec if config else "",
            "training_seed": self.training_seed,
        }

    @functools.cached_property
    def weights(self) -> str:
        """Return a hash of the weights, and of the program if that is known."""
        leaves = [(p.params, p.mutable) for _, p in sorted(self.players.items())]
        arrays = digest_of(map(np.asarray, jax.tree.leaves(leaves)))
        return digest_of_value((arrays, self.program)) if self.program else arrays

    @functools.cached_property
    def classifier(self) -> classifier.Classifier:
        """Return a classifier of the dataset's labels, trained on real examples."""
        return classifier.trained(self.dataset)

    @functools.cached_property
    def capabilities(self) -> set[str]:
        """Return the names of everything that the run and its data offer.

        They are the names of the game's ops, and these: "images" (the data are images),
        "labels" (the data have labels of two classes or more), "conditional" or
        "unconditional" (whether the game takes labels), "random_denoising" (denoising
        adds noise).
        """
        info, found = self.dataset.info, set(self.game.ops.by_name)
        found |= {"images"} if len(info.shape) == 3 else set()
        found |= {"labels"} if info.num_classes > 1 else set()
        found |= {"random_denoising"} if self._denoises_at_random else set()
        return found | {"conditional" if self.game.num_classes else "unconditional"}

    @property
    def _denoises_at_random(self) -> bool:
        """Return whether any value that denoising computes depends on the keys."""
        if self.game.ops.denoise_between is None:
            return False
        x_t, keys = np.zeros((1, *self.dataset.info.shape), np.float32), self.keys(1)
        op = functools.partial(self.game.ops.denoise_between, self.players, x_t)
        traced = jax.make_jaxpr(lambda keys: op(keys, start=1.0, end=0.0))(keys)
        [given] = traced.jaxpr.invars
        return any(given is read for step in traced.eqns for read in step.invars)

    def real(self, number: int, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
        """Return N <= number examples x [N, ...] of a split, and y [N] as it is stored.

        They are a random choice, the same at every call: the first examples of a file
        may all be of one class. If the game takes labels, those without are left out.

        Raises UserError if no example is left.
        """
        blocks = list(self.real_blocks(number, split))
        if not blocks:
            count = min(number, len(getattr(self.dataset, split)))
            raise UserError(
                f"this model takes labels, and none of {count} {split} images has one"
            )
        x, y = map(np.concatenate, zip(*blocks, strict=True))
        return x, y

    def real_blocks(
        self, number: int, split: str = "test"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the examples of `real` in blocks; none if no example is left."""
        examples = getattr(self.dataset, split)
        places = shuffled(len(examples))[:number]
        for start in range(0, len(places), REAL_BLOCK):
            batch = examples.read(places[start : start + REAL_BLOCK])
            x, y = batch["x"], batch["y"]
            if self.game.num_classes and y.ndim == 1 and (y < 0).any():
                x, y = x[y >= 0], y[y >= 0]
            if len(y):
                yield images.from_uint8(x), y

    def held_out(self, number: int) -> np.ndarray:
        """Return N <= number random test examples [N, ...] as they are stored."""
        test = self.dataset.test
        places = np.array_split(shuffled(len(test))[:number], -(-number // SIZE))
        parts = [test.read(part)["x"] for part in places if len(part)]
        return np.concatenate(parts)

    def class_name(self, label: int) -> str:
        """Return a class's name as all lines show it; its number if it has none."""
        names = class_names(self.dataset.info)
        return shown(names[label]) if 0 <= label < len(names) else str(label)

    @functools.cached_property
    def stores_uint8(self) -> bool:
        """Return whether the data are stored as uint8."""
        return self.dataset.train.read([0])["x"].dtype == np.uint8

    def with_options(self, options: Mapping[str, Any]) -> "Evaluation":
        """Return the same evaluation with other options of the sampling op."""
        return dataclasses.replace(self, options=options)

    def keys(self, number: int, stream: int = 0) -> jax.Array:
        """Return random keys [number]; two streams have no key in common."""
        index = jnp.arange(number, dtype=jnp.int32)
        return sample_keys((self.seed + 7919 * stream) % 2**32, index)

    def labels(self, number: int, start: int = 0) -> np.ndarray:
        """Return int32 [number], each of `classes` in turn; 0 for a game without."""
        known = range(self.game.num_classes)
        drawn = np.array([k for k in self.classes if k in known] or [0], np.int32)
        return drawn[np.arange(start, start + number) % len(drawn)]

    @functools.cached_property
    def classes(self) -> list[int]:
        """Return the labels of the classes that have training examples."""
        return data.summarize(self.dataset).drawn_classes

    def apply(
        self,
        op: str,
        *,
        players: Players | None = None,
        options: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> Tree:
        """Return an op's results [N, ...] for inputs [N, ...], given by name.

        y is left out if the game takes no labels. players: by default the run's.
        options: arguments that are the same for all examples, such as a time. Images
        that the op makes are clipped to [-1, 1].
        """
        if not self.game.num_classes:
            inputs.pop("y", None)
        players = players or self.players
        made = sampling.call(
            self.game.ops.by_name[op], players, inputs, **(options or {})
        )
        # Flows and DDIM may leave [-1, 1]. No classifier was trained on such images.
        return np.clip(made, -1, 1) if op in _MADE and made.ndim == 4 else made

    @functools.cached_property
    def samples(self) -> Samples:
        """Return the preset's number of samples, at most half the training examples.

        They are computed when they are read. Raises UserError if there is one training
        example, which has no half.
        """
        number = self.preset.samples
        if not self.preset.whole_reference:
            number = min(number, self._half)
        if number < 1:
            raise UserError(
                "there are as many samples as half of the training examples: needs at "
                f"least 2 of them, and there is {len(self.dataset.train)}"
            )
        return Samples(self, number)

    @property
    def size(self) -> int:
        """Return the number of examples in each set that is compared."""
        return min(self.preset.samples, self._half)

    @property
    def max_features(self) -> int:
        """Return the largest number of features for which sets have a covariance.

        A covariance needs more examples than features, and the jackknife leaves out a
        tenth of the examples.
        """
        return self.size - -(-self.size // GROUPS) - 1

    @functools.cached_property
    def codes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return test examples x, their y and their codes, the means of q: [N, ...]."""
        x, y = self.real(MAX_CODES)
        return x, y, self.apply("encode", x=x, y=y)

    def first_state(self) -> State:
        """Return the state before the run's first step."""
        example = data.prepared_like(self.dataset.info, 1)
        return init_state(self.game, jax.random.key(self.training_seed or 0), example)

    @property
    def _half(self) -> int:
        return len(self.dataset.train) // 2

    def reference(self) -> np.ndarray:
        """Return places int [2 N] of random training examples for N samples.

        Samples are compared with the first half of them.
        """
        size = min(self._half, self.preset.samples)
        return shuffled(len(self.dataset.train))[: 2 * size]

    @property
    def chunks(self) -> Chunks:
        """Return the store of arrays computed of real images with these weights."""
        key = digest_of_value((self.weights, self.seed, self.dataset.digest))
        return Chunks(self.folder, key)

    def features(self, network: FeatureNetwork, places: np.ndarray) -> np.ndarray:
        """Return features float32 [N, dim] of training examples, from a cache."""
        name = f"{self.dataset.digest}-{network.name}-{network.sha256[:16]}"
        path = devices.cache_folder("features")
        path /= f"{name}-{digest_of((places,))[:16]}.npy"
        if (kept := load_array(path)) is not None:
            return kept
        features = np.zeros((len(places), network.dim), np.float32)
        name = f"{network.name} features of training images"
        for start, stop in progress.blocks(name, len(places), SIZE):
            x = self.dataset.train.read(places[start:stop])["x"]
            features[start:stop] = network.features(x)
        with contextlib.suppress(OSError):  # a full disk costs time alone
            save_array(path, features)
        return features

    def about_samples(self, number: int) -> dict[str, Any]:
        """Return the number of samples and the sampling options, as a context."""
        sampling = self.game.ops.sampling_options or dict
        return {"samples": number, **sampling(**self.options)}


@contextlib.contextmanager
def of_game(
    game: Game,
    state: State,
    dataset: data.Dataset,
    folder: str | Path | None,
    **fields: Any,
) -> Iterator[Evaluation]:
    """Yield the evaluation of a game of one's own.

    Everything is computed anew: nothing says whether the game's code has changed since
    an earlier evaluation. Samples are stored for as long as the context lasts.

    state: also a `Run` of this game.
    folder: the run's folder, which gets evaluation.json and the pictures; None for no
        files. fields: of `Evaluation`.

    Raises UserError for arguments of other types.
    """
    state = state.state if isinstance(state, Run) else state
    for given, kind in ((game, Game), (state, State), (dataset, data.Dataset)):
        if not isinstance(given, kind):
            raise UserError(
                f"a value of type {type(given).__name__} stands for a {kind.__name__}: "
                "give the game, a state as `fit` returns it, and a whole dataset"
            )
    place, program = Path(folder) if folder else None, secrets.token_hex()
    run = Run(None, dataset.info, game, None, state, int(state.step), place)
    with tempfile.TemporaryDirectory() as temporary:
        yield Evaluation(
            run, identified(dataset), Path(temporary), program=program, **fields
        )


def of_folder(
    folder: str | Path,
    *,
    spec: str | None = None,
    out: str | Path | None = None,
    **fields: Any,
) -> Evaluation:
    """Return the evaluation of the newest checkpoint in a run's folder, data loaded.

    spec: the place of the run's data, if they were moved; None for that of the
        training. out: the folder to write to; None for the run's.
    fields: of `Evaluation`.

    Raises UserError if there is no checkpoint, if the run is of a game of one's own,
    whose data are not known, and as `trained_on`.
    """
    run = load(folder)
    assert run.config is not None  # `load` was not given a game
    config, dataset = trained_on(folder, run.config.data, spec)
    run = run._replace(config=dataclasses.replace(run.config, data=config))
    check_fits(run, dataset)
    place = Path(out) if out else None
    return Evaluation(
        run, dataset, (place or Path(folder)) / "evaluation", out=place, **fields
    )
