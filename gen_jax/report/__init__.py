"""A run as one HTML page that needs nothing else: no network, no server, no files.

    write([folder], folder / "report.html")

Several folders are shown next to each other. So are the runs of a folder of several
seeds, with the evaluation of all seeds together. Missing or damaged files are left out
and named. The template escapes everything that it reads from a folder. The page's
policy allows only its own script, and loads nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from gen_jax.errors import UserError
from gen_jax.files import written_whole
from gen_jax.report import run_files as folders
from gen_jax.runs import seeds

NAME = "report.html"


def write(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
    out: str | os.PathLike,
    spec: str | None = None,
) -> None:
    """Write the page of one or more folders, each of a run or of several seeds.

    spec: where the runs' data are now, if they were moved; the page then names it.

    Raises UserError for a folder that is not a run's, and if Jinja or matplotlib is
    missing.
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    runs = {Path(path): list(seeds.found(Path(path)).values()) for path in paths}
    groups = [path for path, mine in runs.items() if mine]
    alone = [run for path, mine in runs.items() for run in mine or [path]]
    labels = folders.labels([*groups, *alone])
    together = list(map(folders.read_together, groups, labels))
    read = list(map(folders.read, alone, labels[len(groups) :]))
    if spec is not None:
        read = [folders.with_data(each, spec) for each in read]
    try:
        from gen_jax.report.page import render

        html = render(read, together)
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        line = "a report needs Jinja: pip install 'gen_jax[report]'"
        raise UserError(line) from None
    with written_whole(Path(out)) as unfinished:
        unfinished.write_text(html, encoding="utf-8", errors="replace")
