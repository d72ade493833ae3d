"""A game of one's own is measured, drawn and reported from Python."""

import json

import jax.numpy as jnp
import pytest

from gen_jax import data, loop, report
from gen_jax.config import FitConfig
from gen_jax.data import DataConfig
from gen_jax.errors import UserError
from gen_jax.evaluation import evaluate
from gen_jax.evaluation.preset import QUICK
from gen_jax.figures import draw_game
from gen_jax.game import Game, Player, Weights
from gen_jax.ops import Ops
from gen_jax.optimizers import adam

FEW = QUICK._replace(samples=80, pairwise=80)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of one mean image, trained for two steps: (game, state, data, folder)."""

    def init(rng, batch):
        return Weights({"mean": jnp.zeros(batch["x"].shape[1:])})

    def loss(players, batch, context):
        residual = batch["x"] - players["model"].params["mean"][None]
        return jnp.mean(residual**2), ({}, {})

    def sample(players, keys):
        mean = players["model"].params["mean"]
        return jnp.broadcast_to(mean[None], (len(keys), *mean.shape))

    player = Player(init, loss, adam(0.1))
    game = Game({"model": player}, (("model",),), Ops(sample=sample))
    dataset = data.load(DataConfig("digits"))
    folder = tmp_path_factory.mktemp("own")
    batches = data.batches(dataset.train, 16, seed=0)
    config = FitConfig(steps=2, log_every_steps=1, sample_every_steps=2)
    prepare = data.prepare()
    state = loop.fit(game, batches, config, workdir=folder, prepare=prepare)
    return game, state, dataset, folder


def test_a_game_is_measured_without_a_folder(trained):
    game, state, dataset, _ = trained
    only = ["copies"]
    record = evaluate(game, state, dataset, preset=FEW, features=["pixels"], only=only)
    assert list(record.measures) == only
    assert record.measures["copies"].context["step"] == 2
    assert record.measures["copies"].context["weights"] == "raw"
    assert record.run["experiment"] == "a game of its own"
    with pytest.raises(UserError, match="Did you mean copies"):
        evaluate(game, state, dataset, features=["pixels"], only=["copeis"])


def test_a_game_is_measured_drawn_and_reported_in_its_folder(trained):
    game, state, dataset, folder = trained
    record = evaluate(
        game, state, dataset, folder=folder, preset=FEW, features=["pixels"]
    )
    assert list(record.measures) == ["on_pixels", "copies", "class_fractions"]
    values = record.measures["on_pixels"].values
    assert values["frechet_distance"].low > values["frechet_distance"].real_baseline
    pictures = record.measures["copies"].pictures
    assert pictures
    assert all((folder / "evaluation" / name).exists() for name in pictures)
    written = json.loads((folder / "evaluation.json").read_text())["measures"]
    assert list(written) == list(record.measures)
    paths = draw_game(game, state, dataset, folder / "figures", folder=folder)
    assert {path.name for path in paths} == {
        *("learning.gif", "diversity.png", "sharpness.png")
    }
    report.write([folder], folder / "report.html")
    page = (folder / "report.html").read_text()
    assert "frechet distance" in page
    assert "sharpness" in page
