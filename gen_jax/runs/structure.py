"""Compare the structure of a game's state with the structure that a file holds."""

from collections.abc import Mapping
from typing import Any

import jax

from gen_jax.game import Tree

_NOTHING: dict[str, Any] = {}  # an empty tuple, list or dict, or None


def difference(expected: Tree, saved: Tree, name: str) -> str | None:
    """Return the first difference as one line that names the leaf; None if equal.

    expected, saved: trees whose leaves [...] have a shape and a dtype. Tuples, named
        tuples and dicts with the same keys are equal.
    name: the path of the trees' root.
    """
    return _difference(_nested(expected), _nested(saved), name)


def _nested(tree: Tree) -> Any:
    """Return a tree as nested dicts with string keys."""
    nested: dict[str, Any] = {}
    for path, leaf in jax.tree.flatten_with_path(tree, is_leaf=_is_empty)[0]:
        leaf = _NOTHING if _is_empty(leaf) else leaf
        if not path:
            return leaf
        *parents, last = (jax.tree_util.keystr((key,), simple=True) for key in path)
        place = nested
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = leaf
    return nested


def _is_empty(x: Any) -> bool:
    return x is None or (isinstance(x, (tuple, list, Mapping)) and not x)


def _difference(expected: Any, saved: Any, name: str) -> str | None:
    if not (isinstance(expected, Mapping) and isinstance(saved, Mapping)):
        in_game, in_file = _described(expected), _described(saved)
        if in_game == in_file:
            return None
        return f"{name}: {in_file} in the checkpoint, {in_game} in the game"
    for word, all_keys, others in (
        ("missing", expected, saved),
        ("unexpected", saved, expected),
    ):
        keys = [k for k, x in all_keys.items() if not _is_empty(x) and k not in others]
        if keys:
            return f"{name}: {word} {', '.join(keys)}" if name else f"{word} {keys[0]}"
    below = (
        _difference(x, saved.get(key, _NOTHING), f"{name}.{key}" if name else key)
        for key, x in expected.items()
    )
    return next((line for line in below if line), None)


def _described(x: Any) -> str:
    if isinstance(x, Mapping):
        return f"a group of {', '.join(x)}" if x else "nothing"
    return f"{x.dtype} {list(x.shape)}"
