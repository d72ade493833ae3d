"""evaluation.json: what was found, written measure by measure, and kept if it holds.

    {"run", "environment", "measures": {name: {"what", "context", "values", "by_class",
     "note", "pictures", "seconds", "key"}}}

A measure's context says of which step and weights it is, for the file may hold some of
another than the last evaluation's. Its key is a hash of all that it depends on: a later
evaluation takes what has the key that it would get, measures what else it is asked for,
and leaves the rest as it is.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import images
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError
from gen_jax.evaluation.request import Evaluation
from gen_jax.metrics.intervals import seeds_interval
from gen_jax.runs import environment
from gen_jax.runs.manifest import write_json

NAME = "evaluation.json"
_VERSION = 4  # raised when a measure's numbers change


def run(evaluation: Evaluation, measures: Sequence, path: Path) -> dict[str, Any]:
    """Takes the measures, writes the file after each, and gives their part of it.

    One that cannot be taken stops no other. Raises UserError at the end, for all such.
    """
    described, before, found, failed = _described(evaluation), read(path), {}, []
    for measure in measures:
        key = _key(evaluation, measure)
        kept = before["measures"].get(measure.name, {})
        if kept.get("key") == key:
            found[measure.name] = kept
            continue
        print(f"measuring {measure.name}", file=sys.stderr, flush=True)
        try:
            found[measure.name] = {**_taken(evaluation, measure), "key": key}
        except UserError as error:
            failed.append(f"{measure.name}: {error}")
            continue
        write_json(path, described | {"measures": before["measures"] | found})
    if failed:
        raise UserError("; ".join(failed))
    rest = {name: x for name, x in before["measures"].items() if name not in found}
    write_json(path, described | {"measures": found | rest})
    return described | {"measures": found}


def _taken(evaluation: Evaluation, measure) -> dict[str, Any]:
    """What a measure found, with what it depends on and how long it took."""
    subject, started = evaluation.subject, time.monotonic()
    result = measure.run(evaluation)
    for name, picture in result.pictures.items():
        evaluation.folder.mkdir(exist_ok=True)
        images.save_png(evaluation.folder / f"{name}.png", picture)
    about = {
        "step": subject.run.step,
        "weights": subject.which_weights,
        "preset": evaluation.preset.name,
        "seed": subject.seed,
    }
    return {
        "what": measure.what,
        **result._replace(context={**about, **result.context}).as_json(),
        "seconds": round(time.monotonic() - started, 1),
    }


def over_seeds(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several trainings' contents as one: means, and their intervals over trainings.

    What not all of them have, measured alike, is left out. Raises UserError for fewer
    than two.
    """
    if len(runs) < 2:
        raise UserError("an interval over trainings needs two of them at least")
    measures = {}
    for name, first in runs[0]["measures"].items():
        each = [r["measures"][name] for r in runs if name in r["measures"]]
        if len(each) < len(runs) or any(_of(one) != _of(first) for one in each):
            continue
        values = {
            key: _over_seeds([one["values"][key] for one in each])
            for key in first["values"]
            if all(one["values"].get(key, {}).get("value") is not None for one in each)
        }
        measures[name] = {
            "what": first["what"],
            "context": _of(first),
            "values": values,
            **({"note": first["note"]} if "note" in first else {}),
            **_by_class([one.get("by_class") for one in each]),
        }
        measures[name]["seconds"] = round(sum(one["seconds"] for one in each), 1)
    seeds = [r["run"]["training_seed"] for r in runs]
    described = {**runs[0]["run"], "training_seed": seeds}
    described["folder"] = str(Path(runs[0]["run"]["folder"]).parent)
    return {**runs[0], "run": described, "measures": measures}


def _by_class(tables: Sequence[dict | None]) -> dict[str, Any]:
    """The means of tables by class, of the cells that have a number in all of them."""
    first, means = tables[0] or {}, {}
    for row, cells in first.items():
        each = [(table or {}).get(row, {}) for table in tables]
        whole = [k for k in cells if all(one.get(k) is not None for one in each)]
        means[row] = {k: float(np.mean([one[k] for one in each])) for k in whole}
    return {"by_class": means} if means else {}


def _of(measure: dict[str, Any]) -> dict[str, Any]:
    """How it was measured: all that seeds have in common."""
    return {k: v for k, v in measure["context"].items() if k != "sha256"}


def _over_seeds(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    mean, low, high = seeds_interval([value["value"] for value in values])
    real_baselines = [value["real_baseline"] for value in values]
    is_fraction = values[0].get("fraction", False)
    return {
        "value": mean,
        "low": max(low, 0.0) if is_fraction else low,
        "high": min(high, 1.0) if is_fraction else high,
        "interval": f"Student's t over {len(values)} training seeds",
        "real_baseline": None
        if None in real_baselines
        else float(np.mean(real_baselines)),
        "unit": values[0]["unit"],
        "fraction": is_fraction,
    }


def _described(evaluation: Evaluation) -> dict[str, Any]:
    """All but the measures."""
    subject = evaluation.subject
    return {
        "run": {
            "folder": str(subject.folder),
            "experiment": subject.name,
            "data": subject.run.config.data.spec,
            "training_seed": subject.run.config.seed,
        },
        "environment": environment.describe(jax.devices()),
    }


def _key(evaluation: Evaluation, measure) -> str:
    subject = evaluation.subject
    depends = (
        _VERSION,
        measure.name,
        evaluation.weights,
        subject.seed,
        subject.dataset.digest,
        [getattr(evaluation.preset, name) for name in measure.reads],
        sorted(evaluation.options.items()) if "sample" in measure.needs else None,
        measure.network.sha256 if measure.network else None,
    )
    return digest_of_value(depends)


def read(path: Path) -> dict[str, Any]:
    """What an earlier evaluation wrote; no measures where it is missing or damaged."""
    try:
        content = json.loads(path.read_text())
        measures = content["measures"].items()
        whole = {name: one for name, one in measures if _is_whole(one)}
        return content | {"measures": whole}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"measures": {}}


def _is_whole(measure: Any) -> bool:
    parts = ("context", "values")
    has = isinstance(measure, dict)
    return has and all(isinstance(measure.get(part), dict) for part in parts)
