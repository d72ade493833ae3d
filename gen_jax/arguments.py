"""Check the arguments of `fit` and of a compiled step before anything is trained.

Each raises UserError with one line that names the argument, and the array if one is
wrong.
"""

import functools
import operator
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from gen_jax import devices
from gen_jax.config import FitConfig
from gen_jax.contracts import describe, first_difference, named_leaves
from gen_jax.errors import UserError, named


def fit_config(
    game: Any, config: Any, workdir: Any, start: Any, given: Any
) -> FitConfig:
    """Return the configuration of `fit`, by default FitConfig().

    Raises UserError for another type, for a game of another type, for an invalid
    workdir, and if both a first state and given weights are passed.
    """
    if not hasattr(game, "players") or not hasattr(game, "turns"):
        raise UserError(f"game is {describe(game)}: write Game(players, turns)")
    config = FitConfig() if config is None else config
    if not isinstance(config, FitConfig):
        raise UserError(f"config is {config!r:.60}: write FitConfig(steps=...)")
    is_path = isinstance(workdir, str | os.PathLike) and str(workdir)
    if workdir is not None and not is_path:
        raise UserError(
            f"workdir is {workdir!r}: give a folder, or None to save nothing"
        )
    if start is not None and given:
        raise UserError("start has every player's weights: leave out given, or start")
    return config


def checked_mesh(mesh: Any) -> Mesh:
    """Return a mesh; raise UserError if it is not one of the axis BATCH_AXIS."""
    if not isinstance(mesh, Mesh) or mesh.axis_names[:1] != (devices.BATCH_AXIS,):
        given = mesh.axis_names if isinstance(mesh, Mesh) else describe(mesh)
        raise UserError(
            f"mesh is {given}: give devices.data_mesh(), a mesh whose first axis is "
            f"{devices.BATCH_AXIS!r}"
        )
    return mesh


def check_backend(backend: str, spec: Any, over_seeds: bool) -> None:
    """Raise UserError for an unknown backend, and for options that pmap lacks."""
    if backend not in ("jit", "pmap"):
        raise UserError(f"backend {backend!r} is unknown: give 'jit' or 'pmap'")
    if backend == "pmap" and spec is not None:
        raise UserError("spec shards a state, which pmap cannot: use backend='jit'")
    if backend == "pmap" and over_seeds:
        raise UserError(
            "several seeds at once need the backend jit, not pmap: use --backend=jit"
        )


def check_divides(game: Any, mesh: Mesh, microbatches: int, size: int) -> None:
    """Raise UserError if a batch cannot be divided evenly."""
    divisor = mesh.size * game.parts * microbatches
    if size % divisor:
        raise UserError(
            f"a batch of {size} is not divisible by {divisor} = {mesh.size} devices x "
            f"{game.parts} parts x {microbatches} microbatches: give a multiple of it"
        )


def checked_seeds(seeds: Any) -> tuple[int, ...]:
    """Return the seeds to train at once, () for one run of `config.seed`.

    Raises UserError for anything but different integers of 0 to 2**32 - 1.
    """
    given = seeds
    try:
        seeds = tuple(operator.index(seed) for seed in seeds)
    except TypeError:
        seeds = (-1,)
    if any(not 0 <= seed < 2**32 for seed in seeds) or len({*seeds}) < len(seeds):
        raise UserError(
            f"seeds is {given!r}: give different integers from 0 to 2**32 - 1, such as "
            "range(3)"
        )
    return seeds


def check_leading(batch: Any, sizes: Mapping[str, int | None]) -> None:
    """Check the axes of a batch [k, S, B, ...] before [B].

    sizes: lengths of the axes that the step has, in this order: "k", the steps in a
        call, and "S", the seeds; None if the keys given to it have no axis [S].

    Raises UserError for arrays of another form.
    """
    form, expected = ", ".join([*sizes, "B, ..."]), tuple(sizes.values())
    said = " and ".join(f"{name} = {size}" for name, size in sizes.items())
    for name, leaf in named_leaves(batch, "batch"):
        if jnp.shape(leaf)[: len(sizes)] != expected or jnp.ndim(leaf) <= len(sizes):
            raise UserError(
                f"{name} has the shape {list(jnp.shape(leaf))}: this step takes "
                f"[{form}] with {said}"
            )


def prepared(prepare: Any, batch: Any, keys: Any) -> Any:
    """Return the shapes of a batch as `prepare` makes it.

    batch: ShapeDtypeStructs [B, ...]. keys: of keys [B].

    Raises UserError if `prepare` fails or does not return arrays [B, ...].
    """
    hint = "give a function (batch, keys) -> batch, such as data.prepare()"
    if not callable(prepare):
        raise UserError(f"prepare is {describe(prepare)}: {hint}")
    with named("prepare(batch, keys) fails", f"; {hint}"):
        made = jax.eval_shape(prepare, batch, keys)
    size = jax.tree.leaves(batch)[0].shape[0]
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(made)}
    if sizes != {(size,)}:
        raise UserError(
            f"prepare(batch, keys) returns {describe(made)} with first axes "
            f"{sorted(sizes)}: each array must keep the {size} examples of the batch"
        )
    return made


def check_start(start: Any, like: Any) -> None:
    """Raise UserError if a first state of `fit` is not one of its game.

    like: a state of the game, arrays or ShapeDtypeStructs. start: None is allowed.
    """
    if start is None:
        return
    if type(start) is not type(like):
        raise UserError(f"start is {describe(start)}: give a State of this game")
    if line := first_difference(start, like, "start", "this game"):
        raise UserError(f"start is not a state of this game: {line}")


def checked_batches(
    batches: Any, leading: int = 0
) -> tuple[Any, Callable[[int], Iterator[Any]]]:
    """Return the batch of step 0 of `fit`'s batches, and a function like `batches`.

    Its iterators raise UserError for a batch of another structure or shape.

    leading: number of axes before [B, ...].

    Raises UserError if `batches` is not a function of a step that yields trees of
    arrays with one B.
    """
    if not callable(batches):
        raise UserError(
            f"batches is {describe(batches)}: give a function; batches(s) yields the "
            "batches of steps s, s + 1, ..."
        )
    stream = batches(0)
    if not isinstance(stream, Iterable):
        raise UserError(
            f"batches(0) is {describe(stream)}: it must yield the batches of steps 0, "
            "1, ..."
        )
    batch = next(iter(stream), None)
    if not jax.tree.leaves(batch):
        found = "no batch" if batch is None else f"{batch!r} first"
        raise UserError(f"batches(0) yields {found}: it must yield arrays")
    sizes = set()
    for name, leaf in named_leaves(batch, "batch"):
        numeric = hasattr(leaf, "dtype") and leaf.dtype.kind not in "OSUM"
        if not numeric or jnp.ndim(leaf) <= leading:
            raise UserError(
                f"{name} is {describe(leaf)}: a batch is a tree of arrays [B, ...]"
            )
        sizes.add(leaf.shape[leading])
    if len(sizes) > 1:
        raise UserError(
            f"the arrays of a batch hold {' and '.join(map(str, sorted(sizes)))} "
            "examples: they need the same first axis [B]"
        )
    form = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
    return batch, functools.partial(_of_one_form, batches, form)


def _of_one_form(batches: Any, first: Any, start: int) -> Iterator[Any]:
    """Yield the batches from a step on, each compared with ShapeDtypeStructs."""
    expected = _form(first)
    for step, batch in enumerate(batches(start), start):
        if _form(batch) != expected:  # to name the difference takes twenty times longer
            line = first_difference(batch, first, "batch", "the first one")
            raise UserError(f"the batch of step {step} differs: {line}")
        yield batch


def _form(tree: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [
        (getattr(leaf, "shape", None), getattr(leaf, "dtype", None)) for leaf in leaves
    ]
