"""The same seed gives the same run: jit on one device, jit or pmap on four, vmap.

The recipes are the experiments' own, shrunk; the images have 16 pixels a side, so that
both of the DCGAN's networks have BatchNorm.
"""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from command_line import KINDS, SHRUNK
from goldens import UNET

from gen_jax import config as configs
from gen_jax import devices, experiment
from gen_jax.data import Info
from gen_jax.game import Game, init_state
from gen_jax.runs import seeds
from gen_jax.step import make_train_step, train_step

STEPS, BATCH, SHAPE, CLASSES = 10, 16, (16, 16, 1), 10
# The DCGAN's rate is one at which no unit comes to lie on its ReLU's kink within these
# steps, where rounding chooses the gradient's side.
FIELDS = {"ddpm": {"network.dropout": 0.1}, "dcgan": {"learning_rate": 5e-4}}
WAYS = {"jit on 1": ("jit", 1), "jit on 4": ("jit", 4), "pmap on 4": ("pmap", 4)}

# Their true gradient is zero, so Adam, which divides by its size, moves them by the
# noise of rounding: a key's bias shifts all scores of a softmax alike.
ZERO_GRADIENT = {
    "dcgan": [],
    "vae": [],
    "ddpm": ["SelfAttention_0/k/bias", "SelfAttention_1/k/bias"],
}


def switched(adam, learning_rate=0.01) -> optax.GradientTransformation:
    """Adam, or SGD where the state says so: one compilation serves both."""

    def init(params):
        return adam.init(params), jnp.bool_(False)

    def update(grads, state, params):
        state, is_sgd = state
        updates, state = adam.update(grads, state, params)
        updates = jax.tree.map(
            lambda u, g: jnp.where(is_sgd, -learning_rate * g, u), updates, grads
        )
        return updates, (state, is_sgd)

    return optax.GradientTransformation(init, update)


@functools.cache
def game_of(name: str) -> Game:
    recipe = experiment.find(name)
    config = recipe.config
    fields = {**SHRUNK[name], **FIELDS.get(name, {})}
    if fields.get("network") == "mlp" and fields.get("data.spec") == "ring":
        fields = UNET  # the examples here are images, not points
    texts = [(field, str(value)) for field, value in fields.items()]
    config = configs.override_all(config, texts)
    info = Info(SHAPE, 0, SHAPE) if name == "pix2pix" else Info(SHAPE, CLASSES)
    game = recipe.build(config, info)
    players = {
        name: player._replace(optimizer=switched(player.optimizer))
        for name, player in game.players.items()
    }
    return Game(players, game.turns, game.ops)


def batch_of(step: int, name: str = ""):
    x = np.random.default_rng(step).uniform(-1, 1, (BATCH, *SHAPE)).astype(np.float32)
    y = np.arange(BATCH, dtype=np.int32) % CLASSES
    return {"x": x, "y": x if name == "pix2pix" else y}


@functools.cache
def first_state(name: str, optimizer: str = "adam"):
    state = init_state(game_of(name), jax.random.key(0), batch_of(0, name))
    players = {
        name: player._replace(opt=(player.opt[0], jnp.bool_(optimizer == "sgd")))
        for name, player in state.players.items()
    }
    return state._replace(players=players)


@functools.cache
def step_of(name: str, way: str):
    backend, count = WAYS[way]
    mesh = devices.data_mesh(jax.devices()[:count])
    return make_train_step(game_of(name), backend, mesh, donate=False)


@functools.cache
def trained(name: str, way: str, optimizer: str):
    """The parameters after ten steps, and every step's metrics, as numpy arrays."""
    state, history = first_state(name, optimizer), []
    for number in range(STEPS):
        state, metrics = step_of(name, way)(state, batch_of(number), jax.random.key(0))
        history.append(jax.device_get(metrics))
    return jax.device_get({n: p.params for n, p in state.players.items()}), history


def named(params) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree.flatten_with_path(params)
    return {jax.tree_util.keystr(k, simple=True, separator="/"): x for k, x in leaves}


def check_metrics(found, expected):
    for step, (mine, others) in enumerate(zip(found, expected, strict=True)):
        assert mine.keys() == others.keys()
        for key in mine:
            np.testing.assert_allclose(
                mine[key], others[key], rtol=1e-5, atol=1e-5, err_msg=f"{key} at {step}"
            )


def differing(found, expected, tolerance=1e-5) -> list[str]:
    found, expected = named(found), named(expected)
    return [
        key
        for key in found
        if not np.allclose(found[key], expected[key], tolerance, tolerance)
    ]


# The U-Net takes longest to compile: a minute for one device and four.
RARELY = pytest.param("ddpm", marks=pytest.mark.slow)


@pytest.mark.parametrize("way", ["jit on 4", "pmap on 4"])
@pytest.mark.parametrize("name", ["dcgan", "vae", RARELY])
class TestOnFourDevices:
    """Ten steps on four devices against ten on one."""

    def test_under_sgd_all_agrees(self, name, way):
        params, metrics = trained(name, way, "sgd")
        expected, expected_metrics = trained(name, "jit on 1", "sgd")
        check_metrics(metrics, expected_metrics)
        assert differing(params, expected) == []
        start = {n: p.params for n, p in first_state(name).players.items()}
        assert differing(params, start)  # it has moved

    def test_under_adam_all_with_a_gradient_agrees(self, name, way):
        params, metrics = trained(name, way, "adam")
        expected, expected_metrics = trained(name, "jit on 1", "adam")
        check_metrics(metrics, expected_metrics)
        apart = [key.partition("/params/")[2] for key in differing(params, expected)]
        assert set(apart) <= set(ZERO_GRADIENT[name])


@pytest.mark.parametrize("name", ["dcgan", "vae", RARELY])
def test_five_steps_in_a_call_are_five_calls(name):
    params, history = trained(name, "jit on 1", "sgd")
    step = make_train_step(game_of(name), steps_per_call=5, donate=False)
    state, found = first_state(name, "sgd"), []
    for first in (0, 5):
        five = [batch_of(number) for number in range(first, first + 5)]
        stacked = jax.tree.map(lambda *x: np.stack(x), *five)
        state, metrics = step(state, stacked, jax.random.key(0))
        found += [jax.tree.map(lambda x, i=i: x[i], metrics) for i in range(5)]
    check_metrics(found, history)
    assert differing({n: p.params for n, p in state.players.items()}, params) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_next_to_another_seed_a_seed_gives_the_same(name):
    params, history = trained(name, "jit on 1", "sgd")
    first = first_state(name, "sgd")
    other = init_state(game_of(name), jax.random.key(1), batch_of(0, name))
    state, keys = seeds.stack([other, first]), seeds.keys([1, 0])
    step = make_train_step(game_of(name), over_seeds=True, donate=False)
    found = []
    for number in range(STEPS):
        batch = seeds.stack([batch_of(100 + number), batch_of(number)])
        state, metrics = step(state, batch, keys)
        found.append(jax.tree.map(lambda x: x[1], metrics))
    check_metrics(found, history)
    state = seeds.split(state, 2)[1]
    assert differing({n: p.params for n, p in state.players.items()}, params) == []


@pytest.mark.parametrize("name", SHRUNK)
def test_a_step_lowers_for_a_tpu(name):
    game, batch, key = game_of(name), batch_of(0, name), jax.random.key(0)
    state = jax.eval_shape(functools.partial(init_state, game), key, batch)
    step = jax.jit(functools.partial(train_step, game=game))
    with devices.implementation("tpu"):
        exported = jax.export.export(step, platforms=["tpu"])(state, batch, key)
    assert exported.platforms == ("tpu",)
