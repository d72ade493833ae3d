"""What the recipes add to the games that they build."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiments.recipes import adversaries, gan
from gen_jax import train_step
from gen_jax.data import Info
from gen_jax.game import init_state

INFO = Info((4, 4, 1), 0)
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


def test_under_sgd_half_a_rate_of_the_discriminator_is_half_its_payoff():
    config = gan.Config(**SMALL, r1=0.0, optimizer="sgd_of_2014", learning_rate=0.1)
    whole = _moves(config)
    half = _moves(dataclasses.replace(config, discriminator_learning_rate=0.05))
    assert np.abs(whole["discriminator"]).max() > 1e-4
    np.testing.assert_allclose(
        half["discriminator"], whole["discriminator"] / 2, rtol=1e-3, atol=1e-8
    )


def test_no_half_life_is_no_average():
    config = gan.Config(**SMALL, ema_halflife_images=0.0)
    like = jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.float32)
    state = init_state(gan.build_game(config, INFO), jax.random.key(0), {"x": like})
    assert state.players["generator"].ema == ()
