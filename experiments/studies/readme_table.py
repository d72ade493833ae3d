"""The README's table of experiments, generated from the records of finished runs.

Each row is one run: config.json and metrics.jsonl are written by `experiments.train`,
evaluation.json by `experiments.evaluate`. The rows are kept in a JSON file, so that the
table can be generated again without the runs.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from gen_jax import experiment, typed_json
from gen_jax.errors import UserError
from gen_jax.files import write_json
from gen_jax.report import command, run_files
from gen_jax.report.line_charts import short

BEGIN, END = "<!-- table of experiments -->\n", "<!-- end of the table -->\n"
# (measure, value, name) in order of preference: a row has the first that its run has.
_NUMBERS = (
    ("translation", "l1", "L1 distance"),
    ("on_classifier", "frechet_distance", "Frechet distance"),
)
_VALUE = ("value", "low", "high", "real_baseline")


@dataclasses.dataclass(frozen=True)
class Row:
    """One experiment's run.

    command: the command that trains it again. name: the metric of `value`.
    low, high: its 95 % interval. real_baseline: the same metric of real images.
    samples: number of samples, or of test images. seconds: of training.
    """

    command: str
    data: str
    steps: int
    seconds: float
    name: str
    value: float
    low: float
    high: float
    real_baseline: float | None
    samples: str
    hardware: str


def row(path: Path) -> tuple[str, Row]:
    """Return (experiment, row) of a run's folder.

    Raises UserError if it was not trained to the end, or not evaluated.
    """
    folder = run_files.read(path)
    last = folder.records[-1] if folder.records else {}
    steps, seconds = last.get("step"), last.get("seconds")
    if folder.meta.experiment is None or steps is None or seconds is None:
        raise UserError(f"{path} has no finished training of an experiment")
    name, value, samples = _number(folder)
    machine = folder.meta.environment
    return folder.meta.experiment, Row(
        command=command.settings(folder.meta).command or "",
        data=folder.meta.spec,
        steps=round(steps),
        seconds=round(seconds, 1),
        name=name,
        **value,
        samples=samples,
        hardware=f"{machine.get('cores')} cores, {machine.get('device')}",
    )


def _number(folder: run_files.Folder) -> tuple[str, dict[str, float], str]:
    """Return the name, value, low, high and real baseline, and sample count of a run.

    Raises UserError if it has none of the table's numbers.
    """
    measures = folder.evaluation.measures if folder.evaluation else {}
    for measure, key, name in _NUMBERS:
        found = measures[measure].values.get(key) if measure in measures else None
        if found is not None and None not in (found.value, found.low, found.high):
            context = measures[measure].context
            numbers = {each: getattr(found, each) for each in _VALUE}
            return name, numbers, str(context.get("samples") or context.get("test"))
    raise UserError(
        f"{folder.path} has none of the table's numbers: run "
        f"python -m experiments.evaluate --workdir={folder.path}"
    )


def read(path: Path) -> dict[str, Row]:
    """Read the rows of a file; no rows if it does not exist."""
    return typed_json.load(dict[str, Row], path) if path.exists() else {}


def write(path: Path, rows: Mapping[str, Row]) -> None:
    """Write rows, in alphabetical order."""
    write_json(path, {name: dataclasses.asdict(rows[name]) for name in sorted(rows)})


def markdown(rows: Mapping[str, Row]) -> str:
    """Return the table: a line per registered experiment, in alphabetical order."""
    lines = [
        "| name | experiment | number [95 % interval] | time |",
        "|---|---|---|---|",
    ]
    for name in experiment.names():
        about = experiment.find(name).about
        number, time = "", ""
        if found := rows.get(name):
            low, high = short(found.low), short(found.high)
            number = f"{found.name} {short(found.value)} [{low}, {high}]"
            time = f"{found.seconds:.0f} s"
        lines.append(f"| `{name}` | {about} | {number} | {time} |")
    return "\n".join(lines) + "\n"


def replaced(page: str, table: str) -> str:
    """Return a page with a new table between its two marks.

    Raises UserError if the page lacks them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"the page lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{BEGIN}{table}{END}{after}"
