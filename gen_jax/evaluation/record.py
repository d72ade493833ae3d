"""Compute evaluation.json, reuse its valid measures, and combine them over seeds.

Each measure is written when it is computed. Its key is a hash of everything that it
depends on. A later evaluation keeps a measure whose key is unchanged, and computes the
others that were requested. So the file may hold measures of different steps or weights;
the context of each says which.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import console, images
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError, why
from gen_jax.evaluation.measure import Measure
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Measured, Record, Value, read
from gen_jax.files import locked
from gen_jax.metrics.intervals import seeds_interval
from gen_jax.runs import environment

NAME = "evaluation.json"
FOLDER = "evaluation"  # next to it, for pictures, and for samples of the model


def run(
    evaluation: Evaluation, measures: Sequence[Measure], path: Path | None = None
) -> Record:
    """Compute measures, or take them from `path`; return the record of these alone.

    path: the file that holds earlier measures and gets the new ones; None for no file.
        Several processes may write to it at once.

    A measure that fails does not stop the others: it has no values, and `left_out` says
    why. Raises UserError if `path` may not be read.
    """
    before, machine = read(path) if path else Record(), jax.devices()
    described = Record({}, evaluation.about_run, environment.describe(machine))
    found, unwritten = {}, []
    for measure in measures:
        if kept := _kept(evaluation, measure, before):
            found[measure.name] = kept
            continue
        console.tell(f"measuring {measure.name}")
        found[measure.name] = _attempted(evaluation, measure)
        for line in found[measure.name].left_out:
            console.tell(f"{measure.name}: {line}")
        unwritten = _merge(described, found, path)
    unwritten = _merge(described, found, path)
    return replace(described, measures=found, left_out=unwritten)


def _merge(described: Record, found: dict[str, Measured], path: Path | None) -> list:
    """Add measures to those in the file; return a line if it cannot be written.

    A measure without values does not replace one that has them.
    """
    if path is None:
        return []
    try:
        with locked(path.parent / FOLDER):
            rest = read(path).measures
            kept = {n: x for n, x in found.items() if x.values or n not in rest}
            rest = {name: x for name, x in rest.items() if name not in kept}
            replace(described, measures=kept | rest).write(path)
    except OSError as error:
        return [f"{path} cannot be written: {error.strerror or error}"]
    return []


def _attempted(evaluation: Evaluation, measure: Measure) -> Measured:
    """Return a measure; without values, and with the reason, if it fails."""
    try:
        return compute(evaluation, measure)
    except Exception as error:  # a game, a network or a source may raise anything
        return Measured({}, measure.description, left_out=[why(error)])


def measured(evaluation: Evaluation, measure: Measure) -> Measured:
    """Return a measure from the run's evaluation.json, or compute it."""
    folder = evaluation.run.folder
    before = read(folder / NAME) if folder else Record()
    return _kept(evaluation, measure, before) or compute(evaluation, measure)


def compute(evaluation: Evaluation, measure: Measure) -> Measured:
    """Compute a measure and write its pictures."""
    started = time.monotonic()
    result = measure.run(evaluation)
    for name, picture in result.pictures.items():
        images.save_png(evaluation.pictures / f"{name}.png", picture)
    context = {
        "step": evaluation.run.step,
        "weights": evaluation.which_weights,
        "preset": evaluation.preset.name,
        "seed": evaluation.seed,
        **result.context,
    }
    if evaluation.dataset.changed:
        context["data"] = evaluation.dataset.changed
    return Measured(
        values=dict(result.values),
        description=measure.description,
        context=context,
        by_class={label: dict(row) for label, row in result.by_class.items()},
        note=result.note,
        pictures=[f"{name}.png" for name in result.pictures],
        captions={f"{name}.png": text for name, text in result.captions.items()},
        left_out=list(result.left_out),
        seconds=round(time.monotonic() - started, 1),
        key=_key(evaluation, measure),
    )


def _kept(evaluation: Evaluation, measure: Measure, record: Record) -> Measured | None:
    """Return a measure of a record if it is still valid."""
    kept = record.measures.get(measure.name)
    return kept if kept and kept.key == _key(evaluation, measure) else None


def _key(evaluation: Evaluation, measure: Measure) -> str:
    """Return a hash of everything that a measure's numbers depend on."""
    depends = (
        measure.name,
        measure.version,
        evaluation.weights,
        evaluation.seed,
        evaluation.dataset.digest,
        [getattr(evaluation.preset, name) for name in measure.reads],
        sorted(evaluation.options.items()) if "sample" in measure.needs else None,
        measure.network.sha256 if measure.network else None,
    )
    return digest_of_value(depends)


def over_seeds(records: Sequence[Record]) -> Record:
    """Combine the records of several trainings: means and intervals over trainings.

    A measure is combined from the trainings that have values, at least two. It is left
    out if a record lacks it, or if it was computed in different ways. Raises UserError
    for fewer than two records.
    """
    if len(records) < 2:
        raise UserError("an interval over trainings needs at least two of them")
    first, measures = records[0], {}
    left_out = [line for record in records for line in record.left_out]
    for name in first.measures:
        if not all(name in record.measures for record in records):
            continue
        lines = _lines_by_seed(records, name)
        each = [r.measures[name] for r in records if r.measures[name].values]
        if len(each) < 2:
            left_out += [f"{name}: {line}" for line in lines]
        elif differences := _differences(records, name):
            line = f"{name}: the seeds were not measured in the same way: "
            left_out.append(line + "; ".join(differences))
        else:
            measures[name] = replace(_combined(each), left_out=lines)
    about = {
        **first.run,
        "training_seed": [record.run["training_seed"] for record in records],
        "folder": str(Path(first.run["folder"]).parent),
    }
    left_out = list(dict.fromkeys(left_out))
    return replace(first, run=about, measures=measures, left_out=left_out)


def _lines_by_seed(records: Sequence[Record], name: str) -> list[str]:
    """Return the `left_out` lines of a measure, with the seeds that they hold for."""
    seeds: dict[str, list[str]] = {}
    for record in records:
        for line in record.measures[name].left_out:
            seeds.setdefault(line, []).append(str(record.run.get("training_seed")))
    return [
        line if len(mine) == len(records) else f"seed {', '.join(mine)}: {line}"
        for line, mine in seeds.items()
    ]


def _combined(each: Sequence[Measured]) -> Measured:
    """Return one measure of several trainings."""
    first, values = each[0], {}
    for key in first.values:
        found = [one.values[key] for one in each if key in one.values]
        numbers = [value.value for value in found if value.value is not None]
        if len(numbers) == len(each):
            values[key] = _over_seeds(numbers, found)
    return Measured(
        values=values,
        description=first.description,
        context=_how(first),
        by_class=_mean_by_class([one.by_class for one in each]),
        note=first.note,
        seconds=round(sum(one.seconds for one in each), 1),
    )


def _mean_by_class(tables: Sequence[dict]) -> dict[str, dict[str, float | None]]:
    """Return the means of tables by class, of cells with a number in every table."""
    means: dict[str, dict[str, float | None]] = {}
    for row, cells in tables[0].items():
        each = [table.get(row, {}) for table in tables]
        whole = [k for k in cells if all(one.get(k) is not None for one in each)]
        means[row] = {k: float(np.mean([one[k] for one in each])) for k in whole}
    return means


def _how(measure: Measured) -> dict[str, Any]:
    """Return the part of a context that all seeds have in common."""
    return {k: v for k, v in measure.context.items() if k != "sha256"}


def _differences(records: Sequence[Record], name: str) -> list[str]:
    """Return the parts of a measure's context that differ, with the seeds of each."""
    contexts = {
        str(record.run.get("training_seed")): _how(record.measures[name])
        for record in records
        if record.measures[name].values
    }
    differences = []
    for key in dict.fromkeys(key for context in contexts.values() for key in context):
        groups: list[tuple[Any, list[str]]] = []
        for seed, value in ((s, c.get(key, "none")) for s, c in contexts.items()):
            alike = [seeds for other, seeds in groups if other == value]
            alike[0].append(seed) if alike else groups.append((value, [seed]))
        if len(groups) > 1:
            each = (f"{value} (seed {', '.join(seeds)})" for value, seeds in groups)
            differences.append(f"{key} {', '.join(each)}")
    return differences


def _over_seeds(numbers: Sequence[float], values: Sequence[Value]) -> Value:
    """Combine the values of several trainings, whose numbers are `numbers`."""
    mean, low, high = seeds_interval(numbers)
    baselines = [v.real_baseline for v in values if v.real_baseline is not None]
    first = values[0]
    return Value(
        mean,
        max(low, 0.0) if first.fraction else low,
        min(high, 1.0) if first.fraction else high,
        f"Student's t over {len(values)} training seeds",
        float(np.mean(baselines)) if len(baselines) == len(values) else None,
        first.unit,
        first.fraction,
    )
