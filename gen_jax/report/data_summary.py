"""The data of runs in a page: a summary, and a table of the classes."""

from collections.abc import Sequence
from typing import NamedTuple

from gen_jax.data.summary import Summary, lines
from gen_jax.report.run_files import Folder
from gen_jax.report.tables import Table, by_row, of_class

_MAX_CLASSES = 200  # of a table


class DataSummary(NamedTuple):
    """The data of runs that were trained on the same.

    label: names the runs if there are several different data. lines: their summary.
    classes: None if they have none.
    """

    label: str
    lines: list[str]
    classes: Table | None


def data_summaries(folders: Sequence[Folder]) -> list[DataSummary]:
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
        DataSummary(", ".join(labels) if several else "", lines(each), _classes(each))
        for each, labels in found
    ]


def _classes(summary: Summary) -> Table | None:
    """Return a table of the classes that are not empty, with their counts."""
    drawn = summary.drawn_classes
    known = [summary.classes[label] for label in drawn[:_MAX_CLASSES]]
    if not known:
        return None
    rows = {
        each.name: {"training": each.train, "held out": each.test} for each in known
    }
    of = f" of {len(drawn)}" if len(drawn) > len(known) else ""
    return by_row(f"{len(known)}{of} classes", rows, of_class)
