"""Check whether a checkpoint belongs to a run: by content, not by the path.

A run is identified by its experiment, the shapes of its batch, its seed, the digest of
its data, and the configuration's fields that a resumed run may not change.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gen_jax.errors import UserError

MOVABLE = ("data.spec", "data.data_dir")  # the place of the data, not their content
_CONFIG = "config.json"


def check_json(meta: Mapping[str, Any]) -> None:
    """Raise UserError for an entry of a meta that JSON cannot keep."""
    for name, value in meta.items():
        try:
            json.dumps({name: value})
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"meta[{name!r}] cannot be saved as JSON: {error}; give numbers, "
                "texts, lists and dicts"
            ) from error


def check_same_run(found: Mapping[str, Any], own: Mapping[str, Any], of: Path) -> None:
    """Raise UserError if a checkpoint's meta is not that of the run that resumes.

    found: the meta of the checkpoint `of`. own: the meta that the run would save.
    """
    if line := _difference(own, found):
        path, mine, theirs = line
        raise UserError(
            f"{path}={mine} disagrees with the run that the checkpoint {of} belongs "
            f"to, which has {theirs}"
        )


def check_own_folder(run: Path, found: Mapping[str, Any], of: Path) -> None:
    """Raise UserError if a checkpoint in a run's folder is another run's.

    run: the folder, whose config.json identifies the run. A folder without it, or with
    a config.json of another format, passes. found: the meta of `of`.
    """
    try:
        own = json.loads((run / _CONFIG).read_text())
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(own, dict) or not {"format", "batch"} <= own.keys():
        return
    if own["format"] != found["format"]:
        return
    if line := _difference(own, found):
        path, mine, theirs = line
        raise UserError(
            f"the checkpoint {of} is not of the run in {run}: it has {path}={theirs}, "
            f"and {_CONFIG} {mine}; move it to another folder"
        )


def _difference(
    own: Mapping[str, Any], found: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
    """Return the first entry that differs: its dotted path, own value, found value.

    An entry that only one of them has, such as a later version's, is not compared.
    """
    mine, theirs = dict(_entries(own)), dict(_entries(found))
    differing = [p for p in mine if p in theirs and mine[p] != theirs[p]]
    may_change = _may_change(own.get("experiment")) if differing else ()
    for path in differing:
        name = path.removeprefix("config.").removeprefix("fit.")
        if name not in may_change:
            return name, mine[path], theirs[path]
    return None


def _entries(meta: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of the entries that identify a run."""
    yield "experiment", meta.get("experiment")
    yield from _flat("config", meta.get("config", {}))
    yield from _flat("fit", meta.get("fit", {}))
    yield from _flat("batch", meta.get("batch"))
    data = meta.get("data")
    if isinstance(data, Mapping) and data.get("digest"):
        yield "data.digest", data["digest"]


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of nested objects; JSON has lists for tuples."""
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _flat(f"{path}.{name}", each)
    else:
        yield path, json.loads(json.dumps(value))


def _may_change(name: str | None) -> set[str]:
    """Return the dotted fields of an experiment that a resumed run may change."""
    from gen_jax import config as configs  # here: most checkpoints need no recipe
    from gen_jax import experiment

    config: Any = configs.FitConfig()
    if name is not None:
        try:
            config = experiment.find(name).config
        except UserError:  # its package is not installed: the shared fields are known
            config = experiment.RunConfig()
    fields = configs.flat(config)
    changing = {p for p in fields if configs.may_change_on_resume(config, p)}
    return changing | {*MOVABLE}
