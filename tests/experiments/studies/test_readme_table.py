"""The README's table of experiments: rows of finished runs, and the page."""

import dataclasses
import json

import pytest

from experiments.studies import readme_table
from gen_jax import config as configs
from gen_jax import experiment
from gen_jax.errors import UserError

VALUE = {"value": 4.26, "low": 3.65, "high": 4.87, "real_baseline": 1.17}
RECORD = {
    "measures": {
        "on_classifier": {
            "values": {"frechet_distance": VALUE},
            "context": {"samples": 818},
        }
    }
}
ROW = readme_table.Row(
    command="python -m experiments.train --experiment=gan --workdir=DIR",
    data="digits",
    steps=6000,
    seconds=22.5,
    name="Frechet distance",
    samples="818",
    hardware="2 cores, cpu",
    **VALUE,
)


@pytest.fixture
def run(tmp_path):
    """The folder of a trained and evaluated run, written by hand."""
    config = configs.to_dict(experiment.find("gan").config)
    meta = {"experiment": "gan", "config": config}
    meta["environment"] = {"cores": 2, "device": "cpu"}
    lines = [{"step": 3000, "seconds": 12.0}, {"step": 6000, "seconds": 22.5}]
    (tmp_path / "config.json").write_text(json.dumps(meta))
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "evaluation.json").write_text(json.dumps(RECORD))
    return tmp_path


def test_a_row_holds_the_numbers_of_its_run(run):
    assert readme_table.row(run) == ("gan", ROW)


def test_a_run_without_an_evaluation_is_refused(run):
    (run / "evaluation.json").unlink()
    with pytest.raises(UserError, match=r"experiments\.evaluate --workdir="):
        readme_table.row(run)


def test_a_run_without_records_is_refused(run):
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="no finished training"):
        readme_table.row(run)


def test_rows_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "rows.json"
    assert readme_table.read(path) == {}
    readme_table.write(path, {"vae": ROW, "gan": dataclasses.replace(ROW, steps=1)})
    found = readme_table.read(path)
    assert list(found) == ["gan", "vae"]
    assert found["vae"] == ROW


def test_a_damaged_file_of_rows_is_refused(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('{"gan": {"steps": "many"}}')
    with pytest.raises(UserError, match=r"rows.json: gan lacks command"):
        readme_table.read(path)
    path.write_text('{"gan": ')
    with pytest.raises(UserError, match=r"rows.json is not JSON"):
        readme_table.read(path)


def test_the_table_names_every_experiment():
    lines = readme_table.markdown({"gan": ROW}).splitlines()
    assert len(lines) == 2 + len(experiment.names())
    (gan,) = [line for line in lines if line.startswith("| `gan` |")]
    assert gan.endswith("| Frechet distance 4.26 [3.65, 4.87] | 22 s |")


def test_a_page_gets_a_new_table_between_its_marks():
    page = f"above\n{readme_table.BEGIN}old\n{readme_table.END}below\n"
    found = readme_table.replaced(page, "new\n")
    assert found == f"above\n{readme_table.BEGIN}new\n{readme_table.END}below\n"
    with pytest.raises(UserError, match="lacks the lines"):
        readme_table.replaced("no marks", "new\n")
