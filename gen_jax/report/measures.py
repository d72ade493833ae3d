"""What `evaluation.json` says of runs, whatever it is that was measured.

A measure has values by name, each with an interval, how that was got, and a floor: what
real images or chance would have.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from gen_jax.report.pictures import Album, Picture
from gen_jax.report.run_files import Folder, as_dict, as_list, number
from gen_jax.report.tables import NONE, Table, beside, cut, flat, text, words


class Value(NamedTuple):
    """A number as it is shown."""

    value: str
    interval: str
    real_baseline: str


class Measure(NamedTuple):
    """One measure of all runs.

    rows: (name, values, one a run). intervals: (runs, line): how they were got.
    said: (runs, line): context and notes.
    """

    name: str
    what: str
    columns: list[str]
    rows: list[tuple[str, list[Value]]]
    intervals: list[tuple[str, str]]
    said: list[tuple[str, str]]
    by_class: list[Table]
    pictures: list[tuple[str, Picture]]


def measures(folders: Sequence[Folder], album: Album) -> list[Measure]:
    """Every measure that any of the runs has."""
    found = [as_dict(folder.evaluation.get("measures")) for folder in folders]
    names = dict.fromkeys(name for mine in found for name in mine)
    return [
        _measure(name, folders, [as_dict(mine.get(name)) for mine in found], album)
        for name in names
    ]


def _measure(
    name: str, folders: Sequence[Folder], found: list[dict[str, Any]], album: Album
) -> Measure:
    values = [as_dict(each.get("values")) for each in found]
    keys = dict.fromkeys(key for mine in values for key in mine)
    labels = [folder.label for folder in folders]
    return Measure(
        words(name),
        next((cut(w) for e in found if isinstance(w := e.get("what"), str)), ""),
        labels,
        [(words(key), [_value(mine.get(key)) for mine in values]) for key in keys],
        _by_run(labels, list(map(_intervals, values))),
        _said(labels, found),
        _by_class(labels, found),
        [
            (folder.label, picture)
            for folder, each in zip(folders, found, strict=True)
            for picture in _pictures(folder, each, album)
        ],
    )


def _value(x: Any) -> Value:
    if not isinstance(x, dict):
        return Value(NONE if x is None else text(x), "", "")
    unit = x.get("unit")
    shown = text(x.get("value"))
    if isinstance(unit, str) and unit and shown != NONE:
        shown += f" {cut(unit)}"
    low, high, real_baseline = (
        number(x.get(key)) for key in ("low", "high", "real_baseline")
    )
    interval = "" if None in (low, high) else f"[{text(x['low'])}, {text(x['high'])}]"
    return Value(
        shown, interval, "" if real_baseline is None else text(x["real_baseline"])
    )


def _intervals(values: dict[str, Any]) -> str:
    """How a run's intervals were got."""
    hows = dict.fromkeys(as_dict(value).get("interval") for value in values.values())
    said = " · ".join(cut(how) for how in hows if isinstance(how, str))
    return f"[ ]: {said}" if said else ""


def _said(labels: list[str], found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Context and notes by run."""
    lines = []
    for each in found:
        parts = [f"{k}: {v}" for k, v in flat(as_dict(each.get("context"))).items()]
        note = each.get("note")
        parts += [cut(note)] if isinstance(note, str) else []
        lines.append(" · ".join(parts))
    return _by_run(labels, lines)


def _by_run(labels: list[str], lines: list[str]) -> list[tuple[str, str]]:
    """(runs, line) of each line once; without names where all runs say the same."""
    runs: dict[str, list[str]] = {}
    for label, line in zip(labels, lines, strict=True):
        runs.setdefault(line, []).append(label)
    if len(runs) == 1:
        return [("", line) for line in runs if line]
    return [(", ".join(mine), line) for line, mine in runs.items() if line]


def _by_class(labels: list[str], found: list[dict[str, Any]]) -> list[Table]:
    tables = []
    for label, each in zip(labels, found, strict=True):
        classes = as_dict(each.get("by_class"))
        cells = {words(name): flat(as_dict(row)) for name, row in classes.items()}
        columns = dict.fromkeys(column for row in cells.values() for column in row)
        by_column = [
            (c, {n: row.get(c, NONE) for n, row in cells.items()}) for c in columns
        ]
        if by_column:
            title = f"{label}, by class" if label else "by class"
            tables.append(beside(by_column, title))
    return tables


def _pictures(folder: Folder, found: dict[str, Any], album: Album) -> list[Picture]:
    names = [name for name in as_list(found.get("pictures")) if isinstance(name, str)]
    plain = [name for name in names if "/" not in name and name not in (".", "..")]
    added = [
        album.add(folder.path / "evaluation" / name, folder.of(f"evaluation/{name}"))
        for name in plain
    ]
    return [picture for picture in added if picture]


def circumstances(folders: Sequence[Folder]) -> list[tuple[str, str]]:
    """(run, line): of what, how and where it was evaluated, all beside the measures."""
    lines = []
    for folder in folders:
        parts = {k: v for k, v in folder.evaluation.items() if k != "measures"}
        line = " · ".join(f"{words(name)}: {text(x)}" for name, x in parts.items())
        lines += [(folder.label, line)] if line else []
    return lines
