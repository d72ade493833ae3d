"""evaluation.json: what was found, written measure by measure, and kept if it holds.

    {"run", "protocol", "environment", "measures": {name: {"what", "context", "values",
     "by_class", "note", "pictures", "seconds", "key"}}}

A measure's key is a hash of all that it depends on. A later evaluation takes what has
the key that it would get, and measures the rest.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import environment, images
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError
from gen_jax.evaluation.evaluation import Evaluation
from gen_jax.manifest import write_json
from gen_jax.metrics.intervals import seeds_interval

NAME = "evaluation.json"
_VERSION = 1  # raised when a measure's numbers change


def run(evaluation: Evaluation, measures: Sequence, path: Path) -> dict[str, Any]:
    """Takes the measures, writes the file after each, and gives its content."""
    content = _described(evaluation)
    before = _read(path)
    for measure in measures:
        key = _key(evaluation, measure.name)
        kept = before.get(measure.name, {})
        if kept.get("key") == key:
            content["measures"][measure.name] = kept
            continue
        print(f"measuring {measure.name}", file=sys.stderr, flush=True)
        started = time.monotonic()
        result = measure.run(evaluation)
        for name, picture in result.pictures.items():
            evaluation.folder.mkdir(exist_ok=True)
            images.save_png(evaluation.folder / f"{name}.png", picture)
        content["measures"][measure.name] = {
            "what": measure.what,
            **result.as_json(),
            "seconds": round(time.monotonic() - started, 1),
            "key": key,
        }
        write_json(path, {**content, "measures": before | content["measures"]})
    write_json(path, content)
    return content


def over_seeds(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several trainings' contents as one: means, and their intervals over trainings.

    What not all of them have is left out. Raises UserError for fewer than two.
    """
    if len(runs) < 2:
        raise UserError("an interval over trainings needs two of them at least")
    measures = {}
    for name, first in runs[0]["measures"].items():
        each = [r["measures"][name] for r in runs if name in r["measures"]]
        if len(each) < len(runs):
            continue
        values = {
            key: _over_seeds([one["values"][key] for one in each])
            for key in first["values"]
            if all(one["values"].get(key, {}).get("value") is not None for one in each)
        }
        shared = {k: v for k, v in first["context"].items() if k != "sha256"}
        measures[name] = {"what": first["what"], "context": shared, "values": values}
        measures[name]["seconds"] = round(sum(one["seconds"] for one in each), 1)
    seeds = [r["run"]["training_seed"] for r in runs]
    described = {**runs[0]["run"], "training_seed": seeds}
    described["folder"] = str(Path(runs[0]["run"]["folder"]).parent)
    return {**runs[0], "run": described, "measures": measures}


def _over_seeds(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    interval = seeds_interval([value["value"] for value in values])
    floors = [value["floor"] for value in values]
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "interval": f"Student's t over {len(values)} training seeds",
        "floor": None if None in floors else float(np.mean(floors)),
        "unit": values[0]["unit"],
    }


def _described(evaluation: Evaluation) -> dict[str, Any]:
    """All but the measures."""
    subject = evaluation.subject
    return {
        "run": {
            "folder": str(subject.folder),
            "experiment": subject.name,
            "step": subject.run.step,
            "weights": subject.which_weights,
            "data": subject.run.config.data.spec,
            "training_seed": subject.run.config.seed,
            "seed": subject.seed,
        },
        "protocol": evaluation.protocol._asdict(),
        "environment": environment.describe(jax.devices()),
        "measures": {},
    }


def _key(evaluation: Evaluation, name: str) -> str:
    subject = evaluation.subject
    depends = (
        _VERSION,
        name,
        evaluation.weights,
        subject.seed,
        evaluation.protocol,
        sorted(evaluation.options.items()),
        [network.sha256 for network in evaluation.networks],
        subject.dataset.digest,
    )
    return digest_of_value(depends)


def _read(path: Path) -> dict[str, Any]:
    """The measures of an earlier evaluation; none where it is missing or damaged."""
    try:
        measures = json.loads(path.read_text())["measures"]
        return {name: one for name, one in measures.items() if isinstance(one, dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
