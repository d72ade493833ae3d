"""The page itself: what the template is told, and the template."""

import base64
import datetime
import hashlib
import importlib.metadata
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from gen_jax.report import command, drawings, line_charts, measures, speed
from gen_jax.report.pictures import LIMIT, Album, Picture, spread
from gen_jax.report.run_files import Folder, as_dict, as_list, number
from gen_jax.report.tables import NONE, Table, beside, flat, text, words

_FRAMES = 24  # grids of samples of a run


class Film(NamedTuple):
    """A run's grids of samples by step; drawn: how many there are in its folder."""

    label: str
    frames: list[tuple[int, Picture]]
    drawn: int


def render(folders: Sequence[Folder], together: Sequence[Folder] = ()) -> str:
    """One run's page, or that of several beside each other, as HTML.

    together: what was measured of several of the runs, shown before each one's own.
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
    return environment.get_template("page.html").render(
        style=(files / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **_content(folders, together),
    )


def _content(folders: Sequence[Folder], together: Sequence[Folder]) -> dict[str, Any]:
    """What the template shows, by the names that it has there."""
    album = Album()
    measured = [each for each in together if each.evaluation] + list(folders)
    settings = [command.settings(folder.meta) for folder in folders]
    fraction = LIMIT // (2 * len(folders))  # the other half is for figures
    films = [_film(folder, album, fraction) for folder in folders]
    content = {
        "title": _title(folders),
        "folders": folders,
        "facts": beside([(folder.label, _facts(folder)) for folder in folders]),
        "films": [film for film in films if film.frames],
        "curves": _curves(folders),
        "figures": drawings.figures(folders, album),
        "drawn_of": drawings.drawn_of(folders),
        "measures": measures.measures(measured, album),
        "circumstances": measures.circumstances(measured),
        "settings": list(zip(folders, settings, strict=True)),
        "changed": _fields(folders, settings, changed=True),
        "others": _fields(folders, settings, changed=False),
        "environment": beside([(f.label, _environment(f)) for f in folders]),
        "speed": _speed(folders),
        "size": (line_charts.WIDTH, line_charts.HEIGHT),
        "version": importlib.metadata.version("gen_jax"),
        "now": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    left_out = [f.of(line) for f in [*together, *folders] for line in f.left_out]
    return {**content, "left_out": left_out + album.left_out}


def _title(folders: Sequence[Folder]) -> str:
    """What was trained on what, where that is the same of all."""
    names = {f"{f.experiment} on {_spec(f)}".removesuffix(" on ") for f in folders}
    if len(names) > 1:
        return f"{len(folders)} runs beside each other"
    return names.pop() + (f", {len(folders)} runs" if len(folders) > 1 else "")


def _spec(folder: Folder) -> str:
    return str(as_dict(as_dict(folder.meta.get("config")).get("data")).get("spec", ""))


def _facts(folder: Folder) -> dict[str, str]:
    """The first things to know of a run."""
    facts = {}
    if folder.label:
        facts |= {"experiment": folder.experiment, "data": _spec(folder) or NONE}
    data = as_dict(folder.meta.get("data"))
    for name, label in (("train", "training examples"), ("test", "held out")):
        facts |= {label: text(data[name])} if name in data else {}
    if folder.records:
        last = folder.records[-1]
        of = as_dict(folder.meta.get("config")).get("steps")
        total = f" of {text(of)}" if number(of) and of != last["step"] else ""
        facts["steps"] = text(last["step"]) + total
        facts["images seen"] = text(last.get("images"))
        if (seconds := speed.seconds(folder.records)) is not None:
            facts["time"] = _clock(seconds)
        if together := as_list(folder.meta.get("seeds")):  # its time is all theirs
            facts["seeds trained at once"] = text(len(together))
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
    """The run's grids in about so many bytes."""
    chosen = spread([path for _, path in folder.samples], _FRAMES, limit)
    frames = [
        (step, picture)
        for step, path in folder.samples
        if path in chosen
        and (picture := album.add(path, folder.of(f"samples/{path.name}")))
    ]
    return Film(folder.label, frames, len(folder.samples))


def _curves(folders: Sequence[Folder]) -> list[line_charts.Chart]:
    """A chart a metric, with a line a player; of several runs, with a line a run."""
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
    names = sorted(groups, key=lambda name: (not name.endswith("loss"), name))
    return [line_charts.chart(words(name), x, groups[name]) for name in names]


def _axis(folders: Sequence[Folder]) -> str:
    """Steps; images where a step is not as many in every run."""
    sizes = set()
    for folder in folders:
        last = folder.records[-1] if folder.records else {}
        step, seen = number(last.get("step")), number(last.get("images"))
        if step and seen:
            sizes.add(round(seen / step, 3))
    return "images" if len(sizes) > 1 else "step"


def _speed(folders: Sequence[Folder]) -> line_charts.Chart | None:
    x = _axis(folders)
    every = enumerate(folders)
    curves = [
        curve
        for place, folder in every
        if (
            curve := line_charts.series(
                folder.label, speed.rates(folder.records), x, speed.RATE, place
            )
        )
    ]
    return line_charts.chart(speed.RATE, x, curves) if curves else None


def _fields(
    folders: Sequence[Folder], settings: Sequence[command.Settings], changed: bool
) -> Table:
    """The fields that differ, from the recipe or between the runs, or the others."""
    columns = [(f.label, s.fields) for f, s in zip(folders, settings, strict=True)]
    if len(folders) == 1 and changed:
        columns = [("here", settings[0].fields), ("recipe", settings[0].recipe)]
    table = beside(columns)
    apart = {
        name
        for name, cells in table.rows
        if (len(set(cells)) > 1 if len(folders) > 1 else name in settings[0].recipe)
    }
    return table._replace(rows=[r for r in table.rows if (r[0] in apart) == changed])


def _environment(folder: Folder) -> dict[str, str]:
    backend = {k: x for k, x in folder.meta.items() if k == "backend"}
    return flat(as_dict(folder.meta.get("environment"))) | flat(backend)
