"""The measures of one or several runs, next to each other, as a page shows them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gen_jax.evaluation.result import Measured, Value
from gen_jax.report.pictures import Album, Picture
from gen_jax.report.run_files import Folder
from gen_jax.report.tables import Table, by_row, cut, flat, of_class, text, words


class Comparison(NamedTuple):
    """One measure of several runs.

    columns: labels of the runs. rows: (name, values), a value per run.
    remarks: (runs, line): how intervals were computed, contexts, notes, and what was
    left out. pictures: (caption, picture).
    """

    name: str
    description: str
    columns: list[str]
    rows: list[tuple[str, list[Value | None]]]
    remarks: list[tuple[str, str]]
    by_class: list[Table]
    pictures: list[tuple[str, Picture]]


def comparisons(folders: Sequence[Folder], album: Album) -> list[Comparison]:
    """Return every measure that any of the runs has."""
    found = [f.evaluation.measures if f.evaluation else {} for f in folders]
    names = dict.fromkeys(name for measures in found for name in measures)
    return [_compared(name, folders, found, album) for name in names]


def _compared(
    name: str,
    folders: Sequence[Folder],
    found: Sequence[dict[str, Measured]],
    album: Album,
) -> Comparison:
    pairs = zip(folders, found, strict=True)
    measured = [(folder, m.get(name, Measured({}))) for folder, m in pairs]
    keys = dict.fromkeys(key for _, each in measured for key in each.values)
    hows = [(f.label, _intervals(each)) for f, each in measured]
    contexts = [(f.label, _context(each)) for f, each in measured]
    left_out = [(f.label, "; ".join(map(cut, each.left_out))) for f, each in measured]
    return Comparison(
        words(name),
        next((cut(each.description) for _, each in measured if each.description), ""),
        [folder.label for folder in folders],
        [(words(k), [each.values.get(k) for _, each in measured]) for k in keys],
        _by_run(hows) + _by_run(contexts) + _by_run(left_out),
        [
            by_row(_title(folder), each.by_class, of_class)
            for folder, each in measured
            if any(each.by_class.values())
        ],
        [
            captioned
            for folder, each in measured
            for captioned in _pictures(folder, each, album)
        ],
    )


def _title(folder: Folder) -> str:
    return f"{folder.label}, by class".removeprefix(", ")


def _intervals(measure: Measured) -> str:
    """Return how the intervals of a measure were computed."""
    hows = dict.fromkeys(v.interval for v in measure.values.values() if v.interval)
    return f"95 % intervals in [ ]: {' · '.join(map(cut, hows))}" if hows else ""


def _context(measure: Measured) -> str:
    parts = [f"{name}: {value}" for name, value in flat(measure.context).items()]
    return " · ".join(parts + ([cut(measure.note)] if measure.note else []))


def _by_run(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (runs, line), each line once; no names if all runs have the same line."""
    runs: dict[str, list[str]] = {}
    for label, line in lines:
        runs.setdefault(line, []).append(label)
    if len(runs) == 1:
        return [("", line) for line in runs if line]
    return [(", ".join(mine), line) for line, mine in runs.items() if line]


def _pictures(
    folder: Folder, measure: Measured, album: Album
) -> Iterator[tuple[str, Picture]]:
    """Yield (caption, picture) of a measure's pictures that can be shown."""
    for name in measure.pictures:
        if "/" in name or name in (".", ".."):
            continue
        path, label = folder.path / "evaluation" / name, f"evaluation/{name}"
        if picture := album.add(path, folder.of(label)):
            caption = cut(measure.captions.get(name, ""))
            yield (folder.of(caption) if caption else folder.label), picture


def circumstances(folders: Sequence[Folder]) -> list[tuple[str, str]]:
    """Return (run, line): which run was evaluated, and on which machine."""
    lines = []
    for folder in folders:
        if record := folder.evaluation:
            parts = {"run": record.run, "environment": record.environment}
            found = [f"{name}: {text(part)}" for name, part in parts.items() if part]
            lines += [(folder.label, " · ".join(found))] if found else []
            lines += [(folder.label, f"left out: {cut(x)}") for x in record.left_out]
    return lines
