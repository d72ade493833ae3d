"""Train an experiment, or resume an interrupted run.

  python -m experiments.train --experiment=NAME --workdir=DIR [--data=SPEC] [FLAGS]

SPEC: digits, ring, branches, idx:DIR, folder:DIR, pairs:DIR, npz:FILE, tfds:NAME
(mnist, fashion_mnist and cifar10 are short for tfds:NAME), or a source that another
installed package registers. branches and pairs: hold images to translate;
--config.data.task makes such pairs from any other images. A training prints a
summary of the data first; `experiments.look` draws the data.

Any field of the configuration is a flag, --config.FIELD=VALUE, and --dry_run shows all
fields. A network has fields of its own, such as --config.network=unet
--config.network.base_channels=64.

--seeds=N trains N seeds at once, from --seed on, each into its own folder seed_K of
DIR; evaluate --workdir=DIR then gives intervals over trainings.

--init_from=RUN begins a new run from the weights of another run, with the same
configuration unless a flag changes it. The data may differ if the shapes fit.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import flags

from experiments import flags as parsing
from experiments import run_config
from gen_jax import config as configs
from gen_jax import console, data, devices, experiment, files, watchdog
from gen_jax.data import summary
from gen_jax.errors import UserError, one_line
from gen_jax.game import Game, State, Weights, init_state
from gen_jax.runs import seeds as several

_MAX_SEEDS = 1000

_NAME = flags.DEFINE_string(
    "experiment", None, "the experiment's name; --list shows all"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder, made if missing")
flags.DEFINE_string("data", None, "the dataset; short for --config.data.spec")
flags.DEFINE_integer("steps", None, "total number of steps; may be raised later")
flags.DEFINE_integer("batch_size", None, "examples in a step, on all devices together")
flags.DEFINE_integer(
    "seed", None, "seed of the weights, the order of the data and all noise"
)
_SEEDS = flags.DEFINE_integer(
    "seeds",
    None,
    "seeds to train at once, from --seed on; default 1",
    1,
    _MAX_SEEDS,
)
_BACKEND = flags.DEFINE_enum(
    "backend", "jit", ["jit", "pmap"], "function that compiles a step"
)
_DEVICES = flags.DEFINE_integer("devices", None, "number of devices; default: all")
_RESUME = flags.DEFINE_enum(
    "resume",
    "auto",
    ["auto", "never"],
    "auto: resume if the workdir holds a checkpoint; never: refuse such a workdir",
)
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "a run's folder or one checkpoint: begin a new run from its last weights, with a "
    "new optimizer and at step 0",
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "one of several processes: on a TPU pod, under Slurm or Open MPI, or "
    "numbered by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID",
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "print the run's plan; write nothing")
_LIST = flags.DEFINE_bool("list", False, "print the experiments")

_SHOWN = 12  # held-out pairs in an image of translations

_SHORT = {name: name for name in ("steps", "batch_size", "seed")} | {
    "data": "data.spec"
}


def main(overrides: list[tuple[str, str]]) -> None:
    """Resolve the configuration and train."""
    if _LIST.value:
        for name in experiment.names():
            print(f"{name:20s} {_about(name)}")
        return
    workdir = Path(_WORKDIR.value) if _WORKDIR.value else None
    if workdir is None and not _DRY_RUN.value:
        raise UserError("--workdir=DIR is needed: the run's folder")
    if workdir is not None and os.path.isfile(workdir):  # not of a name too long
        raise UserError(f"--workdir={workdir} is a file; it has to be a folder")
    if _WORKDIR.value and not _DRY_RUN.value:
        files.checked_folder(_WORKDIR.value)  # before the data are read
    overrides = parsing.given(_SHORT) + overrides
    saved = _saved_run(workdir) if workdir is not None else None
    if workdir is not None and saved is not None:
        name, config = run_config.of_resumed(
            saved, _folders(workdir)[0], str(workdir), _NAME.value, overrides
        )
    else:
        name, config = run_config.of_new(_NAME.value, _INIT_FROM.value, overrides)
    seeds = _seeds(config, workdir)
    recipe = experiment.find(name)
    if _DRY_RUN.value or workdir is None:
        print(_plan(name, recipe, config, seeds))
    else:
        _train(name, recipe, config, workdir, saved, seeds)


def _about(name: str) -> str:
    """Return an experiment's description, or the error of its plugin."""
    try:
        return experiment.find(name).about
    except UserError as error:
        return f"({error})"


def _folders(workdir: Path) -> list[Path]:
    """Return the folder of each seed's run in the workdir, or the workdir alone."""
    return list(several.found(workdir).values()) or [workdir]


def _seeds(config: experiment.RunConfig, workdir: Path | None) -> tuple[int, ...]:
    """Return the seeds to train at once, those of the workdir; () for an ordinary run.

    Raises UserError if a flag disagrees with the workdir.
    """
    count = _SEEDS.value
    found = tuple(several.found(workdir)) if workdir else ()
    left = [workdir / "config.json", workdir / "checkpoints"] if workdir else []
    if found or any(path.exists() for path in left):
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


def _saved_run(workdir: Path) -> dict | None:
    """Return the meta of the run to continue, None for a new run.

    Raises UserError if the run may not be continued, or began from other weights.
    """
    from gen_jax.runs import checkpoint

    folders = _folders(workdir)
    trained = [f for f in folders if checkpoint.steps(f / checkpoint.CHECKPOINTS)]
    if not trained:
        return None
    if _RESUME.value == "never":
        raise UserError(
            f"{workdir} holds checkpoints, and --resume=never begins a new run: "
            "name another --workdir, or --resume=auto to continue"
        )
    meta = checkpoint.newest_meta(checkpoint.step_directories(trained[0]))
    began_from = meta.get("began_from")
    if _INIT_FROM.value is not None and _absolute(_INIT_FROM.value) != began_from:
        raise UserError(
            f"--init_from={_INIT_FROM.value} disagrees with the run in {workdir}, "
            f"which began from {began_from or 'random weights'}: leave it out to "
            "resume that run, or name another --workdir to begin a new one"
        )
    seeds = list(several.found(workdir))
    return several.meta(meta, seeds[0], seeds) if seeds else meta


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


def _plan(
    name: str,
    recipe: experiment.Experiment,
    config: experiment.RunConfig,
    seeds: tuple[int, ...],
) -> str:
    """Return the text of --dry_run: configuration, shapes and parameter counts."""
    from gen_jax.game import parameter_counts

    info, found = _described_data(recipe, config)
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
    absent = [f"{config.data.spec} is not there; shapes are the recipe's"]
    lines += [f"data: {line}" for line in (summary.lines(found) if found else absent)]
    lines += [f"batch: {key} {x.dtype} {list(x.shape)}" for key, x in batch.items()]
    for player, count in parameter_counts(game, batch).items():
        lines.append(f"{player}: {count:,} parameters")
    return "\n".join(lines)


def _described_data(
    recipe: experiment.Experiment, config: experiment.RunConfig
) -> tuple[data.Info, data.Summary | None]:
    """Return the facts about the data, and their summary.

    If they are absent, the facts are those that the recipe names, and the summary is
    None. If they might have to be downloaded, it has no counts.

    Raises UserError if they are absent and the recipe does not name them.
    """
    if (dataset := data.load_present(config.data)) is not None:
        return dataset.info, data.summarize(dataset)
    if (info := data.describe(config.data)) is not None:
        return info, summary.described(info)
    if recipe.shape is None or "labels" in recipe.needs:
        dataset = data.load(config.data)  # raises the source's error
        return dataset.info, data.summarize(dataset)
    target = recipe.shape if "pairs" in recipe.needs else ()
    return data.Info(recipe.shape, 0, target), None


def _train(
    name: str,
    recipe: experiment.Experiment,
    config: experiment.RunConfig,
    workdir: Path,
    saved: dict | None,
    seeds: tuple[int, ...],
) -> None:
    devices.use_compilation_cache()
    import jax

    if _DISTRIBUTED.value:
        devices.join_processes()
        watchdog.watch()
    from gen_jax import memory
    from gen_jax.evaluation import run_data
    from gen_jax.loop import fit
    from gen_jax.runs import run as runs
    from gen_jax.runs.sample_grids import COLUMNS, column_names

    mesh = devices.data_mesh(devices.first(_DEVICES.value))
    load = data.load if saved is None else run_data.loaded
    dataset = load(config.data)
    config = experiment.settled(config, dataset.info)
    game = recipe.build(config, dataset.info)
    batch = memory.size(data.prepared_like(dataset.info, config.batch_size))
    batch *= len(seeds) or 1
    memory.check({"a batch takes": batch / mesh.size}, mesh.local_devices[0])
    meta = runs.make_meta(name, config, dataset.info)
    meta |= {"data": data.fingerprint(dataset), "backend": _BACKEND.value}
    read = data.summarize(dataset)
    meta |= {summary.META: dataclasses.asdict(read)}
    meta |= {COLUMNS: column_names(game, read)}
    start, given = None, None
    if saved is not None:
        run_config.check_data(config, meta, saved, workdir)
        meta |= {"began_from": saved["began_from"]} if "began_from" in saved else {}
    elif (init_from := _INIT_FROM.value) is not None:
        meta["began_from"] = _absolute(init_from)
        start = _start(game, config, dataset.info, init_from)
    elif recipe.given is not None:
        given = recipe.given(config)
    fit(
        game,
        _batches(dataset, config, seeds),
        config,
        workdir=workdir,
        backend=_BACKEND.value,
        mesh=mesh,
        prepare=data.prepare(flip=config.flip, jitter=config.jitter),
        meta=meta,
        start=start,
        given=given,
        held_out=_held_out(dataset) if game.ops.translate is not None else None,
        seeds=seeds,
    )
    if jax.process_index() == 0:
        for folder in dict.fromkeys([*_folders(workdir), workdir]):
            _report(folder)


def _batches(
    dataset: data.Dataset, config: experiment.RunConfig, seeds: tuple[int, ...]
) -> Callable[[int], Iterator[data.Batch]]:
    """Return this process's batches; several seeds each have an order of their own."""
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
    """Write the report of a run, unless one is newer than the start of this command.

    The run is already saved, so an error of its report is printed as one line.
    """
    from gen_jax import report

    run = next(iter(several.found(workdir).values()), workdir)
    page, begun = workdir / report.NAME, run / "config.json"
    try:
        if page.exists() and page.stat().st_mtime_ns >= begun.stat().st_mtime_ns:
            return
        report.write([workdir], page)
    except Exception as error:
        line = one_line(error)
        console.tell(f"no report: {line}")
    else:
        console.tell(f"report: {page}")


def _start(
    game: Game, config: experiment.RunConfig, info: data.Info, init_from: str
) -> State:
    """Return the first state of a new run, with the weights of another.

    Averages begin from these weights too. Raises UserError if they do not fit.
    """
    import jax

    from gen_jax.runs import run as runs

    run = runs.load(init_from)
    if run.game.num_classes and run.info and run.info.num_classes != info.num_classes:
        raise UserError(
            f"--init_from={init_from}: its model knows {run.info.num_classes} classes, "
            f"and {config.data.spec} has {info.num_classes}; only a model without "
            "labels takes other classes"
        )
    players = run.state.players
    given = {name: Weights(p.params, p.mutable) for name, p in players.items()}
    batch = data.prepared_like(info, config.batch_size)
    try:
        return init_state(game, jax.random.key(config.seed), batch, given)
    except (UserError, ValueError) as error:
        raise UserError(f"--init_from={init_from}: {error}") from error


def _held_out(dataset: data.Dataset) -> dict:
    """Return the first held-out pairs, prepared, of which the run draws images."""
    batch = dataset.test.read(range(min(_SHOWN, len(dataset.test))))
    return data.prepare()(batch, None)


if __name__ == "__main__":
    parsing.run(main)
