"""The report at the end of a run, and by its command."""

import json

from command_line import run, shrunk, succeed


def test_a_run_ends_with_its_report(tmp_path):
    workdir = tmp_path / "run"
    done = succeed("train", *shrunk("vae", 4), f"--workdir={workdir}")
    assert f"report: {workdir / 'report.html'}" in done.stderr
    html = (workdir / "report.html").read_text()
    assert "--config.z_dim=2" in html
    environment = json.loads((workdir / "config.json").read_text())["environment"]
    assert environment["platform"] == "cpu"
    assert environment["devices"] == 1
    (workdir / "report.html").unlink()
    (workdir / "report.html").mkdir()  # in the way: the run is done all the same
    done = succeed("train", f"--workdir={workdir}", "--steps=5")
    assert "done: step 5" in done.stderr
    assert "no report: " in done.stderr.splitlines()[-1]


def test_its_command(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    succeed("train", *shrunk("vae", 2), f"--workdir={one}")
    flags = (f"--init_from={one}", "--steps=4", "--config.learning_rate=1e-4")
    succeed("train", *flags, f"--workdir={two}")
    succeed("train", f"--workdir={two}", "--steps=5")
    assert succeed("report", f"--workdir={one}").stdout.split() == [
        str(one / "report.html")
    ]
    out = tmp_path / "both.html"
    succeed("report", f"--workdir={one}", f"--workdir={two}", f"--out={out}")
    assert f"--init_from={one}" in out.read_text()  # it began from the other's weights
    before = sorted(tmp_path.iterdir())
    for flags, says in (
        ([], "--workdir=DIR is needed"),
        ([f"--workdir={one},{two}"], "--out=FILE.html is needed"),
        ([f"--workdir={one},{tmp_path / 'x'}", "--out=x.html"], "x does not exist"),
        ([f"--workdir={tmp_path}"], "is not a run's folder"),
        (
            [f"--workdir={one}", f"--out={one / 'config.json'}"],
            "ends in .html",
        ),
        ([f"--workdir={one}", "--out=nowhere/x.html"], "there is no folder"),
        ([f"--workdir={one}", "--config.steps=3"], "report only reads"),
    ):
        done = run("report", *flags, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert before == sorted(tmp_path.iterdir())
