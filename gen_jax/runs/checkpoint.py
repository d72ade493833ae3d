"""Checkpoints: a run's state at one step, with the means to rebuild its game.

Format 2. A step directory `RUN/checkpoints/STEP` holds

    state/         the step number and every player that learns, written by Orbax
    meta.json      format, experiment, configuration, shapes, digests of frozen players
    manifest.json  the SHA-256 of each of these files

All of it is written to `checkpoints/.STEP.tmp` first. Renaming that folder to `STEP`
commits the checkpoint, so a kill leaves either a complete, verifiable checkpoint or
none. The next Writer removes the unfinished folder. Nothing is pickled.

`meta.json` with its `format`, and `manifest.json`, have these names in every later
format: a reader can then tell a newer checkpoint from a damaged one.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gen_jax import console
from gen_jax.contracts import first_different_leaf
from gen_jax.errors import UserError, one_line
from gen_jax.game import Game, State, Tree, init_state
from gen_jax.runs import description, frozen, identity, orbax_logs
from gen_jax.runs.manifest import DamagedError, read_manifest, refusals, verify

FORMAT = 2  # raised when older checkpoints can no longer be read as they are
_REMEDY = "copy it again from a backup, or train again in another folder"
CHECKPOINTS = "checkpoints"  # the folder of step directories in a run's folder
META = "meta.json"


class Checkpoint(NamedTuple):
    """One step directory, verified, and its meta."""

    directory: Path
    meta: dict[str, Any]


def run_folder(directory: Path) -> Path:
    """Return the folder of the run that a step directory belongs to."""
    return directory.absolute().parent.parent


def describe_batch(batch: Tree) -> Tree:
    """Return the shapes and dtypes of a batch [B, ...] as JSON.

    A state's structure can be rebuilt from them.
    """
    return jax.tree.map(lambda x: {"shape": x.shape, "dtype": str(x.dtype)}, batch)


def batch_like(described: Any) -> Tree:
    """Return the ShapeDtypeStructs [B, ...] that `describe_batch` described.

    Raises UserError for another value, and TypeError for another shape or dtype.
    """
    if described is None:
        return None
    if isinstance(described, list):
        return [batch_like(item) for item in described]
    if not isinstance(described, dict):
        raise UserError(f"the batch was saved as {described!r:.40}: it has no shapes")
    if described.keys() == {"shape", "dtype"} and isinstance(described["dtype"], str):
        return jax.ShapeDtypeStruct(tuple(described["shape"]), described["dtype"])
    return {name: batch_like(item) for name, item in described.items()}


def state_like(game: Game, batch: Tree, sharding: jax.sharding.Sharding) -> State:
    """Return a game's state as ShapeDtypeStructs with shardings; nothing is computed.

    batch: an example batch, arrays or ShapeDtypeStructs [B, ...].
    """
    shapes = jax.eval_shape(partial(init_state, game), jax.random.key(0), batch)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes
    )


def steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder, latest first."""
    if not folder.is_dir():
        return []
    folders = (entry.name for entry in folder.iterdir() if entry.is_dir())
    # Not `int` alone: it would take "007" and "1_0" for steps.
    found = (int(name) for name in folders if re.fullmatch("0|[1-9][0-9]*", name))
    return sorted(found, reverse=True)


def step_directories(path: str | Path) -> list[Path]:
    """Return the step directories below a path, latest step first.

    path: a run's folder, its `checkpoints`, or one step directory.

    Raises UserError if there is none.
    """
    path = Path(path).expanduser().absolute()
    if (path / "state").is_dir() or (path / META).exists():
        return [path]
    for folder in (path / CHECKPOINTS, path):
        if found := steps(folder):
            return [folder / str(step) for step in found]
    missing = "holds no checkpoint" if path.exists() else "does not exist"
    if runs := sorted(path.glob("seed_*")):
        missing = f"holds the runs of several seeds: name one, such as {runs[0]}"
    raise UserError(f"{path} {missing}")


def read_meta(directory: Path) -> dict[str, Any]:
    """Return the meta of a step directory, verified.

    Raises DamagedError if the file has changed since it was written, and UserError for
    a format that this version does not read.
    """
    if not (directory / META).exists() and (directory / "meta" / "metadata").exists():
        raise UserError(
            f"{directory} has format 1; this version reads format {FORMAT}; "
            "train again or use version 0.1"
        )
    with refusals(directory):
        sealed, meta = read_manifest(directory), _parsed(directory / META)
    is_other = isinstance(meta, dict) and meta.get("format", FORMAT) != FORMAT
    # Another format may seal its files in another way; ours tells damage from it.
    if is_other and META not in (sealed or {}):
        raise _other_format(directory, meta)
    try:
        verify(directory, META)
    except DamagedError as error:
        raise DamagedError(f"{directory} is damaged: {error}") from error
    if is_other:
        raise _other_format(directory, meta)
    if line := description.problem(meta):
        raise UserError(f"{directory} was not written by gen_jax: in {META}, {line}")
    return meta


def _parsed(path: Path) -> Any:
    """Return the content of a JSON file; None if it is missing or is not JSON."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError):
        return None


def _other_format(directory: Path, meta: dict[str, Any]) -> UserError:
    return UserError(
        f"{directory} has format {meta['format']!r}; this version reads format "
        f"{FORMAT}; install a newer gen_jax"
    )


def newest_meta(directories: Sequence[Path]) -> dict[str, Any]:
    """Return the meta of the checkpoint that `newest` would return; print nothing."""
    return _newest(directories)[0].meta


def newest(directories: Sequence[Path], *, repair: bool = False) -> Checkpoint:
    """Return the first of several step directories that is not damaged.

    A damaged one is skipped with a line on standard error. repair: also move it to
    `damaged/STEP` in the run's folder, so that its step can be written again.

    Raises UserError if all are damaged, or of a format that this version does not read.
    Also raises it if the operating system refuses to read a file, or if the checkpoint
    belongs to another run than its folder. Then nothing is moved.
    """
    found, damaged = _newest(directories)
    for bad, why in damaged:
        console.tell(f"{bad} is damaged ({why}); taking {found.directory}")
        if repair:
            set_aside(bad, "damaged")
    return found


def _newest(directories: Sequence[Path]) -> tuple[Checkpoint, list[tuple[Path, str]]]:
    """Return the newest undamaged checkpoint, and the damaged ones with the reasons."""
    damaged: list[tuple[Path, str]] = []
    for directory in directories:
        try:
            meta = read_meta(directory)
            # Orbax notices truncated files only when it reads them.
            verify(directory)
            for digest in meta["frozen"].values():
                frozen.check(run_folder(directory), digest)
        except DamagedError as error:
            why = str(error).removeprefix(f"{directory} is damaged: ")
            damaged.append((directory, why))
            continue
        # A checkpoint that was copied elsewhere has no run to compare with.
        if directory.parent.name == CHECKPOINTS:
            identity.check_own_folder(run_folder(directory), meta, directory)
        return Checkpoint(directory, meta), damaged
    directory, why = damaged[0]
    raise UserError(f"the checkpoint {directory} cannot be read: {why}; {_REMEDY}")


def set_aside(directory: Path, why: str) -> None:
    """Move a step directory to `WHY/STEP` in the run's folder."""
    place = run_folder(directory) / why / directory.name
    place.parent.mkdir(exist_ok=True)
    while place.exists():  # the same step may be damaged twice
        place = place.with_name(place.name + "_")
    directory.rename(place)


def restore(checkpoint: Checkpoint, like: State) -> State:
    """Return the state of a checkpoint, on the shapes and devices of `like`.

    like: ShapeDtypeStructs with shardings, of every player.

    Raises UserError with the name of the first leaf that differs from `like`.
    """
    places = _frozen_places(checkpoint)
    if unknown := [name for name in places if name not in like.players]:
        line = f"players.{unknown[0]}: unknown, the game has none"
        raise _does_not_fit(checkpoint, line)
    # Frozen by the checkpoint's meta: their arrays lie elsewhere.
    learn = {name: x for name, x in like.players.items() if name not in places}
    learned = like._replace(players=learn)
    state = _restore_tree(checkpoint, checkpoint.directory / "state", learned, "")
    players = {
        name: state.players[name]
        if name in learn
        else _restore_tree(checkpoint, places[name], x, f"players.{name}")
        for name, x in like.players.items()
    }
    return state._replace(players=players)


def restore_weights(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return {player: {"params", "mutable", "ema"}} as numpy arrays, without a game."""

    def of_all(tree):
        return {"players": {n: of_one(player) for n, player in tree["players"].items()}}

    def of_one(player):
        return {kind: player[kind] for kind in ("params", "mutable", "ema")}

    learned = _restore_arrays(checkpoint.directory / "state", of_all)["players"]
    places = _frozen_places(checkpoint).items()
    return learned | {name: _restore_arrays(place, of_one) for name, place in places}


def _frozen_places(checkpoint: Checkpoint) -> dict[str, Path]:
    """Return the folder that holds the arrays of each frozen player."""
    run = run_folder(checkpoint.directory)
    digests = checkpoint.meta["frozen"].items()
    return {name: frozen.directory(run, digest) / "state" for name, digest in digests}


def _does_not_fit(checkpoint: Checkpoint, line: str) -> UserError:
    return UserError(
        f"the checkpoint {checkpoint.directory} does not fit the game: {line}; "
        "build the game that it was trained with"
    )


def _restore_tree(checkpoint: Checkpoint, place: Path, like: Tree, name: str) -> Any:
    """Restore the tree at `place`; name: the path of its root in the state."""
    import orbax.checkpoint as ocp

    with _read_by_orbax(place):
        saved = ocp.PyTreeCheckpointHandler().metadata(place).tree
    if line := first_different_leaf(saved, like, name, "the game"):
        raise _does_not_fit(checkpoint, line)
    with _read_by_orbax(place), ocp.StandardCheckpointer() as checkpointer:
        # Without `like`, Orbax restores only on devices like those that wrote it.
        return checkpointer.restore(place, like)


def _restore_arrays(place: Path, choose: Callable[[Tree], Tree]) -> Any:
    """Restore the part of a tree that `choose` returns, as numpy arrays."""
    import orbax.checkpoint as ocp

    with _read_by_orbax(place):
        item = choose(ocp.PyTreeCheckpointHandler().metadata(place).tree)
        # As NumPy arrays, so that the devices of the writer are not needed.
        numpy = ocp.RestoreArgs(restore_type=np.ndarray)
        arguments = ocp.args.PyTreeRestore(
            item,
            restore_args=jax.tree.map(lambda _: numpy, item),
            partial_restore=True,  # does not read what `item` lacks, such as Adam's
        )
        return ocp.PyTreeCheckpointer().restore(place, arguments)


@contextlib.contextmanager
def _read_by_orbax(place: Path) -> Iterator[None]:
    """Raise errors of the body as UserError; damage was excluded before."""
    orbax_logs.silence()
    try:
        yield
    except Exception as error:  # each layer below Orbax has its own classes
        reason = one_line(error)[:200]
        raise UserError(
            f"{place} is undamaged, but cannot be read: {reason}; try again "
            "with the versions of jax and orbax-checkpoint in the run's config.json"
        ) from error
