"""The pictures that a run draws while it trains, with the averaged weights."""

import concurrent.futures
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from gen_jax import devices, images
from gen_jax.data.summary import Summary
from gen_jax.errors import UserError, named
from gen_jax.game import Game, Players, Tree, averaged
from gen_jax.runs.class_choice import drawn_classes
from gen_jax.runs.folder import Folder
from gen_jax.step import sample_keys

Draw = Callable[[Players, int], jax.Array]
Arrange = Callable[[np.ndarray], np.ndarray]

COLUMNS = "sample_columns"  # the entry of a checkpoint's meta with `column_names`
_SAMPLES = 64  # in a picture, at most
_MAX_COLUMNS = 16  # of a grid with one column per class


class Pictures:
    """Draws pictures on the device and writes their PNG files in the background."""

    def __init__(
        self, game: Game, held_out: Tree | None, summary: Summary | None = None
    ):
        """Store the game; `trace` or `start` compiles. See `picture_functions`."""
        translates = bool(game.ops.translate) and held_out is not None
        self._op = "translate" if translates else "sample"
        shows = translates or game.ops.sample
        self._functions = picture_functions(game, held_out, summary) if shows else None
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._started: list[concurrent.futures.Future] = []

    def trace(self, players: Players) -> None:
        """Trace the op that draws, for players as ShapeDtypeStructs; compute nothing.

        Raises UserError if that fails, as the first picture would.
        """
        if self._functions is None:
            return
        draw, _ = self._functions
        with named(f"this game's op {self._op!r} fails"):
            shape = np.shape(draw(players, 0))
        images.check_picture(shape)

    def start(self, step: int, each: Iterable[tuple[int, Folder, Players]]) -> None:
        """Draw a picture of each run, given its seed, folder and players."""
        if self._functions is None:
            return
        draw, arrange = self._functions
        self.wait()

        def write(folder: Folder, drawn: jax.Array) -> None:
            folder.picture(step, arrange(np.asarray(drawn)))

        for seed, folder, players in each:
            drawn = draw(players, seed)
            if jax.process_index() == 0:
                self._started.append(self._pool.submit(write, folder, drawn))

    def wait(self) -> int:
        """Return the number of pictures written since the last call; raise errors."""
        written, self._started = self._started, []
        for picture in written:
            picture.result()
        return len(written)

    def close(self) -> None:
        """Release the thread."""
        self._pool.shutdown()


def picture_functions(
    game: Game, held_out: Tree | None, summary: Summary | None = None
) -> tuple[Draw, Arrange]:
    """Return (players, seed) -> images, and images -> picture, uint8 [H, W, 1 or 3].

    The latents or the held-out inputs are the same at every call with one seed.
    held_out: {"x", "y"}, prepared pairs for a game that translates; None for no pairs.
    summary: of the training data; classes without training examples are not drawn.

    Raises UserError if the game has nothing to show.
    """
    translate, sample = game.ops.translate, game.ops.sample
    if translate is not None and held_out is not None:
        x, y = held_out["x"], held_out["y"]

        def translated(players, keys):
            return translate(averaged(players), x, keys)

        def arrange(y_hat):
            return images.side_by_side(x, y_hat, y)

        return _seeded(translated, len(x)), arrange
    if sample is None:
        raise UserError("this game draws no pictures: it has no op `sample`")
    classes = drawn_classes(game, summary)
    columns = class_columns(len(classes))
    number = whole_rows(_SAMPLES, columns)
    labels = np.resize(np.asarray(classes, np.int32), number)
    options = {"y": labels} if game.num_classes else {}

    def drawn(players, keys):
        return sample(averaged(players), keys, **options)

    return _seeded(drawn, number), lambda x: images.picture(x, columns)


def column_names(game: Game, summary: Summary) -> list[str]:
    """Return the class of each column of a run's pictures; [] for other pictures."""
    classes = drawn_classes(game, summary) if game.ops.sample else []
    if class_columns(len(classes)) is None:
        return []
    return [summary.classes[label].name for label in classes]


def class_columns(num_classes: int) -> int | None:
    """Return the columns of a grid with one class each; None for another grid."""
    return num_classes if 0 < num_classes <= _MAX_COLUMNS else None


def whole_rows(number: int, columns: int | None) -> int:
    """Return how many of `number` images make whole rows; all of them if under one."""
    return number - number % columns or number if columns else number


def _seeded(draw: Callable, number: int) -> Draw:
    """Return (players, seed) -> draw(players, keys [number]), compiled once.

    For players as ShapeDtypeStructs it is only traced.
    """
    compiled: Any = devices.jit(draw)
    index = np.arange(number, dtype=np.int32)

    def drawn(players, seed):
        leaves, keys = jax.tree.leaves(players), sample_keys(seed, index)
        traced = any(isinstance(x, jax.ShapeDtypeStruct) for x in leaves)
        return (compiled.eval_shape if traced else compiled)(players, keys)

    return drawn
