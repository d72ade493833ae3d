"""The figures of runs in a page: each claim's pictures and its numbers."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gen_jax.figures.figure import DrawnClaim
from gen_jax.report.pictures import Album, Picture
from gen_jax.report.run_files import Folder
from gen_jax.report.tables import Table, cut, flat, nested, table_of, text, words

_SUFFIXES = (".png", ".gif")


class Figure(NamedTuple):
    """One claim about all runs.

    numbers: None if there are none. left_out: lines on what could not be drawn.
    """

    name: str
    description: str
    pictures: list[tuple[str, Picture]]
    numbers: Table | None
    tables: list[Table]
    left_out: Sequence[str] = ()


def figures(folders: Sequence[Folder], album: Album) -> list[Figure]:
    """Return every claim about any run, then the pictures that belong to no claim."""
    names = dict.fromkeys(name for f in folders for name in f.figures.claims)
    found = [_figure(name, folders, album) for name in names]
    others = [
        picture
        for folder in folders
        for picture in _embedded(folder, _of_no_claim(folder), album)
    ]
    return found + ([Figure("others", "", others, None, [])] if others else [])


def shown_runs(folders: Sequence[Folder]) -> list[tuple[str, str]]:
    """Return (run, line): the steps and weights that the figures show."""
    return [
        (folder.label, text(run)) for folder in folders for run in folder.figures.runs
    ]


def _figure(name: str, folders: Sequence[Folder], album: Album) -> Figure:
    claims = [(f, f.figures.claims[name]) for f in folders if name in f.figures.claims]
    pictures = [
        picture
        for folder, claim in claims
        for picture in _embedded(folder, claim.pictures, album)
    ]
    columns = [each for pair in claims for each in _columns(*pair)]
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
    lines = (claim.description for _, claim in claims)
    description = next(filter(None, lines), "")
    left_out = [
        f.of(f"left out: {cut(x)}") for f, claim in claims for x in claim.left_out
    ]
    numbers = table if table.rows else None
    return Figure(words(name), cut(description), pictures, numbers, tables, left_out)


def _columns(folder: Folder, claim: DrawnClaim) -> list[tuple[str, dict[str, Any]]]:
    """Return (run, numbers) of a claim; figures --against have two runs."""
    each = claim.numbers if isinstance(claim.numbers, list) else [claim.numbers]
    runs = [
        f"{run.get('experiment', 'run')}, step {run.get('step', '?')}"
        for run in folder.figures.runs
    ]
    labels = runs + ["run"] * len(each)  # the runs may be damaged
    return [
        (cut(folder.of(label)), numbers if isinstance(numbers, dict) else {})
        for label, numbers in zip(labels, each, strict=False)
    ]


def _of_no_claim(folder: Folder) -> list[str]:
    """Return the names of the pictures in a folder that no claim names."""
    claims = folder.figures.claims.values()
    named = {name for claim in claims for name in claim.pictures}
    return [name for name in _drawn(folder) if name not in named]


def _drawn(folder: Folder) -> list[str]:
    paths = (folder.path / "figures").glob("*")
    return sorted(path.name for path in paths if path.suffix.lower() in _SUFFIXES)


def _embedded(
    folder: Folder, names: Sequence[str], album: Album
) -> Iterator[tuple[str, Picture]]:
    """Yield (caption, picture) of those files that can be shown."""
    for name in _drawn(folder):
        path = folder.path / "figures" / name
        if name in names and (picture := album.add(path, folder.of(f"figures/{name}"))):
            yield folder.of(words(path.stem)), picture
