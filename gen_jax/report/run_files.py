"""A run's folder as a report reads it: whatever can be read, and a word of the rest."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gen_jax.errors import UserError


class Folder(NamedTuple):
    """What was read.

    label: tells the folder from others of the same report, "" of one alone. records:
    of metrics.jsonl, by step. samples: (step, PNG) by step. figures, evaluation: their
    JSON, or {}. left_out: what is missing or damaged, a line each.
    """

    path: Path
    label: str
    meta: dict[str, Any]
    records: list[dict[str, Any]]
    samples: list[tuple[int, Path]]
    figures: dict[str, Any]
    evaluation: dict[str, Any]
    left_out: list[str]

    @property
    def experiment(self) -> str:
        """Its name; a game of one's own has none."""
        name = self.meta.get("experiment")
        return name if isinstance(name, str) else "a game of its own"

    def of(self, what: str) -> str:
        """`what`, said of this folder where a report has several."""
        return f"{self.label}: {what}" if self.label else what


def read(path: Path, label: str = "") -> Folder:
    """Raises UserError for a folder that is not a run's."""
    if not path.is_dir():
        raise UserError(
            f"{path} {'is no folder' if path.exists() else 'does not exist'}"
        )
    if not any((path / name).is_file() for name in ("config.json", "metrics.jsonl")):
        raise UserError(f"{path} is no run's folder: it has no config.json")
    left_out: list[str] = []
    for name in ("config.json", "metrics.jsonl"):
        if not (path / name).exists():
            left_out.append(f"{name} is missing")
    return Folder(
        path,
        label,
        _json(path, "config.json", left_out),
        _records(path, left_out),
        _samples(path / "samples"),
        _json(path, "figures/figures.json", left_out),
        _json(path, "evaluation.json", left_out),
        left_out,
    )


def read_together(path: Path, label: str) -> Folder:
    """What the runs of several seeds, in folders of this one, have together."""
    left_out: list[str] = []
    found = _json(path, "evaluation.json", left_out)
    return Folder(path, f"{label}, all seeds", {}, [], [], {}, found, left_out)


def labels(paths: list[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart; of one alone, nothing."""
    if len(paths) == 1:
        return [""]
    parts = [path.absolute().parts for path in paths]
    longest = max(map(len, parts))
    for length in range(1, longest + 1):
        found = ["/".join(each[-length:]) for each in parts]
        if len(set(found)) == len(set(parts)):
            return found
    return [str(path) for path in paths]


def as_dict(x: Any) -> dict[str, Any]:
    """x where it is an object of JSON, {} where it is anything else."""
    return x if isinstance(x, dict) else {}


def as_list(x: Any) -> list[Any]:
    """x where it is a list of JSON, [] where it is anything else."""
    return x if isinstance(x, list) else []


def number(x: Any) -> float | None:
    """x where it is a finite number, None where it is anything else."""
    if isinstance(x, bool) or not isinstance(x, (int, float)):
        return None
    try:
        return float(x) if math.isfinite(x) else None
    except OverflowError:
        return None


def _read(path: Path, name: str, parse: Callable[[str], Any], left_out: list[str]):
    """What `parse` makes of a file's text; None where it is missing or damaged."""
    try:
        return parse((path / name).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        left_out.append(f"{name} cannot be read: {error.strerror}")
    except (ValueError, RecursionError):
        left_out.append(f"{name} is damaged")
    return None


def _json(path: Path, name: str, left_out: list[str]) -> dict[str, Any]:
    content = _read(path, name, json.loads, left_out)
    if content is not None and not isinstance(content, dict):
        left_out.append(f"{name} is damaged")
    return as_dict(content)


def _records(path: Path, left_out: list[str]) -> list[dict[str, Any]]:
    lines = _read(path, "metrics.jsonl", str.splitlines, left_out) or []
    records = [record for line in lines if (record := _record(line))]
    if damaged := len(lines) - len(records):
        left_out.append(f"metrics.jsonl: {damaged} of {len(lines)} lines are damaged")
    by_step = {record["step"]: record for record in records}
    return [by_step[step] for step in sorted(by_step)]


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or number(record.get("step")) is None:
        return None
    return record


def _samples(folder: Path) -> list[tuple[int, Path]]:
    """(step, PNG) by step, of the names that a run gives them."""
    files = (path for path in folder.glob("*.png") if path.is_file())
    named = (path for path in files if path.stem.isdecimal() and path.stem.isascii())
    return sorted((int(path.stem), path) for path in named)
