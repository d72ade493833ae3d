"""The files of a run's folder as a report reads them, with a line for each damage."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gen_jax import typed_json
from gen_jax.data.summary import Summary
from gen_jax.errors import UserError
from gen_jax.evaluation.result import Record
from gen_jax.figures.figure import FiguresRecord
from gen_jax.runs import metrics_log

_T = TypeVar("_T")
_MAX_PROBLEMS = 3  # of one file, that are shown


@dataclasses.dataclass(frozen=True)
class Meta:
    """The content of config.json.

    experiment: None for your own game. data: numbers of examples.
    seeds: seeds trained together. began_from: the run whose weights it began with.
    sample_columns: the class of each column of its pictures of samples, if any.
    """

    experiment: str | None = None
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    backend: str | None = None
    seeds: list[int] = dataclasses.field(default_factory=list)
    began_from: str | None = None
    data_summary: Summary | None = None
    sample_columns: list[str] = dataclasses.field(default_factory=list)

    @property
    def spec(self) -> str:
        """Return the specification of the run's data, or ""."""
        found = self.config.get("data")
        return str(found.get("spec", "")) if isinstance(found, dict) else ""


class Folder(NamedTuple):
    """A run's folder.

    label: tells it from others of the same report; "" if it is the only one.
    records: the numbers of metrics.jsonl by name, in the order of their steps.
    samples: (step, PNG file), in the same order.
    left_out: a line for everything that is missing or damaged.
    """

    path: Path
    label: str
    meta: Meta
    records: list[dict[str, float | None]]
    samples: list[tuple[int, Path]]
    figures: FiguresRecord
    evaluation: Record | None
    left_out: list[str]

    @property
    def experiment(self) -> str:
        """Return the name of the run's experiment."""
        return self.meta.experiment or "a game of its own"

    def of(self, line: str) -> str:
        """Return a line with the folder's label in front if there are several."""
        return f"{self.label}: {line}" if self.label else line


def read(path: Path, label: str = "") -> Folder:
    """Read a run's folder. Raises UserError if it is not one."""
    if not path.is_dir():
        wrong = "is not a folder" if path.exists() else "does not exist"
        raise UserError(f"{path} {wrong}")
    if not any((path / name).is_file() for name in ("config.json", "metrics.jsonl")):
        raise UserError(f"{path} is not a run's folder: it has no config.json")
    left_out: list[str] = []
    for name in ("config.json", "metrics.jsonl"):
        if not (path / name).exists():
            left_out.append(f"{name} is missing")
    return Folder(
        path,
        label,
        _json(path, "config.json", Meta, left_out) or Meta(),
        _records(path, left_out),
        _samples(path / "samples"),
        _json(path, "figures/figures.json", FiguresRecord, left_out) or FiguresRecord(),
        _json(path, "evaluation.json", Record, left_out),
        left_out,
    )


def read_together(path: Path, label: str) -> Folder:
    """Read the evaluation of all seeds together, from the folder that holds them."""
    left_out: list[str] = []
    found = _json(path, "evaluation.json", Record, left_out)
    name = f"{label}, all seeds"
    return Folder(path, name, Meta(), [], [], FiguresRecord(), found, left_out)


def with_data(folder: Folder, spec: str) -> Folder:
    """Return a run's folder with another specification of its data."""
    config = folder.meta.config
    own = config.get("data")
    own = {**own, "spec": spec} if isinstance(own, dict) else {"spec": spec}
    meta = dataclasses.replace(folder.meta, config={**config, "data": own})
    return folder._replace(meta=meta)


def labels(paths: list[Path]) -> list[str]:
    """Return the shortest ends of the paths that all differ; "" for one path."""
    if len(paths) == 1:
        return [""]
    parts, length = [path.absolute().parts for path in paths], 1
    while len({each[-length:] for each in parts}) < len(set(parts)):
        length += 1
    return ["/".join(each[-length:]) for each in parts]


def _read(
    path: Path, name: str, parse: Callable[[str], _T], left_out: list[str]
) -> _T | None:
    """Return the parsed text of a file; None if it is missing or damaged."""
    try:
        return parse((path / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        left_out.append(f"{name} cannot be read: {error.strerror}")
    except (ValueError, RecursionError):
        left_out.append(f"{name} is damaged")
    return None


def _json(path: Path, name: str, kind: type[_T], left_out: list[str]) -> _T | None:
    """Return a file of JSON as `kind`, without the parts that are damaged."""
    content = _read(path, name, json.loads, left_out)
    if content is None:
        return None
    problems: list[str] = []
    found = typed_json.read(kind, content, problems)
    if found is None:
        left_out.append(f"{name} is damaged")
        return None
    left_out += [f"{name}: {problem}" for problem in problems[:_MAX_PROBLEMS]]
    if (more := len(problems) - _MAX_PROBLEMS) > 0:
        left_out.append(f"{name}: {more} more parts are damaged")
    return found


def _records(path: Path, left_out: list[str]) -> list[dict[str, float | None]]:
    """Return the lines of metrics.jsonl that have a step."""
    lines = _read(path, "metrics.jsonl", str.splitlines, left_out) or []
    records = [record for line in lines if (record := metrics_log.record(line))]
    if damaged := len(lines) - len(records):
        left_out.append(f"metrics.jsonl: {damaged} of {len(lines)} lines are damaged")
    return records


def _samples(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, PNG) of the files that a run has written, by step."""
    files = (path for path in folder.glob("*.png") if path.is_file())
    named = (path for path in files if path.stem.isdecimal() and path.stem.isascii())
    return sorted((int(path.stem), path) for path in named)
