"""The configuration that `experiments.train` runs, from flags and a saved run."""

import dataclasses
import json
from pathlib import Path

from gen_jax import config as configs
from gen_jax import console, data, experiment
from gen_jax.data.class_names import class_names, listed
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig

Overrides = list[tuple[str, str]]  # (dotted field, text)


def of_new(
    name: str | None, init_from: str | None, overrides: Overrides
) -> tuple[str, RunConfig]:
    """Return the experiment's name and the configuration of a new run.

    name: of the experiment; None only with `init_from`.
    init_from: path of a run or a checkpoint whose experiment and configuration are
        taken, except for the overrides; None for the experiment's own.
    """
    from gen_jax.runs import checkpoint

    if init_from is not None:
        saved = checkpoint.newest_meta(checkpoint.step_directories(init_from))
        own, config = _saved_config(saved, init_from, name)
        config = _overridden(config, overrides)
        given = {path for path, _ in overrides}
        if "data.spec" in given and "data.layout" not in given:
            config = _of_any_layout(config)
        return own, config
    if not name:
        raise _no_name()
    return name, _overridden(experiment.find(name).config, overrides)


def _of_any_layout(config: RunConfig) -> RunConfig:
    """Return the configuration for pairs in another layout than that of other data."""
    if not isinstance(config.data, data.PairsConfig):
        return config
    pairs = dataclasses.replace(config.data, layout="auto")
    return dataclasses.replace(config, data=pairs)


def check_data(config: RunConfig, meta: dict, saved: dict, workdir: Path) -> None:
    """Raise UserError if the data are not those that the run was trained on.

    meta, saved: of the resumed run, and of its checkpoint. Classes that have got other
    names are told: sampling takes the new ones.
    """
    from gen_jax.runs.run import info_of

    info, before = (
        data.dataset.without_single_class(info_of(x)) for x in (meta, saved)
    )
    line = f"{config.data.spec} differs from the data that the run was trained on:"
    if info._replace(class_names=()) != before._replace(class_names=()):
        raise UserError(
            f"{line} examples are {_described(info)} now, {_described(before)} then"
        )
    now, then = meta["data"], saved.get("data")  # imported weights have no data
    if then is not None and not data.dataset.is_same(now, then):
        memory = saved["config"]["data"].get("memory_gib", config.data.memory_gib)
        if memory != config.data.memory_gib:
            raise UserError(
                f"{line} those of data.memory_gib={memory:g} are known by other files: "
                f"set --config.data.memory_gib={memory:g}"
            )
        sizes = (f"{x['train']} examples and {x['test']} held out" for x in (now, then))
        raise UserError(
            f"{line} {' now, '.join(sizes)} then, of other content; to begin a new run "
            f"from its weights: --workdir=NEW --init_from={workdir}"
        )
    names = zip(class_names(before), class_names(info), strict=True)
    if renamed := [f"{old} is now {new}" for old, new in names if old != new]:
        console.tell(f"classes have other names: {listed(renamed)}")


def _described(info: data.Info) -> str:
    return f"of shape {info.shape} with {info.num_classes} classes"


def of_resumed(
    saved: dict, folder: Path, workdir: str, name: str | None, overrides: Overrides
) -> tuple[str, RunConfig]:
    """Return the experiment's name and the configuration of a resumed run.

    saved: the run's meta. folder: the run's; of several seeds the first one's.
    workdir: the run's name in an error. name: of the experiment, None for the run's.

    Raises UserError if the name or an override disagrees with the run. Data may lie
    elsewhere, if the run knows their digest to compare.
    """
    from gen_jax.runs.identity import MOVABLE
    from gen_jax.runs.run import info_of

    name, before = _saved_config(saved, workdir, name)
    before = _with_latest(before, folder / "config.json")
    config = _overridden(before, overrides)
    config = experiment.settled(config, info_of(saved))
    now, then = configs.flat(config), configs.flat(before)
    movable = MOVABLE if (saved.get("data") or {}).get("digest") else ()
    for path in configs.differences(config, before):
        if path not in movable and not configs.may_change_on_resume(config, path):
            raise UserError(
                f"{path}={now[path]} disagrees with the run in {workdir}, which has "
                f"{then[path]}"
            )
    return name, config


def _saved_config(saved: dict, path: str, name: str | None) -> tuple[str, RunConfig]:
    """Return the experiment's name and the configuration that a run was saved with.

    path: the run's name in an error. name: that the run must have; None for any.
    """
    own = saved.get("experiment")
    if name == "":
        raise _no_name()
    if own is None:
        raise UserError(
            f"{path} was trained with your own game, which commands do not know: use "
            "gen_jax.fit and gen_jax.load with game=GAME in Python"
        )
    if name not in (None, own):
        experiment.find(name)  # a misspelt name gets its own error
        raise UserError(f"{path} holds a run of {own}, not of {name}")
    recipe = experiment.of_run(own, path)
    return own, configs.from_dict(recipe.config, saved.get("config"))


def _no_name() -> UserError:
    known = ", ".join(experiment.names())
    return UserError(f"--experiment=NAME is needed; there are: {known}")


def _with_latest(config: RunConfig, path: Path) -> RunConfig:
    """Return the configuration with the fields that may change as in a config.json.

    That file has the steps that were raised since the checkpoint, and the place that
    the data were moved to. It is ignored if it cannot be read, for the checkpoint has
    a configuration too.
    """
    try:
        latest = json.loads(path.read_text())["config"]
        names = {field.name for field in dataclasses.fields(config)} & latest.keys()
        may_change = [n for n in names if configs.may_change_on_resume(config, n)]
        values = {name: latest[name] for name in may_change}
        moved = {name: latest["data"][name] for name in ("spec", "data_dir")}
        return configs.from_dict(config, {**values, "data": moved})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return config


def _overridden(config: RunConfig, overrides: Overrides) -> RunConfig:
    """Return the configuration with the overrides, and paths made absolute."""
    config = configs.override_all(config, overrides)
    return dataclasses.replace(config, data=data.absolute(config.data))
