"""The data of runs in a page: what was understood of them, and their classes."""

from collections.abc import Sequence
from typing import NamedTuple

from gen_jax.data.class_names import shown
from gen_jax.data.summary import ClassCount, Summary, lines
from gen_jax.report.run_files import Folder
from gen_jax.report.tables import Table, by_row

_MAX_CLASSES = 200  # of a table


class Understood(NamedTuple):
    """The data of runs that were trained on the same.

    label: names the runs if there are several different data. lines: their summary.
    classes: None if they have none.
    """

    label: str
    lines: list[str]
    classes: Table | None


def understood(folders: Sequence[Folder]) -> list[Understood]:
    """Return each summary of data once, with the runs that were trained on them."""
    found: list[tuple[Summary, list[str]]] = []
    for folder in folders:
        summary = folder.meta.data_summary
        if summary is None:
            continue
        same = [labels for each, labels in found if each == summary]
        if same:
            same[0].append(folder.label)
        else:
            found.append((summary, [folder.label]))
    several = len(found) > 1
    return [
        Understood(", ".join(labels) if several else "", lines(each), _classes(each))
        for each, labels in found
    ]


def _classes(summary: Summary) -> Table | None:
    """Return a table of the classes that are not empty, with their counts."""
    known = [(i, summary.classes[i]) for i in summary.drawn_classes[:_MAX_CLASSES]]
    if not known:
        return None
    table = by_row("", {str(i): _row(each) for i, each in known})
    names = [shown(each.name) for _, each in known]
    rows = [(name, row[1]) for name, row in zip(names, table.rows, strict=True)]
    more = len(summary.drawn_classes) - len(known)
    title = f"{len(known)} classes" + (f" of {len(known) + more}" if more else "")
    return table._replace(title=title, rows=rows)


def _row(each: ClassCount) -> dict[str, int | None]:
    return {"training": each.train, "held out": each.test}
