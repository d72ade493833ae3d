"""Numbers of any shape as tables: what was measured is not known here by name."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gen_jax.report.line_charts import short
from gen_jax.report.run_files import as_dict, number

_DEPTH = 6  # what is nested deeper is not opened
_LONGEST = 400  # characters of a cell
NONE = "–"  # noqa: RUF001  a dash, where there is nothing


class Table(NamedTuple):
    """rows: a name and its cells, one a column."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def text(x: Any, depth: int = 0) -> str:
    """A value of JSON in a cell."""
    if x is None:
        return NONE
    if isinstance(x, bool):
        return "yes" if x else "no"
    if (value := number(x)) is not None:
        return f"{x:,}" if isinstance(x, int) and abs(x) < 1e15 else short(value)
    if depth > _DEPTH:
        return "…"
    if isinstance(x, Mapping):
        if whole := _interval(x):
            return whole
        parts = [f"{words(key)} {text(value, depth + 1)}" for key, value in x.items()]
        return cut(", ".join(parts))
    if isinstance(x, Sequence) and not isinstance(x, str):
        return cut(", ".join(text(each, depth + 1) for each in x)) or NONE
    return cut(str(x)) or NONE


def words(name: Any) -> str:
    """The name of a number, to be read."""
    return cut(str(name).replace("_", " "))


def cut(line: str) -> str:
    """A line short enough for a cell."""
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _interval(x: Mapping[str, Any]) -> str | None:
    """A mean and its interval, where an object is nothing else."""
    if set(x) != {"mean", "low", "high"} or None in map(number, x.values()):
        return None
    return f"{text(x['mean'])} [{text(x['low'])}, {text(x['high'])}]"


def flat(
    numbers: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> dict[str, str]:
    """Name -> cell of all but what `nested` makes tables of."""
    cells: dict[str, str] = {}
    for name, value in numbers.items():
        label = prefix + words(name)
        if _is_table(value):
            continue
        if isinstance(value, Mapping) and not _interval(value) and depth < _DEPTH:
            cells |= flat(value, f"{label}: ", depth + 1)
        else:
            cells[label] = text(value)
    return cells


def nested(numbers: Mapping[str, Any]) -> list[Table]:
    """A table of every object whose own objects have the same names, as by class."""
    return [
        Table(words(name), list(map(words, _names(value))), _rows(value))
        for name, value in numbers.items()
        if _is_table(value)
    ]


def _is_table(x: Any) -> bool:
    if not isinstance(x, Mapping) or len(x) < 2:
        return False
    inner = [set(as_dict(each)) for each in x.values()]
    return (
        bool(inner[0])
        and all(each == inner[0] for each in inner)
        and not any(_interval(each) for each in x.values())
    )


def _names(x: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(next(iter(x.values())))


def _rows(x: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    names = _names(x)
    return [(words(key), [text(row[n]) for n in names]) for key, row in x.items()]


def beside(columns: Sequence[tuple[str, Mapping[str, str]]], title: str = "") -> Table:
    """Cells by name of several columns as one table; a name may be missing in some."""
    names = dict.fromkeys(name for _, cells in columns for name in cells)
    rows = [(name, [cells.get(name, NONE) for _, cells in columns]) for name in names]
    return Table(title, [label for label, _ in columns], rows)
