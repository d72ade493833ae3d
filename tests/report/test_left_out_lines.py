"""A page tells what could not be measured or drawn, and its pictures have captions."""

import json

from pages import page, write


def test_left_out_lines_are_shown_and_pictures_have_captions(tmp_path):
    folder = write(tmp_path / "run")
    path = folder / "evaluation.json"
    content = json.loads(path.read_text())
    content["left_out"] = ["seed 3: has no checkpoint"]
    content["measures"]["fid"] |= {
        "left_out": ["recall left out: needs 10 images"],
        "captions": {"nearest.png": "Samples, each followed by three others."},
    }
    content["measures"]["bound"] = {"values": {}, "left_out": ["out of memory: 3 GiB"]}
    path.write_text(json.dumps(content))
    path = folder / "figures" / "figures.json"
    content = json.loads(path.read_text())
    content["claims"]["plane"] = {"left_out": ["needs at least 3 test images"]}
    path.write_text(json.dumps(content))
    text = page(folder).text
    for line in (
        "left out: seed 3: has no checkpoint",
        "recall left out: needs 10 images",
        "Samples, each followed by three others.",
        "out of memory: 3 GiB",
        "left out: needs at least 3 test images",
    ):
        assert line in text
