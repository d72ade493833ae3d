"""A run as one HTML page that needs nothing else: no network, no server, no files.

    write([folder], folder / "report.html")

Several folders are shown beside each other. What is missing or damaged is left out with
a word. Everything that is read from a folder is escaped by the template, and the page's
policy runs no script but its own and loads nothing.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from gen_jax.errors import UserError
from gen_jax.manifest import written_whole
from gen_jax.report import folder as folders

NAME = "report.html"


def write(paths: Sequence[str | os.PathLike], out: str | os.PathLike) -> None:
    """Writes the page of one run's folder, or of several, whole or not at all.

    Raises UserError for a folder that is not a run's, and without Jinja.
    """
    paths, out = [Path(path) for path in paths], Path(out)
    labels = folders.labels(paths)
    read = [folders.read(*each) for each in zip(paths, labels, strict=True)]
    try:
        from gen_jax.report.page import render

        html = render(read)
    except ModuleNotFoundError as error:
        if error.name != "jinja2":
            raise
        line = "a report needs Jinja: pip install 'gen_jax[report]'"
        raise UserError(line) from None
    with written_whole(out) as unfinished:
        unfinished.write_text(html, encoding="utf-8", errors="replace")
