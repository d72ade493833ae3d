"""Writes a run as one HTML page, or several runs or seeds beside each other.

  python -m experiments.report --workdir=DIR [--out=FILE.html]
  python -m experiments.report --workdir=DIR --workdir=DIR ... --out=FILE.html

The page needs no network and no other file. Training writes a run's own at its end;
this one has its figures and its evaluation too, where they are there by now.
"""

from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax import report
from gen_jax.errors import UserError

_WORKDIR = flags.DEFINE_multi_string(
    "workdir", [], "a folder of a run or of seeds; several, or DIR,DIR, are compared"
)
_OUT = flags.DEFINE_string("out", None, "an .html file; default: WORKDIR/report.html")


def main(overrides: list[tuple[str, str]]) -> None:
    """Reads the folders, writes the page and prints its path."""
    if overrides:
        raise UserError(f"report has no --config.{overrides[0][0]}: it only reads")
    folders = [folder for value in _WORKDIR.value for folder in _folders(value)]
    if not folders:
        raise UserError("--workdir=DIR is needed: the run's folder")
    out = _output_path(folders)
    report.write(folders, out)
    print(out)


def _folders(value: str) -> list[Path]:
    """A folder whose name has a comma in it, or those that commas keep apart."""
    if Path(value).exists():
        return [Path(value)]
    return [Path(folder) for folder in value.split(",") if folder]


def _output_path(folders: list[Path]) -> Path:
    if not _OUT.value and len(folders) > 1:
        raise UserError("--out=FILE.html is needed: where to write of several runs")
    out = Path(_OUT.value or folders[0] / report.NAME)
    if out.suffix not in (".html", ".htm"):
        raise UserError(f"--out={out} is not an .html file")
    if out.is_dir():
        raise UserError(f"--out={out} is a folder; it has to be a file")
    if _OUT.value and not out.absolute().parent.is_dir():
        raise UserError(f"--out={out}: there is no folder {out.absolute().parent}")
    return out


if __name__ == "__main__":
    parsing.run(main)
