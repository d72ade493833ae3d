"""Trains an experiment, or goes on where an interrupted run stopped.

  python -m experiments.train --experiment=NAME --workdir=DIR [--data=SPEC] [FLAGS]

SPEC: digits, ring, branches, idx:DIR, folder:DIR, pairs:DIR, npz:FILE, tfds:NAME
(mnist, fashion_mnist and cifar10 are short for tfds:NAME), or a source that another
installed package registers. branches and pairs: hold images to translate;
--config.data.task makes such pairs from any other images. Any field of the
configuration is a flag: --config.FIELD=VALUE; --dry_run shows all fields.

--seeds=N trains N seeds at once, --seed and those after it, each into a folder seed_K
of DIR that is a run's folder like any other; evaluate --workdir=DIR then gives
intervals over trainings.
"""

import dataclasses
import json
import sys
from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax import config as configs
from gen_jax import data, devices, experiment
from gen_jax.errors import UserError
from gen_jax.runs import seeds as several

_MAX_SEEDS = 1000

_NAME = flags.DEFINE_string("experiment", None, "which recipe; --list names them")
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder, made if missing")
flags.DEFINE_string("data", None, "the dataset, short for --config.data.spec")
flags.DEFINE_integer("steps", None, "the total; may be raised later")
flags.DEFINE_integer("batch_size", None, "examples a step, of all devices together")
flags.DEFINE_integer("seed", None, "of the weights, the order and all noise")
_SEEDS = flags.DEFINE_integer(
    "seeds", None, "how many to train at once, from --seed on; one", 1, _MAX_SEEDS
)
_BACKEND = flags.DEFINE_enum(
    "backend", "jit", ["jit", "pmap"], "how a step is compiled"
)
_DEVICES = flags.DEFINE_integer("devices", None, "how many devices to use; all of them")
_RESUME = flags.DEFINE_string(
    "resume",
    "auto",
    "auto: go on if the workdir holds a checkpoint; never: refuse if it does; "
    "PATH: begin a new workdir from that checkpoint",
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "one of several processes: on a TPU pod, under Slurm or Open MPI, or as "
    "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID say",
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "print what would be run; write nothing")
_LIST = flags.DEFINE_bool("list", False, "print the experiments")

_SHOWN = 12  # held-out pairs in a picture

_SHORT = {name: name for name in ("steps", "batch_size", "seed")} | {
    "data": "data.spec"
}


def main(overrides: list[tuple[str, str]]) -> None:
    """Resolves the configuration and trains."""
    if _LIST.value:
        for name in experiment.names():
            print(f"{name:20s} {experiment.find(name).about}")
        return
    if not _DRY_RUN.value and not _WORKDIR.value:
        raise UserError("--workdir=DIR is needed: the run's folder")
    if _WORKDIR.value and Path(_WORKDIR.value).is_file():
        raise UserError(f"--workdir={_WORKDIR.value} is a file; it has to be a folder")
    overrides = parsing.given(_SHORT) + overrides
    folders = _folders()
    saved = _saved_run(folders)
    name, config = _resolve(overrides, saved, folders[0] if folders else Path())
    seeds = _seeds(config)
    recipe = experiment.find(name)
    if _DRY_RUN.value:
        print(_plan(name, recipe, config, seeds))
        return
    _train(name, recipe, config, saved, seeds)


def _folders() -> list[Path]:
    """The runs' folders that the workdir has: of several seeds, or itself."""
    if not _WORKDIR.value:
        return []
    workdir = Path(_WORKDIR.value)
    return list(several.found(workdir).values()) or [workdir]


def _seeds(config: experiment.RunConfig) -> tuple[int, ...]:
    """Those to train at once, as the workdir has them; none for an ordinary run.

    Raises UserError where a flag disagrees with the workdir.
    """
    workdir, count = Path(_WORKDIR.value or ""), _SEEDS.value
    found = tuple(several.found(workdir)) if _WORKDIR.value else ()
    left = ("config.json", "checkpoints") if _WORKDIR.value else ()  # of a run alone
    if found or any((workdir / name).exists() for name in left):
        disagrees = f"disagrees with the run in {workdir}, which has"
        if count not in (None, len(found) or 1):
            raise UserError(f"--seeds={count} {disagrees} {len(found) or 1}")
        if found and config.seed != found[0]:
            raise UserError(f"seed={config.seed} {disagrees} {found[0]}")
        return found
    if count in (None, 1):
        return ()
    dataclasses.replace(config, seed=config.seed + count - 1)  # has to be a seed too
    return tuple(range(config.seed, config.seed + count))


def _saved_run(folders: list[Path]) -> dict | None:
    """The meta of the run to go on with, None for a new run."""
    from gen_jax.runs import checkpoint

    workdir, resume = _WORKDIR.value, _RESUME.value
    trained = [f for f in folders if checkpoint.steps(f / checkpoint.CHECKPOINTS)]
    if not resume:
        raise UserError("--resume= is empty; allowed: auto, never, or a run's PATH")
    if resume != "auto" and trained:
        raise UserError(
            f"{workdir} holds checkpoints, and --resume={resume} begins a new run: "
            "name another --workdir, or --resume=auto to go on"
        )
    if resume not in ("auto", "never"):
        return checkpoint.newest_meta(checkpoint.step_directories(resume))
    if not trained:
        return None
    meta = checkpoint.newest_meta(checkpoint.step_directories(trained[0]))
    seeds = list(several.found(Path(workdir)))
    return several.meta(meta, seeds[0], seeds) if seeds else meta


def _resolve(
    overrides: list[tuple[str, str]], saved: dict | None, folder: Path
) -> tuple[str, experiment.RunConfig]:
    """The experiment's name and configuration, from the flags and the saved run.

    folder: the run's; of several seeds the first one's.

    Raises UserError where a flag disagrees with the run that goes on.
    """
    from gen_jax.runs import run as runs

    if _NAME.value == "" or (saved is None and not _NAME.value):
        raise UserError(
            f"--experiment=NAME is needed; there are: {', '.join(experiment.names())}"
        )
    if saved is None:
        config = experiment.find(_NAME.value).config
        return _NAME.value, _overridden(config, overrides)
    name = saved.get("experiment")
    if name is None:
        raise UserError("the saved run is of a game of its own: go on with it by fit()")
    if _NAME.value not in (None, name):
        experiment.find(_NAME.value)  # a misspelt one is told so
        where = _WORKDIR.value if _RESUME.value == "auto" else _RESUME.value
        raise UserError(f"{where} holds a run of {name}, not of {_NAME.value}")
    before = configs.from_dict(experiment.find(name).config, saved["config"])
    if _RESUME.value == "auto":
        before = _with_latest(before, folder / "config.json")
    config = _overridden(before, overrides)
    if _RESUME.value == "auto":
        config = experiment.settled(config, runs.info_of(saved))
        now, then = configs.flat(config), configs.flat(before)
        for path in configs.differences(config, before):
            if not configs.may_change_on_resume(config, path):
                raise UserError(
                    f"{path}={now[path]} disagrees with the run in {_WORKDIR.value}, "
                    f"which has {then[path]}"
                )
    return name, config


def _with_latest(config: experiment.RunConfig, path: Path) -> experiment.RunConfig:
    """The configuration with the free fields as a run's config.json has them.

    It knows of steps that were raised since the checkpoint; it may hold anything.
    """
    fields = [field.name for field in dataclasses.fields(config)]
    try:
        latest = json.loads(path.read_text())["config"]
        latest = {f: latest[f] for f in fields if f in latest}
        free = {
            f: x for f, x in latest.items() if configs.may_change_on_resume(config, f)
        }
        return configs.from_dict(config, free)
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        return config


def _overridden(
    config: experiment.RunConfig, overrides: list[tuple[str, str]]
) -> experiment.RunConfig:
    """The configuration with the flags' values, paths made absolute."""
    config = configs.override_all(config, overrides)
    return dataclasses.replace(config, data=data.absolute(config.data))


def _plan(
    name: str,
    recipe: experiment.Experiment,
    config: experiment.RunConfig,
    seeds: tuple[int, ...],
) -> str:
    """What --dry_run prints: configuration, shapes and parameter counts."""
    from gen_jax.game import parameter_counts

    info, is_present = _described_data(recipe, config)
    config = experiment.settled(config, info)
    game = recipe.build(config, info)
    batch = data.prepared_like(info, config.batch_size)
    values, defaults = configs.flat(config), configs.flat(recipe.config)
    changed = configs.differences(config, recipe.config)
    paths = changed + [path for path in values if path not in changed]
    lines = [f"experiment: {name}"]
    lines += [f"seeds: {', '.join(map(str, seeds))}, at once"] if seeds else []
    for path in paths:
        known = path in changed and path in defaults
        note = f"  (recipe: {defaults[path]})" if known else ""
        lines.append(f"  {path} = {values[path]}{note}")
    if not is_present:
        lines.append(f"data: {config.data.spec} is not there; shapes are the recipe's")
    lines += [f"batch: {key} {x.dtype} {list(x.shape)}" for key, x in batch.items()]
    for player, count in parameter_counts(game, batch).items():
        lines.append(f"{player}: {count:,} parameters")
    return "\n".join(lines)


def _described_data(
    recipe: experiment.Experiment, config: experiment.RunConfig
) -> tuple[data.Info, bool]:
    """Return the facts about the data, and whether the data are present.

    If they are absent, the facts are those that the recipe names.

    Raises UserError if they are absent and the recipe does not name them.
    """
    if (info := data.describe(config.data)) is not None:
        return info, True
    if recipe.shape is None or "labels" in recipe.needs:
        return data.load(config.data).info, True  # raises: it says what is missing
    target = recipe.shape if "pairs" in recipe.needs else ()
    return data.Info(recipe.shape, 0, target), False


def _train(
    name: str,
    recipe: experiment.Experiment,
    config: experiment.RunConfig,
    saved: dict | None,
    seeds: tuple[int, ...],
) -> None:
    devices.use_compilation_cache()
    import jax

    if _DISTRIBUTED.value:
        devices.join_processes()
    from gen_jax import memory
    from gen_jax.loop import fit
    from gen_jax.runs import run as runs

    mesh = devices.data_mesh(_chosen_devices())
    dataset = data.load(config.data)
    config = experiment.settled(config, dataset.info)
    game = recipe.build(config, dataset.info)
    meta = runs.make_meta(name, config, dataset.info)
    meta |= {"data": data.fingerprint(dataset), "backend": _BACKEND.value}
    if saved is not None:
        _check_data(config, meta, saved)
        began_from = saved.get("began_from")
        if _RESUME.value != "auto":
            began_from = str(Path(_RESUME.value).absolute())
        meta |= {"began_from": began_from} if began_from else {}
    batch = memory.size(data.prepared_like(dataset.info, config.batch_size))
    batch *= len(seeds) or 1
    memory.check({"a batch takes": batch / mesh.size}, mesh.local_devices[0])
    start = None
    if saved is not None and _RESUME.value != "auto":
        start = runs.load(_RESUME.value, game).state
    fit(
        game,
        _batches(dataset, config, seeds),
        config,
        workdir=_WORKDIR.value,
        backend=_BACKEND.value,
        mesh=mesh,
        prepare=data.prepare(flip=config.flip, jitter=config.jitter),
        meta=meta,
        start=start,
        held_out=_held_out(dataset) if game.ops.translate is not None else None,
        seeds=seeds,
    )
    if jax.process_index() == 0:
        for folder in dict.fromkeys([*_folders(), Path(_WORKDIR.value)]):
            _report(folder)


def _batches(
    dataset: data.Dataset, config: experiment.RunConfig, seeds: tuple[int, ...]
):
    """This process's batches, of each seed's own order where there are several."""
    import jax

    each = [
        data.batches(
            dataset.train,
            config.batch_size,
            seed,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        )
        for seed in seeds or (config.seed,)
    ]
    return several.batches(each) if seeds else each[0]


def _report(workdir: Path) -> None:
    """Writes the page of a run or of seeds, unless it is newer than this part of it.

    The run is done and kept: whatever is wrong with its page gets one line.
    """
    from gen_jax import report

    run = next(iter(several.found(workdir).values()), workdir)
    page, begun = workdir / report.NAME, run / "config.json"
    try:
        if page.exists() and page.stat().st_mtime_ns >= begun.stat().st_mtime_ns:
            return
        report.write([workdir], page)
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"no report: {line}", file=sys.stderr)
    else:
        print(f"report: {page}", file=sys.stderr)


def _check_data(config: experiment.RunConfig, meta: dict, saved: dict) -> None:
    """Raises UserError where the data are not those that a run can go on with.

    A new run may begin from a checkpoint of other data of the same shape.
    """
    from gen_jax.runs.run import info_of

    info, before = (  # classes may have got other names
        info_of(each)._replace(class_names=()) for each in (meta, saved)
    )
    spec, old = config.data.spec, configs.from_dict(config, saved["config"])
    if info != before:
        fields = [p for p in configs.differences(config, old) if p.startswith("data.")]
        shapes = f"examples are {_described(info)} now, {_described(before)} then"
        for path in fields:
            raise UserError(
                f"{path}={configs.flat(config)[path]} disagrees with the run in "
                f"{_RESUME.value}, which has {configs.flat(old)[path]}: {shapes}"
            )
        raise UserError(f"{spec} is no longer what the run was trained on: {shapes}")
    now, then = meta["data"], saved.get("data")  # None before there were fingerprints
    if _RESUME.value == "auto" and then not in (None, now):
        raise UserError(
            f"{spec} is no longer what the run was trained on: {now['train']} examples "
            f"and {now['test']} held out, {then['train']} and {then['test']} then; to "
            f"begin a new run from its weights: --workdir=NEW --resume={_WORKDIR.value}"
        )


def _described(info: data.Info) -> str:
    return f"of shape {info.shape} with {info.num_classes} classes"


def _held_out(dataset: data.Dataset) -> dict:
    """The first pairs of the held-out split, prepared: what pictures are made of."""
    batch = dataset.test.read(range(min(_SHOWN, len(dataset.test))))
    return data.prepare()(batch, None)


def _chosen_devices():
    import jax

    found, wanted = jax.devices(), _DEVICES.value
    if wanted is None:
        return found
    if not 1 <= wanted <= len(found):
        raise UserError(f"--devices={wanted}; allowed here: 1 to {len(found)}")
    return found[:wanted]


if __name__ == "__main__":
    parsing.run(main)
