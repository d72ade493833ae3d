"""The command that repeats a run, and its configuration next to the recipe's."""

import shlex
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from gen_jax import config as configs
from gen_jax import experiment
from gen_jax.errors import UserError
from gen_jax.report.run_files import Meta
from gen_jax.report.tables import cut

_MAX_LINE = 72  # characters; in a longer command each flag has its own line


class Settings(NamedTuple):
    """A run's configuration, texts by dotted name.

    command: None if `why` says why there is none. recipe: the experiment's defaults of
    the fields that differ from them.
    """

    command: str | None
    why: str
    fields: dict[str, str]
    recipe: dict[str, str]


def settings(meta: Meta) -> Settings:
    """Return the configuration that a run was trained with, readable here or not."""
    saved, name = meta.config, meta.experiment
    bare = {cut(k): cut(str(x)) for k, x in flatten_dict(saved, sep=".").items()}
    if name is None:
        why = "It was trained with your own game: repeat it with your own program."
        return Settings(None, why if meta != Meta() else "", bare, {})
    try:
        recipe = experiment.find(name).config
        config = configs.from_dict(recipe, saved)
    except UserError as error:
        return Settings(None, f"This version cannot repeat it: {error}", bare, {})
    except Exception as error:  # the recipe may be in any package
        why = f"Its recipe cannot be read: {type(error).__name__}"
        return Settings(None, why, bare, {})
    changed = configs.differences(config, recipe)
    return Settings(
        _command(name, config, changed, meta.began_from),
        "",
        {path: written(value) for path, value in configs.flat(config).items()},
        {
            path: written(x)
            for path, x in configs.flat(recipe).items()
            if path in changed
        },
    )


def _command(name: str, config: Any, changed: list[str], began_from: str | None) -> str:
    parts = ["python -m experiments.train", f"--experiment={name}", "--workdir=DIR"]
    if began_from is not None:
        parts.append(f"--init_from={began_from}")
    values = configs.flat(config)
    parts += [f"--config.{path}={written(values[path])}" for path in changed]
    parts = [parts[0], *map(shlex.quote, parts[1:])]
    line = " ".join(parts)
    return line if len(line) <= _MAX_LINE else " \\\n    ".join(parts)


def written(value: Any) -> str:
    """Return a field's value as `config.parse` reads it."""
    if isinstance(value, tuple) and value:
        return ",".join(map(str, value))
    return str(value)
