"""Evaluation of trained runs: numbers with intervals and with real baselines.

    record = evaluate(game, state, dataset)
    print(record.measures["on_pixels"].values["frechet_distance"].value)

`python -m experiments.evaluate` does the same for a run's folder.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen_jax import console
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
    preset: Preset | str = QUICK,
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

    state: as `fit` returns it, or a `Run` as `load` returns it.
    folder: the run's folder, which gets evaluation.json; None writes no file.
    seed, raw: see `Evaluation`. options: of the sampling op.
    preset: or its name, "quick" or "paper". features, only: see `run_measures`.

    Returns the record of these measures, see `run_measures`. Everything is computed
    anew, see `of_game`.
    """
    from gen_jax.evaluation.request import of_game

    if not isinstance(preset, Preset):
        if preset not in PRESETS:
            raise UserError(f"no preset {preset!r}: give one of {', '.join(PRESETS)}")
        preset = PRESETS[preset]
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
        own classifier, or pixels if the data are not images with labels of at least two
        classes.
    only: names of measures; by default all that apply.

    Returns their record, and writes it into evaluation.json in the folder `place` if
    there is one. A measure that could not be computed has no values, and its `left_out`
    says why; so has one without some of its numbers (`Record.missing`). Raises
    UserError for an unknown name.
    """
    from gen_jax.evaluation import measures, record

    networks: tuple[FeatureNetwork, ...] = ()
    failed: list[Measure] = []
    features, only = (
        (names,) if isinstance(names, str) else names for names in (features, only)
    )
    if not only or any(name.startswith("on_") for name in only):
        networks, failed = _networks(evaluation, preset, features)
    this = dataclasses.replace(evaluation, preset=preset, networks=networks)
    chosen = _chosen([*failed, *measures.measures(this)], only)
    return record.run(this, chosen, this.place / record.NAME if this.place else None)


def _networks(
    evaluation: "Evaluation", preset: Preset, names: Sequence[str]
) -> "tuple[tuple[FeatureNetwork, ...], list[Measure]]":
    """Return the networks of these names, and a failing measure for each other one.

    Without names it is the data's own classifier. If there can be none, it is pixels,
    of images that are reduced until they have fewer numbers than there are images.

    Raises UserError for a name that is not known, and for a file of weights that is not
    the right one.
    """
    from gen_jax.evaluation.measures import not_on_network
    from gen_jax.metrics.networks.features import MAY_NOT_FIT, fitting, network

    if "sample" not in evaluation.capabilities:
        return (), []
    found, failed = [], []
    if not names and {"images", "labels"} <= evaluation.capabilities:
        try:
            return (network("classifier", evaluation.dataset),), []
        except UserError as error:
            console.tell(f"samples are compared on pixels: {error}")
    if not names:
        this = dataclasses.replace(evaluation, preset=preset)
        return (fitting(evaluation.dataset, this.max_features),), []
    for name in names:
        try:
            found.append(network(name, evaluation.dataset))
        except UserError as error:
            if name.partition(":")[0] not in MAY_NOT_FIT:
                raise
            failed.append(not_on_network(name, error))
    return tuple(found), failed


def _chosen(measures: "list[Measure]", only: Sequence[str]) -> "list[Measure]":
    """Return the measures that are named, or all."""
    known = [measure.name for measure in measures]
    for name in only:
        if name not in known:
            raise UserError(f"no measure {name!r} of this run.{hint(name, known)}")
    return [measure for measure in measures if not only or measure.name in only]
