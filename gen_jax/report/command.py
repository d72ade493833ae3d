"""The command that repeats a run, and its configuration beside the recipe's."""

import shlex
from typing import Any, NamedTuple

from gen_jax import config as configs
from gen_jax import experiment
from gen_jax.errors import UserError
from gen_jax.report.run_files import as_dict
from gen_jax.report.tables import cut

_LINE = 72  # characters of a command, above which every flag has its own line


class Settings(NamedTuple):
    """A run's configuration, texts by dotted name.

    command: None where `why` says why there is none. recipe: what the experiment has
    by default, of the fields that differ from it.
    """

    command: str | None
    why: str
    fields: dict[str, str]
    recipe: dict[str, str]


def settings(meta: dict[str, Any]) -> Settings:
    """What a run's meta says of how it was trained, whatever is wrong with it."""
    saved = as_dict(meta.get("config"))
    bare = dict(_fields(saved))
    if not isinstance(name := meta.get("experiment"), str):
        why = "It is of a game of its own, which its own program trains."
        return Settings(None, why if meta else "", bare, {})
    try:
        recipe = experiment.find(name).config
        config = configs.from_dict(recipe, saved)
    except UserError as error:
        return Settings(None, f"This version cannot repeat it: {error}", bare, {})
    except Exception as error:  # the recipe may be of anybody's package
        why = f"Its recipe cannot be read: {type(error).__name__}"
        return Settings(None, why, bare, {})
    changed = configs.differences(config, recipe)
    return Settings(
        _command(name, config, changed, meta.get("began_from")),
        "",
        {path: written(value) for path, value in configs.flat(config).items()},
        {
            path: written(x)
            for path, x in configs.flat(recipe).items()
            if path in changed
        },
    )


def _command(name: str, config: Any, changed: list[str], began_from: Any) -> str:
    parts = ["python -m experiments.train", f"--experiment={name}", "--workdir=DIR"]
    if isinstance(began_from, str):
        parts.append(f"--init_from={began_from}")
    values = configs.flat(config)
    parts += [f"--config.{path}={written(values[path])}" for path in changed]
    parts = [parts[0], *map(shlex.quote, parts[1:])]
    line = " ".join(parts)
    return line if len(line) <= _LINE else " \\\n    ".join(parts)


def written(value: Any) -> str:
    """A field's value as `config.parse` reads it."""
    if isinstance(value, tuple) and value:
        return ",".join(map(str, value))
    return str(value)


def _fields(saved: dict[str, Any], prefix: str = "", depth: int = 0):
    """(dotted name, text) of a saved configuration that no recipe explains."""
    for name, value in saved.items():
        if isinstance(value, dict) and depth < 3:
            yield from _fields(value, f"{prefix}{name}.", depth + 1)
        else:
            yield cut(prefix + name), cut(str(value))
