"""Train several seeds at once: one compiled step moves all of them by vmap.

Each seed's run is the same as it would be alone, up to rounding: its own initial
weights, order of the data and noise. States, batches, keys and metrics have a leading
axis [S] of seeds. `WORKDIR/seed_K/` is a run's folder like any other.

Cost of a step of five seeds, relative to five steps of one seed (1 is break-even):

| experiment | processor time | elapsed time |
|------------|----------------|--------------|
| `vae`      | 0.89           | 1.35         |
| `gan`      | 0.86           | 0.99         |
| `ddpm`     | 1.52           | 1.36         |

On digits, two CPU cores that other processes used too; medians of five, five and three
repetitions. The other processes disturbed the elapsed time. vmap turns convolutions
into grouped ones, which are slow on a CPU. On an accelerator a small model leaves most
of the device idle, which other seeds can use; no figure was measured there.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.errors import UserError
from gen_jax.game import State, Tree
from gen_jax.runs import checkpoint, identity


class Seed(NamedTuple):
    """One of the runs that are trained together.

    label: names the run in messages; empty for a run alone. folder: None keeps nothing.
    """

    seed: int
    label: str
    folder: Path | None
    meta: dict[str, Any]


def plan(
    workdir: Path | None, shared: Mapping[str, Any], seed: int, seeds: Sequence[int]
) -> list[Seed]:
    """Return the run of each of `seeds`, or the one run of `seed` if they are empty.

    shared: the meta of their checkpoints, without the seeds.
    """
    if not seeds:
        return [Seed(seed, "", workdir, dict(shared))]
    return [
        Seed(
            seed,
            f" of seed {seed}",
            folder(workdir, seed) if workdir else None,
            meta(shared, seed, seeds),
        )
        for seed in seeds
    ]


def keys(seeds: Sequence[int]) -> jax.Array:
    """Return the runs' keys [S], each the key of that seed alone."""
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def stack(trees: Sequence[Tree]) -> Tree:
    """Return S trees of arrays [...] as one tree of arrays [S, ...]."""
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


@jax.jit
def _pick(tree: Tree, place: jax.Array) -> Tree:
    return jax.tree.map(lambda x: x[place], tree)


def states(state: State) -> list[State]:
    """Return the states of the runs: S of a state with an axis [S], else the one."""
    if not state.step.ndim:
        return [state]
    return [_pick(state, np.int32(place)) for place in range(len(state.step))]


def batches(
    each: Sequence[Callable[[int], Iterable[Tree]]],
) -> Callable[[int], Iterator[Tree]]:
    """Return the batches of all S runs, [S, B, ...], as a function for `fit`.

    each: one function for each run, as `fit` takes it.
    """

    def stacked(start: int) -> Iterator[Tree]:
        for now in zip(*(of_one(start) for of_one in each), strict=True):
            yield jax.tree.map(lambda *x: np.stack(x), *now)

    return stacked


def folder(workdir: Path, seed: int) -> Path:
    """Return the folder of a seed's run."""
    return workdir / f"seed_{seed}"


def meta(shared: Mapping[str, Any], seed: int, together: Sequence[int]) -> dict:
    """Return the meta of one seed, with its own configuration as if it were alone.

    together: the seeds that are trained at once, which explains the time of a step.
    """
    own = {**shared, "seeds": list(together)}
    if "config" in shared:
        own["config"] = {**shared["config"], "seed": seed}
    return own


def found(workdir: Path) -> dict[int, Path]:
    """Return the folders of several seeds' runs, by seed in ascending order."""
    names = (path.name for path in workdir.glob("seed_*") if path.is_dir())
    numbers = [int(n[5:]) for n in names if re.fullmatch("seed_(0|[1-9][0-9]*)", n)]
    return {seed: folder(workdir, seed) for seed in sorted(numbers)}


def restore(
    folders: Sequence[Path],
    like: State,
    metas: Sequence[Mapping[str, Any]],
    *,
    repair: bool = False,
) -> list[State] | None:
    """Return the states of runs at the latest step that is undamaged in all of them.

    folders: of step directories. like: as for `checkpoint.restore`. metas: that each
    run would save. repair: as for `checkpoint.newest`.

    A kill may leave some runs one checkpoint ahead of the others. It may also leave
    some without their first one: then the result is None and all begin anew.

    Raises UserError if the runs have checkpoints, but of no step that all have, and for
    a checkpoint that another run wrote.
    """
    steps = [checkpoint.steps(each) for each in folders]
    common = sorted(set.intersection(*map(set, steps)), reverse=True)
    if not common:
        if not all(steps) and max(map(len, steps)) <= 1:
            return None
        newest = (
            f"{each}: {have[0] if have else 'none'}"
            for each, have in zip(folders, steps, strict=True)
        )
        raise UserError(
            "no step has a checkpoint in all runs, so they cannot resume together: "
            f"resume each alone, or choose another folder; {', '.join(newest)}"
        )
    while True:
        all_newest = [
            checkpoint.newest([each / str(s) for s in common], repair=repair)
            for each in folders
        ]
        oldest = min(int(each.directory.name) for each in all_newest)
        if all(int(each.directory.name) == oldest for each in all_newest):
            for found, own in zip(all_newest, metas, strict=True):
                identity.check_same_run(found.meta, own, found.directory)
            return [checkpoint.restore(each, like) for each in all_newest]
        common = [step for step in common if step <= oldest]
