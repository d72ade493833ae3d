"""The data of a run in its page: the summary, the classes, and heads above samples."""

import dataclasses
import json

from pages import page, write

from gen_jax.data.summary import ClassCount, Summary

HOSTILE = "</td><script>alert(1)</script>_a_b"


def with_summary(folder, summary, **fields):
    """Add a summary of data to a run's config.json."""
    path = folder / "config.json"
    meta = json.loads(path.read_text())
    meta |= {"data_summary": dataclasses.asdict(summary), **fields}
    path.write_text(json.dumps(meta))
    return folder


def summary_of(*names):
    classes = [ClassCount(name, 5 + i, i) for i, name in enumerate(names)]
    return Summary([8, 8, 1], [], 9, 3, classes, None, ["12 files that end in .heic"])


def test_the_summary_the_classes_and_their_columns(tmp_path):
    names = ["cat", HOSTILE, "x" * 300, "猫"]
    found = page(
        with_summary(write(tmp_path / "run"), summary_of(*names), sample_columns=names)
    )
    assert "9 + 3 held out, 8x8 grey, 4 classes: cat (5 + 0)" in found.text
    assert "left out: 12 files that end in .heic" in found.text
    assert f"{HOSTILE}|6|1|" in found.text  # underscores stay
    assert "猫|8|3|" in found.text
    assert [each.get("title") for each in found.all("li") if "title" in each] == names
    assert len(found.scripts) == 1


def test_runs_on_the_same_data_share_one_summary(tmp_path):
    one, two = (
        with_summary(write(tmp_path / n), summary_of("cat")) for n in ("one", "two")
    )
    other = with_summary(write(tmp_path / "other"), summary_of("dog", "猫"))
    same = page(one, two, out=tmp_path / "same.html")
    assert same.text.count("1 class: cat") == 1
    different = page(one, two, other, out=tmp_path / "different.html")
    assert different.text.count("1 class: cat") == 1
    assert "one, two" in different.text


def test_a_damaged_summary_and_none_are_left_out(tmp_path):
    assert "Data" not in page(write(tmp_path / "old")).text
    folder = with_summary(write(tmp_path / "run"), summary_of("cat"))
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"cat"', "3"))
    assert "config.json: data_summary.classes.0" in page(folder).text
