"""The figures of runs: each claim's pictures and its numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gen_jax.report.pictures import Album, Picture
from gen_jax.report.run_files import Folder, as_dict, as_list
from gen_jax.report.tables import Table, beside, cut, flat, nested, text, words

_SUFFIXES = (".png", ".gif")


class Figure(NamedTuple):
    """One claim about all runs; numbers: None where there are none."""

    name: str
    what: str
    pictures: list[tuple[str, Picture]]
    numbers: Table | None
    tables: list[Table]


def figures(folders: Sequence[Folder], album: Album) -> list[Figure]:
    """Every claim that was drawn of any run, then the pictures that are of none."""
    claims = [as_dict(folder.figures.get("claims")) for folder in folders]
    found, used = [], [set() for _ in folders]
    for name in dict.fromkeys(name for mine in claims for name in mine):
        pictures, columns, what = [], [], ""
        for folder, mine, seen in zip(folders, claims, used, strict=True):
            claim = as_dict(mine.get(name))
            what = what or (w if isinstance(w := claim.get("what"), str) else "")
            paths = _paths(folder, name, claim)
            seen |= set(paths)
            pictures += _embedded(folder, paths, album)
            columns += _columns(folder, claim)
        found.append(_figure(name, what, pictures, columns))
    others = [
        picture
        for folder, seen in zip(folders, used, strict=True)
        for picture in _embedded(folder, sorted(set(_drawn(folder)) - seen), album)
    ]
    return found + ([Figure("others", "", others, None, [])] if others else [])


def drawn_of(folders: Sequence[Folder]) -> list[tuple[str, str]]:
    """(run, line): of which steps and weights the figures are."""
    return [
        (folder.label, text(run))
        for folder in folders
        for run in as_list(folder.figures.get("runs"))
    ]


def _label(folder: Folder, run: dict[str, Any]) -> str:
    """A run of a folder's figures: --against gives it two."""
    return cut(
        folder.of(f"{run.get('experiment', 'run')}, step {run.get('step', '?')}")
    )


def _figure(name, what, pictures, columns) -> Figure:
    cells = [(label, flat(numbers)) for label, numbers in columns]
    table = beside([(label, mine) for label, mine in cells if mine])
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


def _columns(folder: Folder, claim: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(run, numbers) of a claim."""
    numbers = claim.get("numbers")
    runs = as_list(folder.figures.get("runs"))
    columns = []
    for place, mine in enumerate(numbers if isinstance(numbers, list) else [numbers]):
        run = as_dict(runs[place]) if place < len(runs) else {}
        columns.append((_label(folder, run), as_dict(mine)))
    return columns


def _drawn(folder: Folder) -> list[Path]:
    place = folder.path / "figures"
    return sorted(path for path in place.glob("*") if path.suffix in _SUFFIXES)


def _paths(folder: Folder, name: str, claim: dict[str, Any]) -> list[Path]:
    """A claim's pictures: those that it names, or, of older ones, of its own name."""
    drawn = _drawn(folder)
    if "pictures" in claim:
        names = [n for n in as_list(claim["pictures"]) if isinstance(n, str)]
        return [path for path in drawn if path.name in names]
    return [path for path in drawn if path.stem == name or f"{name}_" in path.stem]


def _embedded(folder: Folder, paths: list[Path], album: Album):
    """(what it shows, picture) of each that can be shown."""
    for path in paths:
        if picture := album.add(path, folder.of(f"figures/{path.name}")):
            yield folder.of(words(path.stem)), picture
