"""The properties that recipes add to the games that they build."""

import dataclasses
import json
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.recipes import adversaries, denoisers, gan
from gen_jax import config as configs
from gen_jax import data, experiment, train_step
from gen_jax.config import within
from gen_jax.data import Info
from gen_jax.game import init_state
from gen_jax.losses import adversarial
from gen_jax.runs.run import make_meta

INFO = Info((4, 4, 1), 0)
IMAGES, POINTS = Info((8, 8, 1), 10), Info((2,), 8)
SMALL = {
    "generator": adversaries.MlpGenerator(hidden=(4,)),
    "discriminator": adversaries.MaxoutDiscriminator(hidden=(4,)),
}


def _moves(config: gan.Config) -> dict[str, np.ndarray]:
    """How far each player's first bias goes in the first step."""
    game = gan.build_game(config, INFO)
    x = jnp.linspace(-1, 1, 64, dtype=jnp.float32).reshape(4, 4, 4, 1)
    before = init_state(game, jax.random.key(0), {"x": x})
    after, _ = train_step(before, {"x": x}, jax.random.key(1), game=game)
    return {
        name: np.asarray(
            after.players[name].params["Dense_1"]["kernel"]
            - player.params["Dense_1"]["kernel"]
        )
        for name, player in before.players.items()
    }


def test_under_sgd_half_a_rate_of_the_discriminator_is_half_its_loss():
    config = gan.Config(**SMALL, r1=0.0, optimizer="sgd_of_2014", learning_rate=0.1)
    whole = _moves(config)
    half = _moves(dataclasses.replace(config, discriminator_learning_rate=0.05))
    assert np.abs(whole["discriminator"]).max() > 1e-4
    np.testing.assert_allclose(
        half["discriminator"], whole["discriminator"] / 2, rtol=1e-3, atol=1e-8
    )


@pytest.mark.parametrize(
    ("name", "info", "kinds"),
    [
        ("ddpm", IMAGES, {"network": "unet"}),
        ("ddpm", POINTS, {"network": "mlp"}),
        ("flow", POINTS, {"network": "mlp"}),
        ("ddpm_conditional", IMAGES, {"network": "unet"}),
        ("cgan", IMAGES, {"generator": "conv", "discriminator": "conv"}),
        ("cgan", POINTS, {"generator": "mlp", "discriminator": "maxout"}),
    ],
)
def test_auto_depends_on_the_data_and_is_saved_as_the_chosen_network(name, info, kinds):
    recipe = experiment.find(name)
    assert {configs.flat(recipe.config)[field] for field in kinds} == {"auto"}
    settled = experiment.settled(recipe.config, info)
    saved = json.loads(json.dumps(make_meta(name, settled, info)))
    assert {field: saved["config"][field]["kind"] for field in kinds} == kinds
    assert configs.from_dict(recipe.config, saved["config"]) == settled
    assert experiment.settled(settled, info) == settled
    assert configs.differences(settled, recipe.config) == list(kinds)


def test_a_network_is_one_entry_of_the_table(monkeypatch):
    class Module(nn.Module):
        width: int

        @nn.compact
        def __call__(self, x, t, y=None, keys=None):
            return nn.Dense(x.shape[-1])(nn.Dense(self.width, name="mine")(x))

    @dataclasses.dataclass(frozen=True)
    class Mine:
        width: int = within(1, None, default=4)

        def build(self, info, num_classes, out_channels):
            return Module(self.width)

    monkeypatch.setitem(denoisers.DENOISERS, "mine", Mine)
    texts = [("network.width", "7"), ("network", "mine")]
    for name in ("ddpm", "ddpm_conditional", "flow"):
        recipe = experiment.find(name)
        config = configs.override_all(recipe.config, texts)
        game, batch = recipe.build(config, IMAGES), {"x": np.zeros((2, 8, 8, 1), "f")}
        shapes = jax.eval_shape(partial(init_state, game), jax.random.key(0), batch)
        assert shapes.players["model"].params["mine"]["kernel"].shape == (1, 7)
        saved = json.loads(json.dumps(configs.to_dict(config)))
        assert configs.from_dict(recipe.config, saved) == config


def test_a_gan_loss_is_one_entry_of_the_table(monkeypatch):
    mine = adversarial.GAN_LOSSES["hinge"]
    monkeypatch.setitem(adversarial.GAN_LOSSES, "mine", mine)
    config = configs.override(gan.Config(), "gan_loss", "mine")
    assert gan.build_game(config, INFO).ops.score


@pytest.mark.parametrize(
    "name", ["ae", "cvae", "ddpm", "flow", "gan", "pix2pix", "vae"]
)
def test_a_half_life_of_0_means_no_average(name):
    recipe = experiment.find(name)
    config = configs.override(recipe.config, "ema_halflife_images", "0")
    game = recipe.build(config, data.describe(config.data))
    assert {player.ema_halflife_images for player in game.players.values()} == {()}


def test_an_empty_half_life_means_no_average():
    config = gan.Config(**SMALL, ema_halflife_images=0.0)
    like = jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.float32)
    state = init_state(gan.build_game(config, INFO), jax.random.key(0), {"x": like})
    assert state.players["generator"].ema == ()
