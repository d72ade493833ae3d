"""evaluation.json: computed, kept as long as it is valid, and combined over seeds.

Each measure is written when it is computed. Its key is a hash of everything that it
depends on: a later evaluation keeps a measure whose key is unchanged, computes the
others that it is asked for, and leaves the rest as it is. So the file may hold measures
of different steps or weights; each one's context says which.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax import images
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError
from gen_jax.evaluation.measure import Measure
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Measured, Record, Value, read
from gen_jax.metrics.intervals import seeds_interval
from gen_jax.runs import environment

NAME = "evaluation.json"


def run(
    evaluation: Evaluation, measures: Sequence[Measure], path: Path | None = None
) -> Record:
    """Compute measures, or take them from `path`; return the record of these alone.

    path: the file that holds earlier measures and gets the new ones; None for no file.

    A measure that fails does not stop the others. Raises UserError at the end, with
    every measure that failed.
    """
    before, machine = read(path) if path else Record(), jax.devices()
    described = Record({}, evaluation.about_run, environment.describe(machine))
    found, failed = {}, []
    for measure in measures:
        if kept := _kept(evaluation, measure, before):
            found[measure.name] = kept
            continue
        print(f"measuring {measure.name}", file=sys.stderr, flush=True)
        try:
            found[measure.name] = compute(evaluation, measure)
        except UserError as error:
            failed.append(f"{measure.name}: {error}")
            continue
        if path:
            replace(described, measures=before.measures | found).write(path)
    if failed:
        raise UserError("; ".join(failed))
    rest = {name: x for name, x in before.measures.items() if name not in found}
    if path:
        replace(described, measures=found | rest).write(path)
    return replace(described, measures=found)


def measured(evaluation: Evaluation, measure: Measure) -> Measured:
    """Return a measure from the run's evaluation.json, or compute it."""
    folder = evaluation.run.folder
    before = read(folder / NAME) if folder else Record()
    return _kept(evaluation, measure, before) or compute(evaluation, measure)


def compute(evaluation: Evaluation, measure: Measure) -> Measured:
    """Compute a measure and write its pictures into the evaluation's folder."""
    started = time.monotonic()
    result = measure.run(evaluation)
    for name, picture in result.pictures.items():
        evaluation.folder.mkdir(parents=True, exist_ok=True)
        images.save_png(evaluation.folder / f"{name}.png", picture)
    context = {
        "step": evaluation.run.step,
        "weights": evaluation.which_weights,
        "preset": evaluation.preset.name,
        "seed": evaluation.seed,
        **result.context,
    }
    return Measured(
        values=dict(result.values),
        description=measure.description,
        context=context,
        by_class={label: dict(row) for label, row in result.by_class.items()},
        note=result.note,
        pictures=[f"{name}.png" for name in result.pictures],
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

    A measure that not all of them have, computed in the same way, is left out. Raises
    UserError for fewer than two records.
    """
    if len(records) < 2:
        raise UserError("an interval over trainings needs at least two of them")
    first, measures = records[0], {}
    for name in first.measures:
        each = [r.measures[name] for r in records if name in r.measures]
        if len(each) == len(records) and all(_how(x) == _how(each[0]) for x in each):
            measures[name] = _combined(each)
    about = {
        **first.run,
        "training_seed": [record.run["training_seed"] for record in records],
        "folder": str(Path(first.run["folder"]).parent),
    }
    return replace(first, run=about, measures=measures)


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
