"""The README's code runs as it stands, and its train step is the train step."""

import inspect
import re
from pathlib import Path

import jax
import numpy as np

from experiments.studies import readme_table
from gen_jax import config as configs
from gen_jax import data, experiment, fit, load_params, step
from gen_jax.runs.run import make_meta

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(path: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)


def block(beginning: str) -> str:
    """The one Python block of the README that begins so."""
    (found,) = [x for x in blocks(ROOT / "README.md") if x.startswith(beginning)]
    return found


def test_the_train_step_is_the_one_that_runs():
    source = inspect.getsource(step.train_step)
    body = source[source.index('"""', source.index('"""') + 3) + 4 :]
    shown = block("def train_step")
    assert shown[shown.index("\n") + 1 :] == body


def test_a_strangers_game_of_two(tmp_path, monkeypatch):
    text = block("import flax.linen as nn")
    assert len(text.splitlines()) < 40
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(text, names)
    assert int(names["state"].step) == 1000
    keys = jax.random.split(jax.random.key(0), 500)
    x = np.asarray(names["sample"](names["state"].players, keys))
    train = data.load(data.DataConfig("digits")).train
    real = train.read(range(len(train)))["x"] / 127.5 - 1
    assert np.abs(x.mean(0) - real.mean(0)).mean() < 0.15  # untrained: 0.55
    assert 0.8 < x.std(0).mean() / real.std(0).mean() < 1.1


def test_the_page_on_a_game_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measured, distilled, registered = blocks(ROOT / "experiments/course/own_game.md")
    # Seconds instead of a minute: few steps, one figure, and features without training.
    game = block("import flax.linen as nn").replace("steps=1000", "steps=3")
    measured = measured.replace('/figures", ', '/figures", only=["learning"], ')
    measured = measured.replace("dataset, folder", "dataset, features='pixels', folder")
    names = {}
    for text in (game, measured, distilled, registered):
        exec(text, names)
    found = names["record"].measures["on_pixels"].values["frechet_distance"]
    assert found.low < found.value < found.high
    assert Path("runs/mine/report.html").exists()
    assert all(path.exists() for path in names["files"])
    student, own = (load_params(f"runs/{name}") for name in ("student", "mine"))
    kept, given = student["teacher"].params, own["generator"].params
    jax.tree.map(np.testing.assert_array_equal, kept, given)
    config = names["LSGAN"].config
    assert names["LSGAN"].build(config, data.Info((8, 8, 1), 0)) is names["game"]


def test_a_run_is_restored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = experiment.find("vae")
    fields = [("steps", "2"), ("network.hidden", "8")]
    config = configs.override_all(recipe.config, fields)
    digits = data.load(config.data)
    fit(
        recipe.build(config, digits.info),
        data.batches(digits.train, 8, seed=0),
        config,
        workdir="runs/vae",
        prepare=data.prepare(),
        meta=make_meta("vae", config, digits.info),
    )
    names = {}
    exec(block("import jax\nfrom gen_jax import averaged"), names)
    assert names["x"].shape == (16, 8, 8, 1)
    assert set(names["weights"]) == {"encoder", "decoder"}


def test_the_table_of_experiments_is_that_of_the_records():
    table = README.partition(readme_table.BEGIN)[2].partition(readme_table.END)[0]
    rows = readme_table.read(ROOT / "experiments" / "results" / "experiments.json")
    assert table == readme_table.markdown(rows)
    not_run = [
        n for n in experiment.names() if "not run here" in experiment.find(n).about
    ]
    assert {*rows} == {*experiment.names()} - {*not_run}


def test_a_recipe_says_the_number_of_its_row():
    rows = readme_table.read(ROOT / "experiments" / "results" / "experiments.json")
    for name, row in rows.items():
        recipe = ROOT / "experiments" / "recipes" / f"{name}.py"
        text = " ".join(recipe.read_text().partition('"""\n\n')[0].split())
        assert f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]" in text, name
        assert f"{row.seconds:.0f} s" in text, name
