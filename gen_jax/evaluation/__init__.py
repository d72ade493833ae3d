"""Evaluation of trained runs: numbers with intervals and with real baselines.

    record = evaluate(game, state, dataset)
    print(record.measures["on_pixels"].values["frechet_distance"].value)

`python -m experiments.evaluate` does the same for a run's folder.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen_jax.errors import UserError, hint
from gen_jax.evaluation.preset import PRESETS, QUICK, Preset
from gen_jax.evaluation.result import Measured, Record, Result, Value

if TYPE_CHECKING:
    from gen_jax.data import Dataset
    from gen_jax.evaluation.measure import Measure
    from gen_jax.evaluation.request import Evaluation
    from gen_jax.game import Game, State
    from gen_jax.metrics.networks.features import FeatureNetwork

__all__ = [
    "PRESETS",
    "Measured",
    "Preset",
    "Record",
    "Result",
    "Value",
    "evaluate",
    "run_measures",
]


def evaluate(
    game: "Game",
    state: "State",
    dataset: "Dataset",
    *,
    folder: str | Path | None = None,
    preset: Preset = QUICK,
    features: Sequence[str] = (),
    only: Sequence[str] = (),
    seed: int = 0,
    raw: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Record:
    """Measure a trained game, one's own or an experiment's.

        batches = data.batches(dataset.train, 128, seed=0)
        state = fit(game, batches, workdir="runs/mine", prepare=data.prepare())
        record = evaluate(game, state, dataset, folder="runs/mine")

    state: as `fit` returns it, or as `load` restores it.
    folder: the run's folder, which gets evaluation.json; None writes no file.
    seed, raw: see `Evaluation`. options: of the sampling op.
    preset, features, only: see `run_measures`.

    Returns the record that evaluation.json holds. Raises UserError as `run_measures`.
    """
    from gen_jax.evaluation.request import of_game

    fields = {"seed": seed, "raw": raw, "options": dict(options or {})}
    with of_game(game, state, dataset, folder, **fields) as evaluation:
        return run_measures(evaluation, preset, features, only)


def run_measures(
    evaluation: "Evaluation",
    preset: Preset = QUICK,
    features: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Record:
    """Compute the measures that apply to an evaluation's run and data.

    features: names of the networks on which samples are compared; by default the data's
        own classifier, or pixels if the data are not images with labels.
    only: names of measures; by default all that apply.

    Returns their record, and writes evaluation.json into the run's folder if it has
    one. Raises UserError for an unknown name, and at the end if a measure failed; then
    the other measures are in the file.
    """
    from gen_jax.evaluation import measures, record
    from gen_jax.metrics.networks.features import network

    networks: tuple[FeatureNetwork, ...] = ()
    if "sample" in evaluation.capabilities:
        has_both = {"images", "labels"} <= evaluation.capabilities
        names = features or ["classifier" if has_both else "pixels"]
        networks = tuple(network(name, evaluation.dataset) for name in names)
    this = dataclasses.replace(evaluation, preset=preset, networks=networks)
    chosen = _chosen(measures.measures(this), only)
    for measure in chosen:
        if measure.network:
            this.check_rank(measure.network)
    folder = this.run.folder
    return record.run(this, chosen, folder / record.NAME if folder else None)


def _chosen(measures: "list[Measure]", only: Sequence[str]) -> "list[Measure]":
    """Return the measures that are named, or all."""
    known = [measure.name for measure in measures]
    for name in only:
        if name not in known:
            raise UserError(f"no measure {name!r} of this run.{hint(name, known)}")
    return [measure for measure in measures if not only or measure.name in only]
