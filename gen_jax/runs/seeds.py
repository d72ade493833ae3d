"""Several training seeds at once: one compiled step moves them all.

Each seed's run is the one that it would be alone, to rounding: its own first weights,
its own order of the data, its own noise. States, batches, keys and metrics have an axis
[S] of seeds in front; what is kept is kept apart, `WORKDIR/seed_K/` being the folder of
a run like any other.

A step of five seeds takes 0.89 (`vae`), 0.86 (`gan`) and 1.52 (`ddpm`) of the processor
time of five steps of one, on digits, two CPU cores that others were using too: medians
of five, five and three turns. vmap makes convolutions grouped ones, which are slow on
a CPU. By the clock, which the others disturbed, it was 1.35, 0.99 and 1.36.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.runs import checkpoint
from gen_jax.errors import UserError
from gen_jax.game import State, Tree


def keys(seeds: Sequence[int]) -> jax.Array:
    """The runs' keys [S], each that of its seed alone."""
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def stack(trees: Sequence[Tree]) -> Tree:
    """S trees of arrays [...] -> one of arrays [S, ...]."""
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


@jax.jit
def _pick(tree: Tree, place: jax.Array) -> Tree:
    return jax.tree.map(lambda x: x[place], tree)


def split(tree: Tree, count: int) -> list[Tree]:
    """`stack` undone: `count` trees."""
    return [_pick(tree, np.int32(place)) for place in range(count)]


def batches(
    each: Sequence[Callable[[int], Iterable[Tree]]],
) -> Callable[[int], Iterator[Tree]]:
    """The batches of S runs, as `fit` takes them, as those of all: [S, B, ...]."""

    def from_(start: int) -> Iterator[Tree]:
        for now in zip(*(of_one(start) for of_one in each), strict=True):
            yield jax.tree.map(lambda *x: np.stack(x), *now)

    return from_


def folder(workdir: Path, seed: int) -> Path:
    """Where the run of a seed lies."""
    return workdir / f"seed_{seed}"


def meta(of_all: Mapping[str, Any], seed: int, together: Sequence[int]) -> dict:
    """What the checkpoints of one seed say: its own configuration, as if it were alone.

    together: with which seeds it is trained, which is why it takes its time.
    """
    own = {**of_all, "seeds": list(together)}
    if "config" in of_all:
        own["config"] = {**of_all["config"], "seed": seed}
    return own


def found(workdir: Path) -> dict[int, Path]:
    """The folders of runs of several seeds, by seed in ascending order."""
    names = (path.name for path in Path(workdir).glob("seed_*") if path.is_dir())
    numbers = [int(n[5:]) for n in names if re.fullmatch("seed_(0|[1-9][0-9]*)", n)]
    return {seed: folder(Path(workdir), seed) for seed in sorted(numbers)}


def restore(
    folders: Sequence[Path], like: State, *, repair: bool = False
) -> list[State] | None:
    """The states of runs at the newest step of which all can be read, None for none.

    folders: of step directories. like, repair: see `checkpoint.restore_first`. A kill
    may leave some runs one checkpoint ahead of others; where it left some without
    their first, they all begin anew.

    Raises UserError where runs have checkpoints, but of no step that all have.
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
        raise UserError(f"no step's checkpoint is in all of them; {', '.join(newest)}")
    while True:
        states = [
            checkpoint.restore_first(
                [each / str(s) for s in common], like, repair=repair
            )[0]
            for each in folders
        ]
        oldest = min(int(state.step) for state in states)
        if all(int(state.step) == oldest for state in states):
            return states
        common = [step for step in common if step <= oldest]
