"""Checkpoints: a state and what it takes to rebuild its game, in one step directory.

Orbax writes `FOLDER/STEP/{state,meta}` in the background and commits it atomically.
`meta` is JSON: the format's version, the experiment's name, its configuration and the
data's shape. Nothing is pickled, and no module that a file names is imported.
"""

import concurrent.futures
import contextlib
import errno
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import experiment
from gen_jax.config import from_dict, to_dict
from gen_jax.data.dataset import Info
from gen_jax.errors import UserError
from gen_jax.game import Game, State, Tree, Weights, init_state
from gen_jax.runs.manifest import verify, write_manifest

FORMAT = 1  # raised when older checkpoints can no longer be read as they are
CHECKPOINTS = "checkpoints"  # a run's folder of step directories
_KEPT = 3

_T = TypeVar("_T")


class Run(NamedTuple):
    """What `load` gives back."""

    game: Game
    config: experiment.RunConfig | None
    state: State
    step: int


def make_meta(name: str, config: Any, info: Info) -> dict[str, Any]:
    """What a checkpoint of a registered experiment says of itself."""
    return {
        "experiment": name,
        "config": to_dict(config),
        "info": info._asdict(),
    }


def describe_batch(batch: Tree) -> Tree:
    """Shapes and dtypes as JSON, so that a state's structure can be built again."""
    return jax.tree.map(lambda x: {"shape": x.shape, "dtype": str(x.dtype)}, batch)


def _batch_like(described: Any) -> Tree:
    """`describe_batch` undone, as ShapeDtypeStructs."""
    if isinstance(described, list):
        return [_batch_like(item) for item in described]
    if set(described) == {"shape", "dtype"} and isinstance(described["dtype"], str):
        return jax.ShapeDtypeStruct(tuple(described["shape"]), described["dtype"])
    return {name: _batch_like(item) for name, item in described.items()}


def state_like(game: Game, batch: Tree, sharding: jax.sharding.Sharding) -> State:
    """The shapes, dtypes and places of a game's state, without computing it."""
    shapes = jax.eval_shape(partial(init_state, game), jax.random.key(0), batch)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes
    )


class Writer:
    """Writes a run's checkpoints in the background: the last 3, and every Nth.

    What a run that was killed left half written is removed: a folder takes one Writer
    at a time. name: what an error calls the state.
    """

    def __init__(
        self, folder: Path, keep_every_steps: int = 0, name: str = "the state"
    ):
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(
            max_to_keep=_KEPT, keep_period=keep_every_steps or None
        )
        self._folder = Path(folder).absolute()  # a relative one would write nothing
        self._name = name
        if jax.process_index() == 0:  # Orbax would do it at some time in a thread
            for left in self._folder.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(left, ignore_errors=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._written = None
        self._finite = jax.jit(_all_finite)

    def save(self, step: int, state: State, meta: Mapping[str, Any]) -> None:
        """Starts to write; the state's buffers may be donated as soon as it returns.

        Raises what `check` raises; such a state is never written.
        """
        from orbax.checkpoint import args

        self.check(step, state)
        if step == self._manager.latest_step():
            return
        composite = args.Composite(
            state=args.StandardSave(state), meta=args.JsonSave(dict(meta))
        )
        if not self._manager.save(step, args=composite):
            raise OSError(f"no checkpoint was written at step {step}")
        self._written = self._thread.submit(self._seal, step)

    def check(self, step: int, state: State) -> None:
        """Raises UserError for a state that is not finite.

        Raises OSError where an earlier write failed or there is no room for this one.
        """
        self.wait()
        check_room(self._folder, state)
        if not self._finite(state):
            raise UserError(
                f"{self._name} is no longer finite at step {step}; {self.last_kept()}"
            )

    def _seal(self, step: int) -> None:
        """Waits for the commit, and notes every file's hash for `verify`."""
        self._manager.wait_until_finished()
        if jax.process_index() == 0:
            write_manifest(self._folder / str(step))

    def wait(self) -> None:
        """Returns when all is on disk. Raises OSError where it could not be written."""
        written, self._written = self._written, None
        if written is None:
            return
        try:
            written.result()
        except OSError:
            raise
        except Exception as error:  # tensorstore has errors of its own for a full disk
            reason = str(error).rpartition(": ")[2]
            line = f"a checkpoint could not be written ({reason})"
            raise OSError(errno.EIO, line, str(self._folder)) from error

    def last_kept(self) -> str:
        """Says which checkpoint is the last, when all that was begun is written."""
        self.wait()
        last = self._manager.latest_step()
        return (
            f"the last checkpoint is step {last}"
            if last is not None
            else "none was written"
        )

    def close(self) -> None:
        """Waits and releases the threads. Raises OSError as `wait` does."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            with contextlib.suppress(Exception):  # it repeats the error of a write
                self._manager.close()


def check_room(folder: Path, state: State) -> None:
    """Raises OSError where the disk of a folder has no room for a state's checkpoint.

    Asked first, because Orbax tells of a full disk in hundreds of lines. What is no
    disk, or does not tell its size, has a total of 0: then writing tells.
    """
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    total, _, free = shutil.disk_usage(existing)
    if total and free < needed:
        line = f"no room for a checkpoint of {needed:,} bytes, the disk has {free:,}"
        raise OSError(errno.ENOSPC, line, str(folder))


def _all_finite(state: State) -> jax.Array:
    floating = [
        leaf
        for leaf in jax.tree.leaves(state)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in floating]))


def steps(folder: Path) -> list[int]:
    """The steps of the finished checkpoints below a folder, latest first."""
    if not (folder := Path(folder)).is_dir():
        return []
    folders = (entry.name for entry in folder.iterdir() if entry.is_dir())
    found = (int(name) for name in folders if re.fullmatch("0|[1-9][0-9]*", name))
    return sorted(found, reverse=True)


def read_meta(directory: Path) -> dict[str, Any]:
    """A step directory's meta. Raises UserError where it is damaged or too new."""
    directory = Path(directory)
    try:
        meta = json.loads((directory / "meta" / "metadata").read_text())
        newer = isinstance(meta, dict) and meta.get("format", FORMAT) > FORMAT
        if not newer:
            verify(directory, "meta")
            _check_meta(meta)
    except Exception as error:  # a damaged file may hold anything
        line = f"{directory} is no readable checkpoint: {_line(error)}"
        raise UserError(line) from error
    if newer:
        raise UserError(
            f"{directory} has format {meta['format']}; this version reads {FORMAT}"
        )
    return meta


def _check_meta(meta: Any) -> None:
    """Raises where JSON is not what `Recorder` and `make_meta` make a meta of."""
    if not isinstance(meta, dict) or "batch" not in meta:
        raise UserError("its meta describes no batch")
    _batch_like(meta["batch"])
    if "experiment" in meta:
        info_of(meta)
        if not isinstance(meta["experiment"], str):
            raise UserError(f"its experiment is called {meta['experiment']!r}")


def restore(directory: Path, like: State) -> State:
    """The state of one step directory, on the shapes and devices of `like`.

    like: ShapeDtypeStructs with shardings. Raises whatever Orbax raises for damage.
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(Path(directory).absolute() / "state", like)


def restore_first(
    directories: Sequence[Path], like: State, *, repair: bool = False
) -> tuple[State, Path]:
    """The first of several step directories that can be read, and which it is.

    A damaged one is passed over with a line on standard error. repair: move it aside,
    to `damaged/STEP` in the run's folder, so that its step can be written again.

    Raises UserError where none can be read; then nothing is moved.
    """
    return _first_readable(directories, lambda each: restore(each, like), repair)


def _first_readable(
    directories: Sequence[Path], read: Callable[[Path], _T], repair: bool = False
) -> tuple[_T, Path]:
    """What `read` makes of the first step directory that can be read, and which."""
    damaged = []
    for directory in directories:
        try:
            verify(directory)
            read_meta(directory)
            content = read(directory)
        except Exception as error:  # every layer below has its own classes for damage
            damaged.append((directory, _line(error)))
            continue
        for bad, why in damaged:
            print(f"{bad} is damaged ({why}); taking {directory}", file=sys.stderr)
            if repair:
                set_aside(bad, "damaged")
        return content, directory
    directory, why = damaged[0]
    raise UserError(f"the checkpoint {directory} cannot be read: {why}")


def set_aside(directory: Path, why: str) -> None:
    """Moves a step directory to `WHY/STEP` in the run's folder."""
    place = directory.parent.parent / why / directory.name
    place.parent.mkdir(exist_ok=True)
    while place.exists():
        place = place.with_name(place.name + "_")
    directory.rename(place)


def _line(error: Exception) -> str:
    """The start of an error's text on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]


def step_directories(path: str | Path) -> list[Path]:
    """The step directories that a path means, newest first.

    path: a run's folder, its `checkpoints`, or one step directory.
    Raises UserError where there is none.
    """
    path = Path(path).absolute()
    if (path / "state").is_dir():
        return [path]
    for folder in (path / CHECKPOINTS, path):
        if found := steps(folder):
            return [folder / str(step) for step in found]
    missing = "holds no checkpoint" if path.exists() else "does not exist"
    if runs := sorted(path.glob("seed_*")):
        missing = f"holds the runs of several seeds: name one, such as {runs[0]}"
    raise UserError(f"{path} {missing}")


def newest_meta(directories: Sequence[Path]) -> dict[str, Any]:
    """The meta of the newest directory whose meta can be read."""
    errors = []
    for directory in directories:
        try:
            return read_meta(directory)
        except UserError as error:
            errors.append(error)
    raise errors[0]


def info_of(meta: Mapping[str, Any]) -> Info:
    """What a checkpoint's meta says of its data; an older one lacks newer fields."""
    saved = meta["info"].items()
    return Info(**{k: tuple(v) if isinstance(v, list) else v for k, v in saved})


def load(path: str | Path, game: Game | None = None) -> Run:
    """A run from its folder (the newest readable checkpoint), or from one checkpoint.

    game: for a game of one's own; otherwise the experiment registered under the name
    that the checkpoint bears builds it. The state lies on the default device.

    Raises UserError where there is no checkpoint, or none that fits the game.
    """
    directories = step_directories(path)
    meta, config = newest_meta(directories), None
    if game is None:
        if "experiment" not in meta:
            raise UserError(f"{path} is of a game of its own: load(path, game=...)")
        recipe = experiment.find(meta["experiment"])
        config = from_dict(recipe.config, meta["config"])
        game = recipe.build(config, info_of(meta))
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = state_like(game, _batch_like(meta["batch"]), device)
    state, _ = restore_first(directories, like)
    return Run(game, config, state, int(state.step))


def load_params(path: str | Path, ema: int | None = None) -> dict[str, Weights]:
    """Every player's weights as numpy arrays, with no game and no model code.

    ema: which of the averaged weights (0 is the first half-life) to take where a
    player has them; None for the raw ones.

    Raises UserError where there is no checkpoint, or none can be read.
    """
    players, _ = _first_readable(step_directories(path), _restore_weights)
    return {
        name: Weights(**player["ema"][ema])
        if ema is not None and player["ema"]
        else Weights(player["params"], player["mutable"])
        for name, player in players.items()
    }


def _restore_weights(directory: Path) -> dict[str, Any]:
    """{player: {"params", "mutable", "ema"}} of a step directory, as numpy arrays."""
    import orbax.checkpoint as ocp

    saved = ocp.PyTreeCheckpointHandler().metadata(directory / "state").tree["players"]
    kinds = ("params", "mutable", "ema")
    item = {
        "players": {
            name: {kind: player[kind] for kind in kinds}
            for name, player in saved.items()
        }
    }
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
    arguments = ocp.args.PyTreeRestore(
        item, restore_args=as_numpy, partial_restore=True
    )
    checkpointer = ocp.PyTreeCheckpointer()
    return checkpointer.restore(directory / "state", arguments)["players"]
