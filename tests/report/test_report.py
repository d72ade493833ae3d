"""A run's page shows everything in its folder and names damaged files."""

import base64
import io
import json
import re
import shlex
import shutil
import sys

import numpy as np
import pytest
from pages import grid, page, write
from PIL import Image

from gen_jax import config as configs
from gen_jax import experiment, images, report
from gen_jax.errors import UserError
from gen_jax.figures import charts
from gen_jax.report import line_charts, pictures, run_files, speed

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"


def pixels(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


def test_everything_of_a_run_is_shown(tmp_path):
    found = page(write(tmp_path / "run", learning_rate="0.5"))
    for said in (
        "vae on digits",
        "12 of 5,000",  # steps
        "1,536",  # images seen
        "512",  # images/s
        "training examples\n1,637",
        "test examples\n160",
        "learning_rate|0.5|0.001|",
        "python|3.12.1|",
        "backend|jit|",
        "in each class|3, 4|",
        "fraction sure|0.695|",
        "mean: of|1|",
        "1|0.75|",
        "distance|3.25 squared pixels[3, 3.5]\nreal baseline 0.5\n|",
        "bare|2|",
        "95 % intervals in [ ]: 95 % bootstrap",
        "features: a classifier · real images: 1,637 · few samples",
        "run: experiment vae, training seed 0 · environment: platform cpu",
    ):
        assert said.replace("\n", "") in found.text.replace("\n", ""), said
    assert "Left out" not in found.text
    assert [int(f["data-step"]) for f in found.all("figure") if "data-step" in f] == [
        4,
        8,
        12,
    ]
    (shown,) = [f for f in found.all("figure") if f.get("class") == "now"]
    assert shown["data-step"] == "12"  # the last one without scripts


def test_a_page_needs_no_other_file(tmp_path):
    found = page(write(tmp_path / "run"))
    sources = [tag["src"] for tag in found.all("img")]
    sources += [tag["href"] for tag in found.all("link")]
    assert len(sources) == 3 + 2 + 1 + 3 + 1  # grids, figures, evaluation, charts, icon
    assert all(source.startswith("data:") for source in sources)
    assert all(link["href"].startswith("#") for link in found.all("a"))
    assert len(found.scripts) == 1
    ids = {attributes.get("id") for _, attributes in found.tags}
    assert {link["href"][1:] for link in found.all("a")} <= ids
    html = (tmp_path / "run" / report.NAME).read_text()
    assert "http:" not in html
    assert "https:" not in html


def test_the_browser_enlarges_small_pictures(tmp_path):
    found = page(write(tmp_path / "run", steps=(4,)))
    tag = found.all("img")[0]
    assert tag["class"] == "squares"
    assert (int(tag["width"]), int(tag["height"])) == grid(4).shape[1::-1]
    small = pixels(tag["src"])
    factor = len(grid(4)) // len(small)
    assert factor > 1
    large = small.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(large, grid(4)[..., 0])


def test_other_pictures_are_unchanged(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    images.save_png(tmp_path / "x.png", noise)
    found = pictures.Album().add(tmp_path / "x.png", "x")
    assert not found.pixelated
    assert base64.b64encode((tmp_path / "x.png").read_bytes()).decode() in found.uri


def test_the_command_repeats_the_run(tmp_path):
    fields = {
        "network__hidden": "5",
        "data__spec": "folder:/a b'c",
        "likelihood": "gaussian",
    }
    run = write(tmp_path / "run", **fields)
    found = page(run)
    start = found.text.index("python -m experiments.train")
    command = found.text[start : found.text.index("\n", start)].replace("\\", "")
    arguments = shlex.split(command)
    assert arguments[:5] == [
        *("python", "-m", "experiments.train", "--experiment=vae", "--workdir=DIR"),
    ]
    recipe = config = experiment.find("vae").config
    for argument in arguments[5:]:
        path, _, text = argument.removeprefix("--config.").partition("=")
        config = configs.override(config, path, text)
    saved = json.loads((run / "config.json").read_text())["config"]
    assert config == configs.from_dict(recipe, saved)
    assert len(arguments) == 5 + len(fields)


def test_two_runs_are_next_to_each_other(tmp_path):
    one = write(tmp_path / "one", "vae", learning_rate="0.5")
    two = write(tmp_path / "two", "ae", steps=(2, 6))
    found = page(one, two, out=tmp_path / "both.html")
    text = found.text.replace("\n", "")
    assert "2 runs next to each other" in text
    assert "|one|two|" in text
    assert "learning_rate|0.5|0.001|" in text
    assert "beta|1.0|–|" in text  # noqa: RUF001  an autoencoder has none
    assert text.count("--experiment=") == 2
    legend = text[text.index("model/loss") :]
    assert legend.startswith("model/lossone 0.75two 0.75")
    frames = [f for f in found.all("figure") if "data-step" in f]
    assert [f["data-step"] for f in frames] == ["4", "8", "12", "2", "6"]
    assert [f["data-step"] for f in frames if "class" in f] == ["12", "6"]


def test_several_seeds_are_next_to_each_other_with_their_common_evaluation(tmp_path):
    for seed in (0, 1):
        write(tmp_path / "vae" / f"seed_{seed}", seed=str(seed))
    assert page(tmp_path / "vae").text.count("|seed_0|seed_1|") >= 3
    over = {"value": 3.5, "low": 2.5, "high": 4.5, "interval": "Student's t"}
    measures = {"fid": {"values": {"distance": over}}}
    write_text(tmp_path / "vae" / "evaluation.json", {"measures": measures})
    found = page(tmp_path / "vae").text.replace("\n", "")
    assert found.startswith("vae on digits, 2 runs")
    assert "|vae, all seeds|seed_0|seed_1|" in found
    assert (
        "distance|3.5[2.5, 4.5]|3.25 squared pixels[3, 3.5]real baseline 0.5|" in found
    )
    assert "vae, all seeds: 95 % intervals in [ ]: Student's t" in found
    assert "seed_0, seed_1: 95 % intervals in [ ]: 95 % bootstrap" in found
    (tmp_path / "vae" / "evaluation.json").write_text("{")
    damaged = page(
        tmp_path / "vae", write(tmp_path / "ae", "ae"), out=tmp_path / "x.html"
    )
    assert "3 runs next to each other" in damaged.text
    assert "vae, all seeds: evaluation.json is damaged" in damaged.text


def test_everything_in_a_file_is_shown_as_text(tmp_path):
    run = write(tmp_path / "<b>&'\"run")
    meta = json.loads((run / "config.json").read_text())
    meta["environment"] = {HOSTILE: HOSTILE}
    meta["config"]["data"]["spec"] = HOSTILE
    (run / "config.json").write_text(json.dumps(meta))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 13, f"{HOSTILE}/loss": 1.0}) + "\n")
    shutil.copy(run / "figures" / "variety.png", run / "figures" / '"><b>.png')
    claims = {HOSTILE: {"description": HOSTILE, "numbers": {HOSTILE: HOSTILE}}}
    evil = {"description": HOSTILE, "note": HOSTILE, "context": {HOSTILE: [HOSTILE]}}
    evil["values"] = {HOSTILE: {"value": HOSTILE, "unit": HOSTILE, "interval": HOSTILE}}
    evil["by_class"] = {HOSTILE: {HOSTILE: HOSTILE}}
    evil["pictures"] = ["../samples/4.png", "..", HOSTILE]
    write_text(run / "figures" / "figures.json", {"runs": [HOSTILE], "claims": claims})
    write_text(run / "evaluation.json", {"measures": {HOSTILE: evil}, HOSTILE: HOSTILE})
    other = write(tmp_path / "other")
    innocent = page(other, write(tmp_path / "another"), out=tmp_path / "x.html")
    innocent.tags += page(other).tags
    for found in (page(run), page(run, other, out=tmp_path / "both.html")):
        assert len(found.scripts) == 1
        styles = [tag["style"] for tag in found.all("i")]  # of legends
        assert all(re.fullmatch("background: #[0-9a-f]{6}", style) for style in styles)
        assert not found.all("b")
        assert all(tag["src"].startswith("data:image/") for tag in found.all("img"))
        assert {tag for tag, _ in found.tags} <= {tag for tag, _ in innocent.tags}
        names = {name for _, attributes in found.tags for name in attributes}
        assert names <= {name for _, attributes in innocent.tags for name in attributes}
        assert "{{7*7}}" in found.text
        assert "alert(2)" in found.text


def write_text(path, content):
    path.write_text(json.dumps(content))


DAMAGES = {
    "config.json": ["", "[]", '{"config": 3, "experiment": 5}', "{" * 5000, "\xff"],
    "metrics.jsonl": ["", "torn", "[]\n{}\n", '{"step": "x"}\n', '{"step": NaN}\n'],
    "figures/figures.json": ["{", "[1]", '{"claims": [], "runs": 3}', "[" * 99999],
    "evaluation.json": ["{", '{"measures": {"a": 3, "b": {"values": []}}}', "null"],
    "samples/12.png": ["", "no image"],
    "figures/film.gif": ["GIF89a"],
}


@pytest.mark.parametrize(
    ("name", "content"), [(n, c) for n, contents in DAMAGES.items() for c in contents]
)
def test_a_damaged_file_is_left_out(name, content, tmp_path):
    run = write(tmp_path / "run")
    (run / name).write_text(content, encoding="latin-1")
    assert page(run).text


@pytest.mark.parametrize("name", [*DAMAGES, "samples", "figures", "evaluation"])
def test_a_missing_file_is_left_out(name, tmp_path):
    run = write(tmp_path / "run")
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert page(run).text
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "metrics.jsonl").touch()
    assert "config.json is missing" in page(bare).text


def test_damage_is_named(tmp_path):
    run = write(tmp_path / "run")
    (run / "samples" / "12.png").write_text("torn")
    (run / "evaluation.json").write_text("{")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 13, "ima')
    text = page(run).text
    assert "samples/12.png is damaged" in text
    assert "evaluation.json is damaged" in text
    assert "metrics.jsonl: 1 of 13 lines are damaged" in text
    assert "Not evaluated" in text
    measures = {"a": 3, "b": {"values": []}, "c": {"values": {"d": {"value": 1.5}}}}
    write_text(run / "evaluation.json", {"measures": measures})
    text = page(run).text
    assert "evaluation.json: measures.a is not an object" in text
    assert "evaluation.json: measures.b.values is not an object" in text
    assert "d|1.5|" in text


def test_a_run_without_an_environment_and_a_picture_of_no_claim(tmp_path):
    run = write(tmp_path / "run")
    meta = json.loads((run / "config.json").read_text())
    del meta["environment"], meta["backend"]
    write_text(run / "config.json", meta)
    figures = json.loads((run / "figures" / "figures.json").read_text())
    figures["claims"]["variety"]["pictures"].remove("film.gif")
    write_text(run / "figures" / "figures.json", figures)
    found = page(run)
    assert "The environment was not recorded." in found.text
    assert "others" in found.text  # film.gif
    assert len(found.all("img")) == 3 + 2 + 1 + 3


def test_a_run_of_an_unknown_recipe_is_shown(tmp_path):
    run = write(tmp_path / "run")
    meta = json.loads((run / "config.json").read_text())
    write_text(run / "config.json", {**meta, "experiment": "strange"})
    text = page(run).text
    assert "This version cannot repeat it: no experiment 'strange'" in text
    assert "learning_rate|0.001|" in text.replace("\n", "")


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    for name, says in (
        ("nowhere", "does not exist"),
        ("file", "is not a folder"),
        ("other", "is not a run's folder"),
    ):
        with pytest.raises(UserError, match=says):
            report.write([tmp_path / name], tmp_path / "x.html")
        assert not (tmp_path / "x.html").exists()


def test_the_size_of_a_page_is_limited(tmp_path, monkeypatch):
    run = write(tmp_path / "run", steps=range(1, 101))
    found = page(run)
    steps = [int(f["data-step"]) for f in found.all("figure") if "data-step" in f]
    assert (len(steps), steps[0], steps[-1]) == (24, 1, 100)
    assert "one of 24 grids of 100" in found.text
    paths = [path for _, path in run_files.read(run).samples]
    size = max(path.stat().st_size for path in paths)
    for most, limit, number in ((9, 99 * size, 9), (9, 5 * size, 5), (9, 0, 1)):
        chosen = pictures.spread(paths, most, limit)
        assert number <= len(chosen) <= number + 1
        assert chosen[-1] == paths[-1]
    album = pictures.Album(limit=1000)
    kept = [album.add(path, str(step)) for step, path in run_files.read(run).samples]
    size = sum(len(p.uri) for p in kept if p)
    assert 0 < size < 2000
    assert len(album.left_out) == sum(p is None for p in kept) > 0
    assert "would make this page too large" in album.left_out[0]


def test_without_jinja_the_error_names_the_extra(tmp_path, monkeypatch):
    run = write(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r"pip install 'gen_jax\[report\]'"):
        report.write([run], run / report.NAME)
    assert not (run / report.NAME).exists()


def test_labels_tell_folders_apart(tmp_path):
    assert run_files.labels([tmp_path]) == [""]
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "b" / "x"]
    assert run_files.labels(paths) == ["a/run", "b/run", "b/x"]


def records(times):
    return [
        {"step": i, "images": 100 * i, "seconds": t} for i, t in enumerate(times, 1)
    ]


def test_speed_is_the_median_of_the_later_half():
    assert speed.usual(records([30, 31, 32, 33, 33.5, 34, 34.5, 34.5])) == 200
    assert speed.usual(records([30])) is None
    assert speed.usual([{"step": 1}, {"step": 2}, {"step": 3}]) is None


def curve(y):
    pairs = [{"step": i, "y": each} for i, each in enumerate(y, 1)]
    return line_charts.series("y", pairs, "step", "y", 0)


def drawn(*y):
    """Axes with curves of these values, and the chart's note."""
    _, axes = charts.chart(4.0, 3.0)
    return axes, line_charts.draw(axes, list(map(curve, y)))


def test_a_chart_shows_the_values():
    axes, note = drawn([0.0, 5.0, 10.0], [1.0, 2.0])
    first, second = axes.lines
    np.testing.assert_array_equal(first.get_xydata(), [[1, 0], [2, 5], [3, 10]])
    np.testing.assert_array_equal(second.get_xydata(), [[1, 1], [2, 2]])
    low, high = axes.get_ylim()
    assert low < 0
    assert high > 10
    assert (axes.get_yscale(), note) == ("linear", "")
    assert not axes.collections  # no band without averages


def test_a_long_series_is_drawn_by_means_and_ranges():
    axes, _ = drawn(np.arange(800.0))
    [line], [band] = axes.lines, axes.collections
    np.testing.assert_array_equal(line.get_ydata()[:2], [4.5, 14.5])
    np.testing.assert_array_equal(line.get_xdata()[:2], [5.5, 15.5])
    [path] = band.get_paths()
    assert (path.vertices[:, 1].min(), path.vertices[:, 1].max()) == (0, 799)


def test_a_chart_over_orders_of_magnitude_is_logarithmic():
    axes, note = drawn([0.01, 1.0, 100.0])
    assert (axes.get_yscale(), note) == ("log", "logarithmic")
    assert drawn([-0.01, 1.0, 100.0])[1] == ""


def test_extreme_values_are_drawn():
    assert curve([None, 1e300]) is None
    axes, note = drawn([*range(-500, 500), 10**6])
    assert "of 1001 values lie outside" in note
    assert axes.collections
    assert axes.get_ylim()[1] < 10**6
    for y in ([3.0], [2.0] * 9, [0.0] * 9, [1e-30, -1e-30], [5e-324], [9e99, -9e99]):
        made = line_charts.chart("y", "step", [curve(y)])
        svg = base64.b64decode(made.uri.partition("base64,")[2]).decode()
        assert "nan" not in svg
        assert made.legend == [("y", 0, line_charts.short(y[-1]))]


def test_only_numbers_of_a_line_are_read(tmp_path):
    run = write(tmp_path / "run")
    line = '{"step": 99, "a": "x", "b": true, "c": NaN, "d": 1%s, "e": 2, "f": null}'
    with (run / "metrics.jsonl").open("a") as file:
        file.write(line % ("0" * 400) + "\n")
    assert run_files.read(run).records[-1] == {"step": 99, "e": 2, "f": None}
