"""Write the README's table of experiments from finished runs.

  python -m experiments.table --workdir=runs/gan,runs/vae

Each run has to be trained and evaluated. Its numbers go into --records, next to the
rows that are there already. Then the table in --readme is written again.
"""

from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax.errors import UserError
from gen_jax.files import locked, written_whole

_WORKDIR = flags.DEFINE_list("workdir", [], "folders of runs, separated by commas")
_RECORDS = flags.DEFINE_string(
    "records", "experiments/results/experiments.json", "the file of the rows, JSON"
)
_README = flags.DEFINE_string("readme", "README.md", "the page with the table")


def main(overrides: list[tuple[str, str]]) -> None:
    """Add the runs' rows to the records, and write the table."""
    parsing.refuse(overrides, "table only reads runs")
    from experiments.studies import readme_table

    records, readme = Path(_RECORDS.value), Path(_README.value)
    if not readme.is_file():
        raise UserError(f"--readme={readme} is not a file")
    new = dict(readme_table.row(Path(folder)) for folder in _WORKDIR.value)
    with locked(records.absolute().parent):
        rows = {**readme_table.read(records), **new}
        page = readme_table.replaced(readme.read_text(), readme_table.markdown(rows))
        if new:
            readme_table.write(records, rows)
        with written_whole(readme) as unfinished:
            unfinished.write_text(page)
    print(f"{readme}: {len(rows)} of its experiments have numbers")


if __name__ == "__main__":
    parsing.run(main)
