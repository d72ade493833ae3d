"""Write a run as one HTML page, or several runs or seeds next to each other.

  python -m experiments.report --workdir=DIR [--out=FILE.html]
  python -m experiments.report --workdir=DIR --workdir=DIR ... --out=FILE.html

The page needs no network and no other file. Training writes one at its end. This
command writes it again, with the run's figures and its evaluation if there are any.
"""

from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax import report
from gen_jax.errors import UserError
from gen_jax.runs import seeds

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", [], "the folder of a run or of several seeds; DIR,DIR compares several"
)
_DATA = flags.DEFINE_string(
    "data", None, "SPEC of the runs' data, if they were moved: the page then names it"
)
_OUT = flags.DEFINE_string("out", None, "an .html file; default: WORKDIR/report.html")


def main(overrides: list[tuple[str, str]]) -> None:
    """Read the folders, write the page and print its path."""
    parsing.refuse(overrides, "report only reads the run")
    folders = [folder for value in _WORKDIR.value for folder in _folders(value)]
    if not folders:
        raise UserError("--workdir=DIR is needed: the run's folder")
    if not _OUT.value and len(folders) > 1:
        raise UserError("--out=FILE.html is needed for the page of several runs")
    out = parsing.output_path(_OUT.value, folders[0] / report.NAME, ".html", ".htm")
    spec = None
    if _DATA.value:
        from gen_jax.evaluation.run_data import absolute_spec

        runs = [run for each in folders for run in seeds.found(each).values() or [each]]
        for run in runs:
            spec = absolute_spec(run, _DATA.value)
    report.write(folders, out, spec)
    print(out)


def _folders(value: str) -> list[Path]:
    """Return the folders in a text: one that exists, or those between commas."""
    if (path := Path(value).expanduser()).exists():
        return [path]
    return [Path(folder).expanduser() for folder in value.split(",") if folder]


if __name__ == "__main__":
    parsing.run(main)
