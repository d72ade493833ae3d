"""The data that a run was trained on, known by their content wherever they lie now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gen_jax import console, data, experiment
from gen_jax.config import from_dict
from gen_jax.errors import UserError
from gen_jax.runs import checkpoint
from gen_jax.runs.run import Run


def trained_on(
    folder: str | Path, config: data.DataConfig, spec: str | None = None
) -> tuple[data.DataConfig, data.Dataset]:
    """Load the data of a run; return their configuration and the dataset.

    folder: the run's. config: of the training's data. spec: where the data are now;
        None for where they were.

    Content decides: data at another place must be equal to those of the training. Data
    that have changed at their own place are used. A line says so, and so does
    `Dataset.changed`, which each measure records.

    Raises UserError if the data are absent, or those of `spec` differ.
    """
    saved = checkpoint.newest_meta(checkpoint.step_directories(folder)).get("data")
    if spec is not None:
        config = data.absolute(config.adapted({"spec": spec}))
    dataset = data.load(config) if spec is not None else loaded(config)
    if line := _difference(saved, dataset):
        if spec is not None:
            raise UserError(
                f"--data={spec} holds other data than the run was trained on: {line}"
            )
        changed = f"{config.spec} has changed since the training: {line}"
        console.tell(changed)
        dataset = dataset._replace(changed=changed)
    return config, dataset


def loaded(config: data.DataConfig) -> data.Dataset:
    """Load the data of a run from where they were.

    Raises UserError as `data.load`; if nothing is there, it says how to name the place
    where they are now.
    """
    try:
        return data.load(config)
    except UserError as error:
        if not _is_gone(config):
            raise
        raise UserError(
            f"{error}; if the data were moved, add --data=SPEC with their new place"
        ) from error


def absolute_spec(folder: str | Path, spec: str) -> str:
    """Return where the data of a run are now, as an absolute specification.

    Raises UserError as `trained_on`, and if the run is of a game of one's own.
    """
    meta = checkpoint.newest_meta(checkpoint.step_directories(folder))
    if (name := meta.get("experiment")) is None:
        raise UserError(f"--data does not apply: {folder} names no data")
    config = from_dict(experiment.of_run(name, folder).config, meta.get("config"))
    return trained_on(folder, config.data, spec)[0].spec


def check_fits(run: Run, dataset: data.Dataset) -> None:
    """Raise UserError if a run's model was not made for examples like these."""
    info, then = dataset.info, run.info
    if then is None:
        return
    names = ["shape", "target_shape"] + (
        ["num_classes"] if run.game.num_classes else []
    )
    for name in names:
        now, before = getattr(info, name), getattr(then, name)
        if now != before:
            raise UserError(
                f"the model was trained on data with {name}={before}, and these have "
                f"{name}={now}"
            )


def _is_gone(config: data.DataConfig) -> bool:
    """Return whether the data's specification is a path at which nothing lies."""
    return config.path.is_absolute() and not config.path.exists()


def _difference(saved: Mapping[str, Any] | None, dataset: data.Dataset) -> str:
    """Return how a dataset differs from a run's fingerprint; "" if not at all."""
    now = data.fingerprint(dataset)
    if not saved or data.dataset.is_same(now, saved):
        return ""  # imported weights have no data
    sizes = [f"{x['train']} examples and {x['test']} held out" for x in (now, saved)]
    if sizes[0] != sizes[1]:
        return f"{sizes[0]} now, {sizes[1]} then"
    return f"{sizes[0]} as then, but of other content"
