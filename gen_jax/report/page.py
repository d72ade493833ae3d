"""The page: its content, and the template that shows it."""

import base64
import datetime
import hashlib
import importlib.metadata
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from gen_jax.data.class_names import shown
from gen_jax.report import (
    command,
    comparisons,
    data_summary,
    drawings,
    line_charts,
    speed,
)
from gen_jax.report.pictures import LIMIT, Album, Picture, spread
from gen_jax.report.run_files import Folder
from gen_jax.report.tables import NONE, Table, flat, table_of, text, words

_MAX_FRAMES = 24  # grids of samples of a run


class Film(NamedTuple):
    """A run's grids of samples by step; number: how many its folder has.

    columns: the class of each column, if they have one.
    """

    label: str
    frames: list[tuple[int, Picture]]
    number: int
    columns: list[str]


def render(folders: Sequence[Folder], together: Sequence[Folder] = ()) -> str:
    """Return the page of a run, or of several runs next to each other, as HTML.

    together: evaluations of several runs, shown before those of each run.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    files = resources.files(__package__)
    script = (files / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = text
    return environment.get_template("page.html").render(
        style=(files / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **_content(folders, together),
    )


def _content(folders: Sequence[Folder], together: Sequence[Folder]) -> dict[str, Any]:
    """Return the template's variables."""
    album = Album()
    measured = [each for each in together if each.evaluation] + list(folders)
    settings = [command.settings(folder.meta) for folder in folders]
    limit = LIMIT // (2 * len(folders))  # bytes; the other half is for figures
    films = [_film(folder, album, limit) for folder in folders]
    content = {
        "title": _title(folders),
        "folders": folders,
        "facts": table_of([(folder.label, _facts(folder)) for folder in folders]),
        "data": data_summary.data_summaries(folders),
        "films": [film for film in films if film.frames],
        "curves": _curves(folders),
        "figures": drawings.figures(folders, album),
        "shown_runs": drawings.shown_runs(folders),
        "measures": comparisons.comparisons(measured, album),
        "circumstances": comparisons.circumstances(measured),
        "settings": list(zip(folders, settings, strict=True)),
        "changed": _fields(folders, settings, changed=True),
        "others": _fields(folders, settings, changed=False),
        "environment": table_of([(f.label, _environment(f)) for f in folders]),
        "speed": _speed(folders),
        "colors": line_charts.COLORS,
        "version": importlib.metadata.version("gen_jax"),
        "now": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    left_out = [f.of(line) for f in [*together, *folders] for line in f.left_out]
    return {**content, "left_out": left_out + album.left_out}


def _title(folders: Sequence[Folder]) -> str:
    """Return the experiment and its data, or the number of different ones."""
    names = {f"{f.experiment} on {f.meta.spec}".removesuffix(" on ") for f in folders}
    if len(names) > 1:
        return f"{len(folders)} runs next to each other"
    return names.pop() + (f", {len(folders)} runs" if len(folders) > 1 else "")


def _facts(folder: Folder) -> dict[str, str]:
    """Return the facts at the head of a run: data, steps, time, speed and losses."""
    facts: dict[str, str] = {}
    meta = folder.meta
    if folder.label:
        facts |= {"experiment": folder.experiment, "data": meta.spec or NONE}
    for name, label in (("train", "training examples"), ("test", "test examples")):
        facts |= {label: text(meta.data[name])} if name in meta.data else {}
    if folder.records:
        last, of = folder.records[-1], meta.config.get("steps")
        total = f" of {text(of)}" if of and of != last["step"] else ""
        facts["steps"] = text(round(last["step"] or 0)) + total
        if (seen := last.get("images")) is not None:
            facts["images seen"] = text(round(seen))
        if (seconds := last.get("seconds")) is not None:
            facts["time"] = _clock(seconds)
        if meta.seeds:  # the time is that of all seeds
            facts["seeds trained at once"] = text(len(meta.seeds))
        if (rate := speed.usual(folder.records)) is not None:
            facts[speed.RATE] = line_charts.short(rate)
        facts |= {
            words(name).replace("/", ": "): text(value)
            for name, value in last.items()
            if name.rpartition("/")[2] == "loss"
        }
    return facts


def _clock(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _film(folder: Folder, album: Album, limit: int) -> Film:
    """Return sample grids for the animation, about `limit` bytes at most."""
    chosen = spread([path for _, path in folder.samples], _MAX_FRAMES, limit)
    frames = [
        (step, picture)
        for step, path in folder.samples
        if path in chosen
        and (picture := album.add(path, folder.of(f"samples/{path.name}")))
    ]
    columns = list(map(shown, folder.meta.sample_columns))
    return Film(folder.label, frames, len(folder.samples), columns)


def _curves(folders: Sequence[Folder]) -> list[line_charts.Chart]:
    """Return a chart per metric, with a line per player; or per run if several."""
    x = _axis(folders)
    groups: dict[str, list[line_charts.Series]] = {}
    for place, folder in enumerate(folders):
        names = dict.fromkeys(name for record in folder.records for name in record)
        players = list(dict.fromkeys(n.rpartition("/")[0] for n in names if "/" in n))
        for name in names:
            player, _, metric = name.rpartition("/")
            title, line, color = metric, player, place
            if len(folders) > 1:
                title, line = name, folder.label
            elif player in players:
                color = players.index(player)
            if name in ("step", "images", "seconds"):
                continue
            if curve := line_charts.series(line, folder.records, x, name, color):
                groups.setdefault(title, []).append(curve)
    titles = sorted(groups, key=lambda title: (not title.endswith("loss"), title))
    return [line_charts.chart(words(title), x, groups[title]) for title in titles]


def _axis(folders: Sequence[Folder]) -> str:
    """Return the x axis: "step", or "images" if batch sizes differ between runs."""
    sizes = set()
    for folder in folders:
        last = folder.records[-1] if folder.records else {}
        step, seen = last.get("step"), last.get("images")
        if step and seen:
            sizes.add(round(seen / step, 3))
    return "images" if len(sizes) > 1 else "step"


def _speed(folders: Sequence[Folder]) -> line_charts.Chart | None:
    """Return a chart of the speed of all runs; None if it is not known."""
    x = _axis(folders)
    each = [
        line_charts.series(f.label, speed.rates(f.records), x, speed.RATE, place)
        for place, f in enumerate(folders)
    ]
    curves = [curve for curve in each if curve]
    return line_charts.chart(speed.RATE, x, curves) if curves else None


def _fields(
    folders: Sequence[Folder], settings: Sequence[command.Settings], changed: bool
) -> Table:
    """Return the fields that differ from the recipe or between runs, or the others."""
    columns = [(f.label, s.fields) for f, s in zip(folders, settings, strict=True)]
    if len(folders) == 1 and changed:
        columns = [("here", settings[0].fields), ("recipe", settings[0].recipe)]
    table = table_of(columns)
    differing = {
        name
        for name, cells in table.rows
        if (len(set(cells)) > 1 if len(folders) > 1 else name in settings[0].recipe)
    }
    rows = [row for row in table.rows if (row[0] in differing) == changed]
    return table._replace(rows=rows)


def _environment(folder: Folder) -> dict[str, str]:
    backend = {"backend": folder.meta.backend} if folder.meta.backend else {}
    return flat(folder.meta.environment) | backend
