"""Draw the figures of a run's family, each as a picture and a number.

  python -m experiments.figures --workdir=DIR [--against=DIR] [--out=DIR] [FLAGS]

Pictures are PNG files and films GIF files; figures.json next to them has the numbers.
All figures that apply to the trained game are drawn. --against draws a second run next
to the first: a VAE and an autoencoder, a CVAE and a VAE, a VAE and a GAN. A figure that
cannot be drawn does not stop the others: a line says why, and the exit code is then 2.
"""

from pathlib import Path
from typing import Any

from absl import flags

from experiments import flags as parsing
from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.files import try_to_write
from gen_jax.runs import checkpoint

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_AGAINST = flags.DEFINE_string("against", None, "folder of a second run, to compare")
_OUT = flags.DEFINE_string("out", None, "output folder; default: WORKDIR/figures")
_DATA = flags.DEFINE_string(
    "data", None, "SPEC of the runs' data, if they were moved; default: the runs'"
)
_SEED = flags.DEFINE_integer("seed", 0, "seed of all random numbers", 0, 2**32 - 1)
_RAW = flags.DEFINE_bool("raw", False, "use the last weights, not the averaged ones")
_ONLY = flags.DEFINE_list("only", [], "names of figures; default: all that apply")


def main(overrides: list[tuple[str, str]]) -> None:
    """Draw every figure that applies and print the paths of the pictures."""
    workdir = parsing.folder_of_a_run(overrides, _WORKDIR.value)
    devices.use_compilation_cache()
    from gen_jax import figures
    from gen_jax.evaluation.request import of_folder

    out = parsing.output_folder(_OUT.value, Path(workdir) / "figures")
    against = [_AGAINST.value] if _AGAINST.value else []
    for folder in (workdir, *against):
        checkpoint.step_directories(folder)  # raises UserError if it is not a run's
    try_to_write(out / figures.NAME)
    fields: dict[str, Any] = {"raw": _RAW.value, "seed": _SEED.value}
    evaluations = [
        of_folder(folder, spec=_DATA.value, **fields) for folder in (workdir, *against)
    ]
    record = figures.draw(evaluations, out, _ONLY.value)
    print(*figures.paths(record, out), out / figures.NAME, sep="\n")
    if record.missing:
        raise UserError(f"left out: {'; '.join(record.missing)}")


if __name__ == "__main__":
    parsing.run(main)
