"""Checks of a game that somebody else wrote, made while it is built or traced.

They cost nothing at run time. Each raises UserError with one line that names the
player, and the array if one is wrong.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gen_jax.config import FitConfig
from gen_jax.errors import UserError
from gen_jax.ops import Ops

_OWN_METRICS = ("loss", "grad_norm")  # reported by the step itself
_FORM = "a loss returns (value, (mutable, metrics))"


def check_game(players: Mapping[str, Any], ops: Any) -> None:
    """Check the types of a game's parts before they are used.

    players: name -> Player.

    Raises UserError for anything else.
    """
    if not isinstance(players, Mapping):
        raise UserError(
            f"players is {_describe(players)}: write a dict of names and players"
        )
    for name, player in players.items():
        if not hasattr(player, "ema_halflife_images"):
            raise UserError(
                f"the player {name!r} is {_describe(player)}: write Player(init, ...)"
            )
        optimizer = player.optimizer
        if optimizer is not None and not hasattr(optimizer, "update"):
            hint = ": call it, as adam(1e-3)" if callable(optimizer) else ""
            raise UserError(
                f"the optimizer of {name!r} is {_describe(optimizer)}, not one of "
                f"optax{hint}"
            )
        halflives = player.ema_halflife_images
        if not isinstance(halflives, tuple | list):
            raise UserError(
                f"ema_halflife_images of {name!r} is {halflives!r}: it is a tuple, "
                f"write ({halflives!r},)"
            )
    if not isinstance(ops, Ops):
        raise UserError(
            f"ops is of type {type(ops).__name__}: write Ops(sample=...), see ops.py"
        )


def checked_turns(turns: Any) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Return the (names, part) of each turn, a tuple of names or a Turn.

    Raises UserError for anything else, no turn, a name that stands twice in one turn
    and a part that is not 0, 1, ...
    """
    if (
        isinstance(turns, str)
        or not isinstance(turns, Iterable)
        or not (turns := tuple(turns))
    ):
        raise UserError(f'turns is {turns!r}: write at least one, as (("model",),)')
    found = []
    for turn in turns:
        names, part = getattr(turn, "players", turn), getattr(turn, "part", 0)
        is_tuple = isinstance(names, Iterable) and not isinstance(names, str)
        if not is_tuple or not (names := tuple(names)) or len({*names}) < len(names):
            raise UserError(
                f'a turn is {names!r}: it is a tuple of different names, as ("model",)'
            )
        if not isinstance(part, int) or part < 0:
            raise UserError(f"the part of turn {names!r} is {part!r}: it is 0, 1, ...")
        found.append((names, part))
    return tuple(found)


def check_loss(name: str, mutable: Any, result: Any) -> None:
    """Check that a player's loss returned (value [], (mutable, metrics)).

    mutable: the player's mutable state, arrays; the loss must return the same
        structure, shapes and dtypes.

    Raises UserError for another form or another mutable state. It does too for a value
    or metric that is not a scalar, and for a metric whose name the step uses.
    """
    pair = isinstance(result, tuple) and len(result) == 2
    if not pair or not (isinstance(result[1], tuple) and len(result[1]) == 2):
        raise UserError(f"the loss of {name!r} returned {_describe(result)}: {_FORM}")
    value, (new_mutable, metrics) = result
    if not _is_scalar(value) or not jnp.issubdtype(_dtype(value), jnp.floating):
        raise UserError(
            f"the loss of {name!r} is {_describe(value)}: it must be one float, such "
            "as the mean over the batch"
        )
    if difference := first_difference(new_mutable, mutable, f"{name}.mutable"):
        raise UserError(
            f"the loss of {name!r} must return its player's mutable state: {difference}"
        )
    _check_metrics(name, metrics)


def _check_metrics(name: str, metrics: Any) -> None:
    if not isinstance(metrics, Mapping):
        raise UserError(
            f"the metrics of {name!r} are {_describe(metrics)}: they are a dict of "
            f"scalars by name; {_FORM}"
        )
    for metric, value in metrics.items():
        if metric in _OWN_METRICS:
            raise UserError(
                f"{name!r} reports a metric {metric!r}, a name that the step itself "
                "uses: choose another"
            )
        if not _is_scalar(value):
            raise UserError(
                f"the metric {metric!r} of {name!r} is {_describe(value)}: it must be "
                "a scalar, such as a mean"
            )


def first_difference(
    found: Any, expected: Any, root: str, other: str = "the network"
) -> str:
    """Describe the first array in which a tree differs from the network's.

    found, expected: trees of arrays or ShapeDtypeStructs. root: the tree's name.
        other: the owner of `expected`, for the text.

    Returns a text such as "g.params/Dense_0/kernel: shape (3, 4), the network has (3,
    5)"; an empty string if structure, shapes and dtypes are equal.
    """
    mine, theirs = (dict(_named_leaves(tree, root)) for tree in (found, expected))
    for name in [*theirs, *mine]:
        if name not in mine:
            return f"{name}: missing"
        if name not in theirs:
            return f"{name}: unknown, {other} has none"
        for what, of in (("shape", jnp.shape), ("dtype", _dtype)):
            if of(mine[name]) != of(theirs[name]):
                return (
                    f"{name}: {what} {of(mine[name])}, {other} has {of(theirs[name])}"
                )
    own, wanted = (str(jax.tree.structure(tree)) for tree in (found, expected))
    if own != wanted:
        return f"{root}: its containers are {own}, those of {other} {wanted}"
    return ""


def fit_config(config: Any, start: Any, given: Any) -> FitConfig:
    """Return the configuration of `fit`, by default FitConfig().

    Raises UserError for another type, and for both a first state and given weights.
    """
    config = FitConfig() if config is None else config
    if not isinstance(config, FitConfig):
        raise UserError(f"config is {config!r:.60}: write FitConfig(steps=...)")
    if start is not None and given:
        raise UserError("start has every player's weights: leave out given, or start")
    return config


def check_start(start: Any, like: Any) -> None:
    """Raise UserError if a first state of `fit` is not one of its game.

    like: a state of the game, arrays or ShapeDtypeStructs. start: None passes.
    """
    if start is None:
        return
    if type(start) is not type(like):
        raise UserError(f"start is {_describe(start)}: give a State of this game")
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
            f"batches is {_describe(batches)}: give a function; batches(s) yields the "
            "batches of steps s, s + 1, ..."
        )
    stream = batches(0)
    if not isinstance(stream, Iterable):
        raise UserError(
            f"batches(0) is {_describe(stream)}: it must yield the batches of steps 0, "
            "1, ..."
        )
    batch = next(iter(stream), None)
    if not jax.tree.leaves(batch):
        raise UserError(f"batches(0) yields {batch!r} first: it must yield arrays")
    sizes = set()
    for name, leaf in _named_leaves(batch, "batch"):
        if not hasattr(leaf, "dtype") or jnp.ndim(leaf) <= leading:
            raise UserError(
                f"{name} is {_describe(leaf)}: a batch is a tree of arrays [B, ...]"
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


def check_no_raw_images(batch: Any) -> None:
    """Check that no array of a batch is of images as bytes, uint8 [B, H, W, C].

    Raises UserError if one is: a loss would compute on 0..255.
    """
    for name, leaf in _named_leaves(batch, "batch"):
        if _dtype(leaf) == jnp.uint8 and len(jnp.shape(leaf)) == 4:
            raise UserError(
                f"{name} is uint8 {list(jnp.shape(leaf))}: pass prepare=data.prepare() "
                "for float32 in [-1, 1], or prepare=lambda batch, keys: batch to keep "
                "0..255"
            )


def _named_leaves(tree: Any, root: str) -> Iterable[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        below = jax.tree_util.keystr(path, simple=True, separator="/")
        yield (f"{root}/{below}" if below else root), leaf


def _dtype(x: Any) -> Any:
    return jnp.dtype(getattr(x, "dtype", None) or jnp.result_type(x))


def _is_scalar(x: Any) -> bool:
    leaves = jax.tree.leaves(x)
    return len(leaves) == 1 and leaves[0] is x and jnp.shape(x) == ()


def _describe(x: Any) -> str:
    """Name a value: an array by its shape and dtype, anything else by its type."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"an array {x.dtype} {list(x.shape)}"
    if isinstance(x, tuple | list):
        return f"a {type(x).__name__} of {len(x)}"
    return f"a value of type {type(x).__name__}"
