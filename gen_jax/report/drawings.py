"""The figures of runs in a page: each claim's pictures and its numbers."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gen_jax.figures.figure import DrawnClaim
from gen_jax.report.pictures import Album, Picture
from gen_jax.report.run_files import Folder
from gen_jax.report.tables import Table, cut, flat, nested, table_of, text, words

_SUFFIXES = (".png", ".gif")


class Figure(NamedTuple):
    """One claim about all runs; numbers: None if there are none."""

    name: str
    what: str
    pictures: list[tuple[str, Picture]]
    numbers: Table | None
    tables: list[Table]


def figures(folders: Sequence[Folder], album: Album) -> list[Figure]:
    """Return every claim about any run, then the pictures that belong to no claim."""
    found, used = [], [set() for _ in folders]
    names = dict.fromkeys(name for f in folders for name in f.figures.claims)
    for name in names:
        pictures, columns, what = [], [], ""
        for folder, seen in zip(folders, used, strict=True):
            if claim := folder.figures.claims.get(name):
                what = what or claim.what
                paths = _paths(folder, name, claim)
                seen |= set(paths)
                pictures += _embedded(folder, paths, album)
                columns += _columns(folder, claim)
        found.append(_figure(name, what, pictures, columns))
    others = [
        picture
        for folder, seen in zip(folders, used, strict=True)
        for picture in _embedded(folder, sorted(set(_files(folder)) - seen), album)
    ]
    return found + ([Figure("others", "", others, None, [])] if others else [])


def shown_runs(folders: Sequence[Folder]) -> list[tuple[str, str]]:
    """Return (run, line): the steps and weights that the figures show."""
    return [
        (folder.label, text(dataclasses.asdict(run)))
        for folder in folders
        for run in folder.figures.runs
    ]


def _figure(name, what, pictures, columns) -> Figure:
    cells = [(label, flat(numbers)) for label, numbers in columns]
    table = table_of([(label, mine) for label, mine in cells if mine])
    if len(columns) == 1:
        table = table._replace(columns=[""])
    tables = [
        each._replace(
            title=f"{label}: {each.title}" if len(columns) > 1 else each.title
        )
        for label, numbers in columns
        for each in nested(numbers)
    ]
    return Figure(
        words(name), cut(what), pictures, table if table.rows else None, tables
    )


def _columns(folder: Folder, claim: DrawnClaim) -> list[tuple[str, dict[str, Any]]]:
    """Return (run, numbers) of a claim; figures --against have two runs."""
    runs, columns = folder.figures.runs, []
    each = claim.numbers if isinstance(claim.numbers, list) else [claim.numbers]
    for place, numbers in enumerate(each):
        label = "run"
        if place < len(runs):
            step = "?" if runs[place].step is None else runs[place].step
            label = f"{runs[place].experiment}, step {step}"
        columns.append((cut(folder.of(label)), numbers))
    return [(label, x if isinstance(x, dict) else {}) for label, x in columns]


def _files(folder: Folder) -> list[Path]:
    place = folder.path / "figures"
    return sorted(path for path in place.glob("*") if path.suffix in _SUFFIXES)


def _paths(folder: Folder, name: str, claim: DrawnClaim) -> list[Path]:
    """Return a claim's pictures: those it names, or in old files those of its name."""
    drawn = _files(folder)
    if claim.pictures is not None:
        return [path for path in drawn if path.name in claim.pictures]
    return [path for path in drawn if path.stem == name or f"{name}_" in path.stem]


def _embedded(folder: Folder, paths: list[Path], album: Album):
    """Yield (caption, picture) of each file that can be shown."""
    for path in paths:
        if picture := album.add(path, folder.of(f"figures/{path.name}")):
            yield folder.of(words(path.stem)), picture
