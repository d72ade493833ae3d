"""Parts that installed packages register, by entry-point group and name."""

import importlib.metadata
from typing import Any

from gen_jax.errors import UserError


def names(group: str) -> list[str]:
    """Return the names that are registered in a group, sorted; imports none of them."""
    entries = importlib.metadata.entry_points(group=group)
    return sorted({entry.name for entry in entries})


def find(group: str, name: str, kind: type) -> Any:
    """Return the object of type `kind` registered as `name`, None if there is none.

    If two packages register one name, the first that is found on sys.path wins.

    Raises UserError, with one line that names the package, if the object cannot be
    imported or is of another type.
    """
    for entry in importlib.metadata.entry_points(group=group, name=name):
        package = f" (package {entry.dist.name})" if entry.dist else ""
        plugin = f"the plugin {name!r} of {group}{package}"
        try:
            found = entry.load()
        except (Exception, SystemExit) as error:  # an import may run any code
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(
                f"{plugin} cannot be imported: {reason}; repair or uninstall it"
            ) from error
        if not isinstance(found, kind):
            raise UserError(
                f"{plugin} is {entry.value}, of type {type(found).__name__}; "
                f"expected: {kind.__module__}.{kind.__name__}"
            )
        return found
    return None
