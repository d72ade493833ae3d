"""Write a run's checkpoints in the background; `checkpoint.py` describes the format."""

import concurrent.futures
import errno
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax

from gen_jax.errors import DivergedError
from gen_jax.files import write_json
from gen_jax.game import State
from gen_jax.runs import finite, frozen, orbax_logs
from gen_jax.runs.checkpoint import FORMAT, META, run_folder, steps
from gen_jax.runs.manifest import write_manifest

_KEPT = 3
# Orbax's descriptions, measured with 15 to 1,015 leaves; at most so much was taken.
_BYTES_BESIDES = 100_000
_BYTES_BESIDES_A_LEAF = 1400


class Writer:
    """Writes checkpoints into a folder: it keeps the last 3, and every Nth.

    A folder takes one Writer at a time: it removes the unfinished checkpoints that it
    finds. name: name of the state in errors. frozen_players: names of the players
    that never change.
    """

    def __init__(
        self,
        folder: Path,
        keep_every_steps: int = 0,
        name: str = "the state",
        frozen_players: Collection[str] = (),
    ):
        import orbax.checkpoint as ocp

        orbax_logs.silence()
        self._folder = Path(folder).absolute()  # Orbax writes nothing to a relative one
        self._keep_every_steps, self._name = keep_every_steps, name
        self._leads = jax.process_index() == 0
        if self._leads:
            for left in self._folder.glob(".*.tmp"):
                shutil.rmtree(left, ignore_errors=True)
        self._latest = next(iter(steps(self._folder)), None)
        self._frozen_players = frozen_players
        self._digests: dict[str, str] | None = None
        self._checkpointer = ocp.StandardCheckpointer()
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._written: concurrent.futures.Future | None = None

    def save(self, step: int, state: State, meta: Mapping[str, Any]) -> None:
        """Start to write; the state's buffers may be donated as soon as it returns.

        Raises the errors of `check`; such a state is never written.
        """
        self.check(step, state)
        if step == self._latest:  # the last step may also be a scheduled one
            return
        unfinished = self._folder / f".{step}.tmp"
        learned = dict(state.players)
        kept = {name: learned.pop(name) for name in self._frozen_players}
        try:
            digests = self._keep_frozen(kept)
            state = state._replace(players=learned)
            self._checkpointer.save(unfinished / "state", state)
        except Exception as error:
            raise self._not_written(error) from error
        meta = {**meta, "format": FORMAT, "frozen": digests}
        self._written = self._thread.submit(self._commit, unfinished, step, meta)
        self._latest = step

    def check(self, step: int, state: State) -> None:
        """Check that a state can be saved.

        Raises DivergedError if it is not finite; OSError if there is no room, or if
        an earlier write failed.
        """
        self.wait()
        check_room(self._folder, state)
        if leaf := finite.leaves(state).first_broken():
            raise DivergedError(
                f"{self._name} ({leaf}) is no longer finite at step {step}; "
                f"{self.last_kept()}"
            )

    def _keep_frozen(self, players: Mapping[str, Any]) -> dict[str, str]:
        """Return the frozen players' digests; the first call writes the players."""
        if self._digests is None:
            run = run_folder(self._folder / "STEP")
            self._digests = {
                n: frozen.keep(run, player) for n, player in players.items()
            }
        return self._digests

    def _commit(self, unfinished: Path, step: int, meta: Mapping[str, Any]) -> None:
        """Wait for the arrays, add meta and manifest, and rename the folder."""
        # `save` returned before the arrays were on disk.
        self._checkpointer.wait_until_finished()
        if not self._leads:
            return
        write_json(unfinished / META, meta)
        write_manifest(unfinished)
        # The rename commits: it is atomic, and the manifest is already inside.
        unfinished.rename(self._folder / str(step))
        for old in steps(self._folder)[_KEPT:]:
            if not self._keep_every_steps or old % self._keep_every_steps:
                # Renamed first: a kill while deleting would leave half a checkpoint.
                removed = self._folder / f".{old}.tmp"
                (self._folder / str(old)).rename(removed)
                shutil.rmtree(removed)

    def wait(self) -> None:
        """Return when all is on disk. Raises OSError if it could not be written."""
        # Forgotten first, so that a failed write is raised once.
        written, self._written = self._written, None
        if written is None:
            return
        try:
            written.result()
        except Exception as error:
            raise self._not_written(error) from error

    def _not_written(self, error: Exception) -> OSError:
        """Return an error as OSError: TensorStore has other classes for a full disk."""
        if isinstance(error, OSError):
            return error
        reason = str(error).rpartition(": ")[2]
        line = f"a checkpoint could not be written ({reason})"
        return OSError(errno.EIO, line, str(self._folder))

    def last_kept(self) -> str:
        """Name the last checkpoint, after the write that was started is finished."""
        self.wait()
        last = next(iter(steps(self._folder)), None)
        if last is None:
            return "no checkpoint was written"
        return f"the last checkpoint is step {last}"

    def close(self) -> None:
        """Wait and release the threads. Raises OSError as `wait` does."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            self._checkpointer.close()


def check_room(folder: Path, state: State) -> None:
    """Raise OSError if the disk of a folder has no room for a state's checkpoint.

    Orbax would report a full disk in hundreds of lines. Some file systems report a
    total size of 0: then free space is unknown, and nothing is raised.
    """
    leaves = jax.tree.leaves(state)
    needed = sum(leaf.nbytes + _BYTES_BESIDES_A_LEAF for leaf in leaves)
    needed += _BYTES_BESIDES
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    total, _, free = shutil.disk_usage(existing)
    if total and free < needed:
        line = f"no room for a checkpoint of {needed:,} bytes, the disk has {free:,}"
        raise OSError(errno.ENOSPC, line, str(folder))
