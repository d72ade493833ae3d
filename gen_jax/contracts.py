"""Check a user's game while it is built or traced.

The checks cost nothing at run time. Each raises UserError with one line that names the
player, and the array if one is wrong.
"""

import inspect
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from gen_jax.errors import UserError
from gen_jax.ops import ARGUMENTS, Ops

_OWN_METRICS = ("loss", "grad_norm")  # reported by the step itself
_FORM = "a loss returns (value, (mutable, metrics))"


def check_game(players: Mapping[str, Any], ops: Any, num_classes: Any) -> None:
    """Check the types of a game's parts before they are used.

    players: name -> Player.

    Raises UserError for anything else.
    """
    if not isinstance(players, Mapping):
        raise UserError(
            f"players is {describe(players)}: write a dict of names and players"
        )
    for name, player in players.items():
        if not hasattr(player, "ema_halflife_images"):
            raise UserError(
                f"the player {name!r} is {describe(player)}: write Player(init, ...)"
            )
        _check_player(name, player)
    if not isinstance(ops, Ops):
        raise UserError(
            f"ops is of type {type(ops).__name__}: write Ops(sample=...), see ops.py"
        )
    _check_signatures(ops, bool(num_classes))
    is_count = isinstance(num_classes, int) and not isinstance(num_classes, bool)
    if not is_count or num_classes < 0:
        raise UserError(f"num_classes is {num_classes!r}: give 0, 1, 2, ...")


def _check_signatures(ops: Ops, with_labels: bool) -> None:
    """Raise UserError if an op cannot be called by the names of its arguments."""
    for name, arguments in ARGUMENTS.items():
        if (op := ops.by_name.get(name)) is None:
            continue
        asked = [each for each in arguments if each != "y" or with_labels]
        try:
            inspect.signature(op).bind(None, **dict.fromkeys(asked))
        except ValueError:  # it has no signature
            continue
        except TypeError as error:
            raise UserError(
                f"the op {name!r} is called as {name}(players, "
                f"{', '.join(f'{each}=' for each in asked)}), by these names: {error}"
            ) from None


def _check_player(name: str, player: Any) -> None:
    init, loss, optimizer = player.init, player.loss, player.optimizer
    if not callable(init) or hasattr(init, "apply"):
        raise UserError(
            f"the init of {name!r} is {describe(init)}: give a function (rng, batch) "
            "-> Weights, such as one that calls objectives.modules.init"
        )
    if loss is not None and not callable(loss):
        raise UserError(
            f"the loss of {name!r} is {describe(loss)}: give a function (players, "
            "batch, context), or None for a frozen player"
        )
    if optimizer is not None and not hasattr(optimizer, "update"):
        hint = ": call it, as adam(1e-3)" if callable(optimizer) else ""
        raise UserError(
            f"the optimizer of {name!r} is {describe(optimizer)}, not one of "
            f"optax{hint}"
        )
    halflives = player.ema_halflife_images
    if not isinstance(halflives, tuple | list):
        raise UserError(
            f"ema_halflife_images of {name!r} is {halflives!r}: give a tuple, "
            f"({halflives!r},)"
        )
    for halflife in halflives:
        number = isinstance(halflife, numbers.Real) and not isinstance(halflife, bool)
        if not number or not 0 < halflife < math.inf:
            raise UserError(
                f"ema_halflife_images of {name!r} holds {halflife!r}: give numbers "
                "of images above 0, or () for no average"
            )


def check_all_move(players: Mapping[str, Any], moving: set[str]) -> None:
    """Check that every player that could move has a turn.

    moving: the names that stand in a turn.

    Raises UserError for a player with a loss and an optimizer that has none.
    """
    for name, player in players.items():
        if player.loss and player.optimizer and name not in moving:
            raise UserError(
                f"{name!r} has a loss and an optimizer but no turn, so it would never "
                "learn: add it to turns, or give it loss=None"
            )


def check_weights(name: str, weights: Any) -> None:
    """Check the parameters that a player's init returned.

    weights: with `params`.

    Raises UserError for a linen module's whole variables, which hold the parameters
    in a collection named "params".
    """
    params = weights.params
    if isinstance(params, Mapping) and isinstance(params.get("params"), Mapping):
        raise UserError(
            f"the params of {name!r} are a module's whole variables, {list(params)}: "
            'give Weights(variables["params"], the other collections), as '
            "objectives.modules.init does"
        )


def given_weights(given: Any) -> dict[str, Any]:
    """Return the weights given by player's name as a new dict; {} for None.

    Raises UserError for anything but a mapping.
    """
    if given is not None and (hasattr(given, "_fields") or not hasattr(given, "keys")):
        raise UserError(
            f"given is {describe(given)}: write a dict of players' names and weights"
        )
    return dict(given or {})


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
                f'a turn is {names!r}: give a tuple of different names, as ("model",)'
            )
        if not isinstance(part, int) or part < 0:
            raise UserError(f"the part of turn {names!r} is {part!r}: give 0, 1, ...")
        found.append((names, part))
    return tuple(found)


def check_batch(batch: Any, divisor: int) -> None:
    """Check that a batch [B, ...] holds no bytes and that `divisor` divides B.

    Raises UserError for images as uint8, and for another B.
    """
    check_no_raw_images(batch)
    size = jax.tree.leaves(batch)[0].shape[0]
    if size % divisor:
        raise UserError(
            f"a batch of {size} is not divisible by {divisor}, the game's parts times "
            "the microbatches: give a multiple of it"
        )


def check_averages(players: Any, ema: int) -> None:
    """Check that players with averages have one of index `ema`.

    Raises UserError if not, and for anything but a mapping of players.
    """
    if not isinstance(players, Mapping):
        raise UserError(
            f"players is {describe(players)}: give the players of a state, such as "
            "run.state.players"
        )
    for name, player in players.items():
        if player.ema and not 0 <= ema < len(player.ema):
            raise UserError(
                f"ema={ema}: the player {name!r} has {len(player.ema)} averages, of "
                "index 0 and up"
            )


def check_loss(name: str, mutable: Any, result: Any) -> None:
    """Check that a player's loss returned (value [], (mutable, metrics)).

    mutable: the player's mutable state, arrays; the loss must return the same
        structure, shapes and dtypes.

    Raises UserError for another form or another mutable state, for a value or metric
    that is not a scalar, and for a metric whose name the step uses.
    """
    pair = isinstance(result, tuple) and len(result) == 2
    if not pair or not (isinstance(result[1], tuple) and len(result[1]) == 2):
        found, form = describe(result), _FORM
        if pair and isinstance(result[1], Mapping):
            found, form = "(value, dict)", "return value, (mutable state, metrics)"
        raise UserError(f"the loss of {name!r} returned {found}: {form}")
    value, (new_mutable, metrics) = result
    if not _is_scalar(value) or not jnp.issubdtype(dtype_of(value), jnp.floating):
        raise UserError(
            f"the loss of {name!r} is {describe(value)}: it must be one float, such "
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
            f"the metrics of {name!r} are {describe(metrics)}: they are a dict of "
            f"scalars by name; {_FORM}"
        )
    for metric, value in metrics.items():
        if not isinstance(metric, str):
            raise UserError(
                f"{name!r} reports a metric {metric!r}: a metric's name is a text"
            )
        if metric in _OWN_METRICS:
            raise UserError(
                f"{name!r} reports a metric {metric!r}, a name that the step itself "
                "uses: choose another"
            )
        if not _is_scalar(value):
            raise UserError(
                f"the metric {metric!r} of {name!r} is {describe(value)}: it must be "
                "a scalar, such as a mean"
            )


def first_difference(
    found: Any, expected: Any, root: str, other: str = "the network"
) -> str:
    """Describe the first array in which a tree differs from the network's.

    found, expected: trees of arrays or ShapeDtypeStructs. root: the tree's name.
        other: the owner of `expected`, for the text.

    Returns a text such as "g.params.Dense_0.kernel: shape (3, 4), the network has (3,
    5)"; an empty string if structure, shapes and dtypes are equal.
    """
    if line := first_different_leaf(found, expected, root, other):
        return line
    own, wanted = (str(jax.tree.structure(tree)) for tree in (found, expected))
    if own == wanted:
        return ""
    if not jax.tree.leaves(found):
        return f"{root}: {found!r}, {other} has {expected!r}"
    return f"{root}: its structure is {own}, {other} has {wanted}"


def first_different_leaf(found: Any, expected: Any, root: str, other: str) -> str:
    """Describe the first array as `first_difference`, for any kinds of containers.

    Tuples, named tuples and dicts are equal if their leaves [...] have the same paths.
    """
    mine, theirs = (dict(named_leaves(tree, root)) for tree in (found, expected))
    for name in [*theirs, *mine]:
        if name not in mine:
            return f"{name}: missing"
        if name not in theirs:
            return f"{name}: unknown, {other} has none"
        for property_, of in (("shape", _shape_of), ("dtype", dtype_of)):
            own, wanted = of(mine[name]), of(theirs[name])
            if own != wanted:
                return f"{name}: {property_} {own}, {other} has {wanted}"
    return ""


def check_no_raw_images(batch: Any) -> None:
    """Check that no array of a batch is of images as bytes, uint8 [B, ...].

    Raises UserError if one is: a loss would compute on 0..255.
    """
    for name, leaf in named_leaves(batch, "batch"):
        if dtype_of(leaf) == jnp.uint8 and jnp.ndim(leaf) > 1:
            raise UserError(
                f"{name} is uint8 {list(jnp.shape(leaf))}: convert images to float32 "
                "in [-1, 1], in fit and make_train_step by prepare=data.prepare(), or "
                "cast them to float32 to keep 0..255"
            )


def named_leaves(tree: Any, root: str) -> Iterable[tuple[str, Any]]:
    """Yield (path, leaf) of every leaf [...] of a tree; paths begin with `root`."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        below = jax.tree_util.keystr(path, simple=True, separator=".")
        yield f"{root}.{below}".strip("."), leaf


def dtype_of(x: Any) -> Any:
    """Return the dtype of an array, a random key or a number."""
    return x.dtype if hasattr(x, "dtype") else jnp.result_type(x)


def _shape_of(x: Any) -> tuple[int, ...]:
    return tuple(x.shape) if hasattr(x, "shape") else jnp.shape(x)


def _is_scalar(x: Any) -> bool:
    is_number = hasattr(x, "dtype") or isinstance(x, numbers.Number)
    return is_number and jnp.shape(x) == ()


def describe(x: Any) -> str:
    """Name a value: an array [...] by shape and dtype, anything else by its type."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"an array {x.dtype} {list(x.shape)}"
    if type(x) in (tuple, list):
        return f"a {type(x).__name__} of {len(x)}"
    return f"a value of type {type(x).__name__}"
