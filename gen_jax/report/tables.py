"""Tables of numbers that may be nested in any way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gen_jax.data.class_names import shown
from gen_jax.report.line_charts import short

_DEPTH = 6  # levels of nesting that are shown
_MAX_CELL = 400  # characters of a cell
_MAX_HEAD = 80  # of the name of a class
NONE = "–"  # noqa: RUF001  a dash in an empty cell


class Table(NamedTuple):
    """rows: a name and its cells, one a column."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]


def text(x: Any, depth: int = 0) -> str:
    """Return a value of JSON as the text of a cell."""
    if x is None:
        return NONE
    if isinstance(x, bool):
        return "yes" if x else "no"
    if isinstance(x, float):
        return short(x)
    if isinstance(x, int):
        return cut(f"{x:,}")
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
    """Return the name of a number as words."""
    return cut(str(name).replace("_", " "))


def cut(line: str) -> str:
    """Return a line, cut to the length of a cell."""
    return line if len(line) <= _MAX_CELL else line[: _MAX_CELL - 1] + "…"


def _interval(x: Mapping[str, Any]) -> str | None:
    """Return a mean and its interval if an object is nothing else."""
    if set(x) != {"mean", "low", "high"}:
        return None
    if not all(isinstance(each, int | float) for each in x.values()):
        return None
    return f"{text(x['mean'])} [{text(x['low'])}, {text(x['high'])}]"


def flat(
    numbers: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> dict[str, str]:
    """Return name -> cell of all numbers but the tables that `nested` returns."""
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
    """Return one table for each entry whose values are dicts with equal keys.

    Results by class are such an entry.
    """
    return [by_row(words(k), x) for k, x in numbers.items() if _is_table(x)]


def _is_table(x: Any) -> bool:
    rows = list(x.values()) if isinstance(x, Mapping) else []
    return len(rows) > 1 and all(
        isinstance(y, Mapping) and y and y.keys() == rows[0].keys() and not _interval(y)
        for y in rows
    )


def table_of(columns: Sequence[tuple[str, Mapping[str, str]]]) -> Table:
    """Return a table of columns, each (label, name -> cell); cells may be missing."""
    names = dict.fromkeys(name for _, cells in columns for name in cells)
    rows = [(name, [cells.get(name, NONE) for _, cells in columns]) for name in names]
    return Table("", [label for label, _ in columns], rows)


def by_row(
    title: str,
    rows: Mapping[str, Mapping[str, Any]],
    head: Callable[[str], str] = words,
) -> Table:
    """Return a table with a row for each object of `rows`.

    head: the text at the head of a row; by default its name as words.
    """
    names = dict.fromkeys(name for row in rows.values() for name in row)
    cells = [(head(k), [text(row.get(n)) for n in names]) for k, row in rows.items()]
    return Table(title, list(map(words, names)), cells)


def of_class(name: str) -> str:
    """Return the name of a class as the head of a row: as it is, but short."""
    return shown(name, _MAX_HEAD)
