"""Labels as a file has them, and as numbers 0..K-1 of the classes that are present.

A label -1, or an empty name, is none.
"""

import re

import numpy as np

from gen_jax.errors import UserError

_MAX_CLASSES = 2**16  # a larger label is a mistake, and would ask for a huge network
_MAX_LISTED = 10  # classes in an error


def natural(name: str) -> tuple[list[str | int], str]:
    """Return a key that sorts names as people do: 2 before 10."""
    parts = re.split("([0-9]+)", name)
    return [int(each) if i % 2 else each for i, each in enumerate(parts)], name


def classes_of(y: np.ndarray, where: str) -> np.ndarray:
    """Return the classes that occur in labels y [N], numbers or names, in order.

    Raises UserError that names `where` and the label, for a number below -1 or above
    65535.
    """
    if y.dtype.kind == "U":
        return np.array(sorted({*y.tolist()} - {""}, key=natural), np.str_)
    checked_labels(y, _MAX_CLASSES, where)
    present = np.unique(y)
    return present[present >= 0]


def names_of(classes: np.ndarray) -> tuple[str, ...]:
    """Return the names of classes [K]; () for the numbers 0..K-1, which need none."""
    if classes.dtype.kind != "U" and np.array_equal(classes, np.arange(len(classes))):
        return ()
    return tuple(map(str, classes.tolist()))


def numbered(y: np.ndarray, classes: np.ndarray, where: str) -> np.ndarray:
    """Return labels y [N] as places in `classes` [K], int32 [N]; -1 stays -1.

    Raises UserError that names `where` and the label, for one that is not a class.
    """
    places = {label: place for place, label in enumerate(classes.tolist())}
    places |= {"": -1} if y.dtype.kind == "U" else {-1: -1}
    values, inverse = np.unique(y, return_inverse=True)
    found = [places.get(value, -2) for value in values.tolist()]
    out = np.array(found, np.int32)[inverse.reshape(-1)]
    if (out == -2).any():
        raise _unknown(y, out == -2, classes, where)
    return out


def checked_labels(y: np.ndarray, num_classes: int, where: str) -> np.ndarray:
    """Return integer labels [N] as int32, each -1 (none) or in [0, num_classes).

    Raises UserError, naming `where` and the label, for any other label.
    """
    bad = (y < -1) | (y >= num_classes)
    if bad.any():
        raise _unknown(y, bad, np.arange(num_classes), where)
    return y.astype(np.int32)


def _unknown(
    y: np.ndarray, bad: np.ndarray, classes: np.ndarray, where: str
) -> UserError:
    """Return the error for the first label of y [N] where `bad`, bool [N], is set."""
    names = [str(name) for name in classes[:_MAX_LISTED].tolist()]
    allowed = ", ".join(names) + (", ..." if len(classes) > _MAX_LISTED else "")
    if len(classes) and not names_of(classes):
        allowed = f"0..{len(classes) - 1}"
    nothing = "an empty name" if y.dtype.kind == "U" else "-1"
    return UserError(
        f"{where}: label {y[bad][0]} of example {int(np.argmax(bad))} is out of range; "
        f"allowed: {allowed + ' or ' if allowed else ''}{nothing} (none)"
    )
