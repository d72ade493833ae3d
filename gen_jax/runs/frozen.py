"""Keep the weights of frozen players once per run, not once per checkpoint.

A frozen player never changes, so its PlayerState is written to
`RUN/frozen/DIGEST/state`. DIGEST is the SHA-256 of its arrays. A checkpoint's meta
holds the digest under the player's name.
"""

import hashlib
import shutil
from pathlib import Path

import jax
import numpy as np

from gen_jax.game import PlayerState
from gen_jax.runs.manifest import DamagedError, verify, write_manifest


def directory(run: Path, digest: str) -> Path:
    """Return the folder of a frozen player with this digest, below a run's folder."""
    return run / "frozen" / digest


def check(run: Path, digest: str) -> None:
    """Raise DamagedError if a frozen player is missing or has changed on disk."""
    try:
        verify(directory(run, digest))
    except DamagedError as error:
        place = directory(run, digest).relative_to(run)
        raise DamagedError(f"in {place}, {error}") from error


def keep(run: Path, player: PlayerState) -> str:
    """Return a frozen player's digest; write the player if the run lacks it.

    Every process of the run has to call this. Raises OSError if the disk is full.
    """
    import orbax.checkpoint as ocp

    digest = _digest(player)
    place = directory(run, digest)
    try:
        verify(place)
        return digest
    except DamagedError:
        pass
    unfinished, leads = place.with_name(f".{digest}.tmp"), jax.process_index() == 0
    if leads:
        for left in (place, unfinished):
            shutil.rmtree(left, ignore_errors=True)
    with ocp.StandardCheckpointer() as checkpointer:  # on leaving it waits for the disk
        checkpointer.save(unfinished / "state", player)
    if leads:
        write_manifest(unfinished)
        unfinished.rename(place)
    return digest


def _digest(player: PlayerState) -> str:
    """Return the SHA-256 of every array with its path, dtype and shape."""
    found = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(player)[0]:
        array = np.ascontiguousarray(jax.device_get(leaf))
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
