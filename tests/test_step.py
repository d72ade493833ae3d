"""The train step: who moves when, on what, with which keys; jit and pmap alike."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from games import bilinear_game, critic_game, mean_game, scalar_player
from jax.sharding import PartitionSpec

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.game import Game, Player, Turn, Weights, init_state
from gen_jax.optimizers import adam, ema_decay
from gen_jax.step import make_train_step, train_step

RNG = jax.random.key(7)
BATCH = {"x": jnp.linspace(-1.0, 2.0, 24, dtype=jnp.float32)}


def start(game, batch=BATCH):
    return init_state(game, jax.random.key(0), batch)


def play(game, steps, **options):
    """The state and metrics after `steps` plain steps."""
    state = start(game)
    for _ in range(steps):
        state, metrics = train_step(state, BATCH, RNG, game=game, **options)
    return state, metrics


def w(state, name="model"):
    return float(state.players[name].params["w"])


def test_alternating_turns_see_earlier_moves():
    a, b = 1.0, 1.0
    for _ in range(5):
        a = a - 0.1 * b
        b = b + 0.1 * a
    state, _ = play(bilinear_game((("a",), ("b",))), 5)
    np.testing.assert_allclose([w(state, "a"), w(state, "b")], [a, b], rtol=1e-6)


def test_a_joint_turn_moves_simultaneously():
    a, b = 1.0, 1.0
    for _ in range(5):
        a, b = a - 0.1 * b, b + 0.1 * a
    state, metrics = play(bilinear_game((("a", "b"),)), 5)
    np.testing.assert_allclose([w(state, "a"), w(state, "b")], [a, b], rtol=1e-6)
    assert set(metrics) == {"a/loss", "a/grad_norm", "b/loss", "b/grad_norm"}


def test_five_critic_turns_on_fresh_parts():
    x = np.asarray(BATCH["x"])
    critic = 1.0
    for part in range(5):
        critic -= 0.1 * (critic - x[part::6].mean())
    generator = 1.0 - 0.1 * (1.0 - critic)
    state, metrics = play(critic_game(5), 1)
    np.testing.assert_allclose(w(state, "critic"), critic, rtol=1e-5)
    np.testing.assert_allclose(w(state, "generator"), generator, rtol=1e-5)
    assert int(state.players["critic"].updates) == 5
    assert int(state.players["generator"].updates) == 1
    seen = np.mean([x[part::6].sum() for part in range(5)])
    np.testing.assert_allclose(metrics["critic/seen"], seen, rtol=1e-5)
    np.testing.assert_allclose(metrics["generator/seen"], x[5::6].sum(), rtol=1e-5)


def test_a_frozen_teacher_stays():
    def loss(players, batch, context):
        gap = players["student"].params["w"] - players["teacher"].params["w"]
        return gap**2, ({}, {})

    teacher = Player(lambda rng, batch: Weights({"w": jnp.float32(3)}), loss=None)
    game = Game({"student": scalar_player(loss), "teacher": teacher}, (("student",),))
    state, _ = play(game, 40)
    assert w(state, "teacher") == 3
    assert state.players["teacher"].opt == ()
    np.testing.assert_allclose(w(state, "student"), 3, atol=1e-3)


def test_a_player_may_chase_its_own_average():
    def loss(players, batch, context):
        mine = players["model"]
        gap = mine.params["w"] - mine.ema[0].params["w"] - 1.0
        return gap**2 / 2, ({}, {})

    game = Game(
        {"model": scalar_player(loss, ema_halflife_images=(1e-6,))}, (("model",),)
    )
    state, _ = play(game, 3)  # the average is the last w, so the gradient is -1
    np.testing.assert_allclose(w(state), 1.3, rtol=1e-6)


def test_metrics_report_the_gradient_before_clipping():
    def loss(players, batch, context):
        return 30.0 * players["model"].params["w"], ({}, {})

    player = scalar_player(loss)._replace(optimizer=adam(0.1, clip_norm=1.0))
    sgd = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1))
    game = Game({"model": player._replace(optimizer=sgd)}, (("model",),))
    state, metrics = play(game, 1)
    np.testing.assert_allclose(metrics["model/grad_norm"], 30, rtol=1e-6)
    np.testing.assert_allclose(w(state), 0.9, rtol=1e-6)
    state, _ = play(Game({"model": player}, (("model",),)), 1)
    np.testing.assert_allclose(w(state), 0.9, rtol=1e-5)  # Adam's first step: its rate


def test_warmup_rises_from_zero():
    game = mean_game()
    warm = adam(0.1, warmup_steps=10)
    player = game.players["model"]._replace(optimizer=warm)
    game = Game({"model": player}, game.turns)
    state, _ = play(game, 1)
    assert w(state) == 1.0
    state, _ = play(game, 2)
    np.testing.assert_allclose(w(state), 1 - 0.01, rtol=1e-4)


def test_ema_in_images_with_warmup():
    halflife, path, average = 100.0, 1.0, None
    mean = float(BATCH["x"].mean())
    for update in range(20):
        path -= 0.1 * (path - mean)
        effective = min(halflife, update * 24 / 20)
        decay = 2 ** (-24 / effective) if effective else 0.0
        average = path if average is None else decay * average + (1 - decay) * path
    state, _ = play(mean_game(ema_halflife_images=(halflife,)), 20)
    ema = state.players["model"].ema[0].params["w"]
    np.testing.assert_allclose(ema, average, rtol=1e-5)


def test_an_average_halves_the_gap_in_a_halflife():
    decays = [ema_decay(1000.0, batch, jnp.int32(10**6)) for batch in (10, 500)]
    np.testing.assert_allclose(decays[0] ** 100, 0.5, rtol=1e-4)
    np.testing.assert_allclose(decays[1] ** 2, 0.5, rtol=1e-4)


def counting_game() -> Game:
    """Mutable state: the mean that it saw last (floating), and a count (integer)."""

    def init(rng, batch):
        return Weights(
            {"w": jnp.float32(1)}, {"mean": jnp.float32(0), "n": jnp.int32(0)}
        )

    def loss(players, batch, context):
        mine = players["model"]
        mean = jnp.mean(context.gather(batch["x"]))
        mutable = {"mean": mean, "n": mine.mutable["n"] + context.batch_size}
        return mine.params["w"] * mean, (mutable, {})

    player = scalar_player(loss, ema_halflife_images=(1e9,))._replace(init=init)
    return Game({"model": player}, (("model",),))


def test_mutable_state_is_kept_and_averaged_along():
    state, _ = play(counting_game(), 2)
    mine = state.players["model"]
    mean = float(BATCH["x"].mean())
    np.testing.assert_allclose(mine.mutable["mean"], mean, rtol=1e-6)
    assert int(mine.mutable["n"]) == 48
    np.testing.assert_allclose(mine.ema[0].mutable["mean"], mean, rtol=1e-6)
    assert int(mine.ema[0].mutable["n"]) == 48


def test_accumulation_gives_the_whole_batchs_gradient():
    whole, metrics = play(mean_game(), 3)
    pieces, in_pieces = play(mean_game(), 3, microbatches=4)
    np.testing.assert_allclose(w(pieces), w(whole), rtol=1e-6)
    for name in ("model/loss", "model/grad_norm"):
        np.testing.assert_allclose(in_pieces[name], metrics[name], rtol=1e-6)


def test_accumulation_with_mutable_state_is_refused():
    with pytest.raises(ValueError, match="another model"):
        play(counting_game(), 1, microbatches=2)


def key_game(draws) -> Game:
    """Two players in two turns each, which note the keys that they were given."""

    def loss_of(name):
        def loss(players, batch, context):
            draws.append((name, *map(jax.random.key_data, context[1:3])))
            return players[name].params["w"], ({}, {})

        return loss

    players = {name: scalar_player(loss_of(name)) for name in ("a", "b")}
    return Game(players, (("a", "b"), ("a",)))


def test_every_example_turn_player_and_step_has_its_own_key():
    draws = []
    state, _ = train_step(start(game := key_game(draws)), BATCH, RNG, game=game)
    train_step(state, BATCH, RNG, game=game)
    own = np.concatenate([np.asarray(keys) for _, keys, _ in draws])
    assert len(np.unique(own, axis=0)) == len(own) == 6 * 24
    shared = [np.asarray(keys) for _, _, keys in draws]
    np.testing.assert_array_equal(shared[0], shared[1])
    np.testing.assert_array_equal(shared[0], shared[2])
    assert np.all(np.any(shared[0] != shared[3], axis=-1))


def noisy_game() -> Game:
    """Everything that could differ between devices: keys, parts, gathering, mutable."""

    def loss(players, batch, context):
        noise = jax.vmap(lambda key: jax.random.normal(key, (3,)))(context.keys)
        shared = jax.vmap(lambda key: jax.random.normal(key, (3,)))(context.shared_keys)
        error = (
            players["model"].params["w"][None] - batch["x"][:, None] - noise + shared
        )
        mean = jnp.mean(context.gather(batch["x"]))
        return jnp.mean(error**2), ({"mean": mean}, {"first": jnp.mean(noise)})

    def init(rng, batch):
        return Weights({"w": jax.random.normal(rng, (3,))}, {"mean": jnp.float32(0)})

    player = Player(init, loss, optax.sgd(0.1, momentum=0.9), (50.0,))
    return Game({"model": player}, (("model",), Turn(("model",), part=1)))


def run(steps=10, steps_per_call=1, **options):
    game = noisy_game()
    step = make_train_step(game, steps_per_call=steps_per_call, **options)
    state, history = start(game), []
    batch = BATCH
    if steps_per_call > 1:
        batch = jax.tree.map(lambda x: jnp.stack([x] * steps_per_call), BATCH)
    for _ in range(steps // steps_per_call):
        state, metrics = step(state, batch, RNG)
        history.append(jax.device_get(metrics))
    return jax.device_get(state), history


@pytest.mark.parametrize("backend", ["jit", "pmap"])
def test_four_devices_play_as_one(backend):
    one, history = run()
    four, histories = run(backend=backend, mesh=devices.data_mesh())
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
    jax.tree.map(close, (four, histories), (one, history))


@pytest.mark.parametrize(
    ("options", "shape", "says"),
    [
        (
            {"steps_per_call": 3},
            (24,),
            r"\[24\]: this step takes \[k, B, ...\] with k = 3",
        ),
        ({"steps_per_call": 3}, (5, 24), r"\[5, 24\]: .* with k = 3"),
        (
            {"over_seeds": True},
            (24,),
            r"\[24\]: this step takes \[S, B, ...\] with S = 2",
        ),
        (
            {"over_seeds": True, "steps_per_call": 3},
            (2, 3, 24),
            r"\[2, 3, 24\]: this step takes \[k, S, B, ...\] with k = 3 and S = 2",
        ),
    ],
)
def test_a_batch_without_its_leading_axes_is_refused(options, shape, says):
    rng = jax.random.split(RNG) if "over_seeds" in options else RNG
    step = make_train_step(noisy_game(), **options)
    with pytest.raises(UserError, match=says):
        step(start(noisy_game()), {"x": np.zeros(shape, np.float32)}, rng)


@pytest.mark.parametrize("mesh", [jax.devices, lambda: jax.make_mesh((1,), ("data",))])
def test_a_mesh_of_another_axis_is_refused(mesh):
    with pytest.raises(UserError, match=r"mesh is .*: give devices.data_mesh"):
        make_train_step(noisy_game(), mesh=mesh())


@pytest.mark.parametrize("backend", ["jit", "pmap"])
def test_five_steps_in_a_call_equal_five_calls(backend):
    mesh = devices.data_mesh(jax.devices()[:2])
    calls, history = run(backend=backend, mesh=mesh)
    scanned, histories = run(backend=backend, mesh=mesh, steps_per_call=5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    jax.tree.map(close, scanned, calls)
    losses = np.concatenate([metrics["model/loss"] for metrics in histories])
    close(losses, [metrics["model/loss"] for metrics in history])


def test_prepare_runs_on_the_device_with_keys_of_its_own():
    game = mean_game()

    def prepare(batch, keys):
        assert keys.shape == (24,)
        return {"x": batch["x"].astype(jnp.float32) / 2.0}

    step = make_train_step(game, prepare=prepare)
    raw = {"x": np.arange(24, dtype=np.uint8)}
    state, _ = step(start(game), raw, RNG)
    np.testing.assert_allclose(w(state), 1 - 0.1 * (1 - 23 / 4), rtol=1e-6)


def test_the_state_is_donated_unless_asked():
    game = mean_game()
    for donate in (True, False):
        state = start(game)
        make_train_step(game, donate=donate)(state, BATCH, RNG)
        assert state.players["model"].params["w"].is_deleted() == donate


@pytest.mark.parametrize("backend", ["jit", "pmap"])
def test_the_first_call_compiles_for_all(backend):
    traced = []

    def loss(players, batch, context):
        traced.append(context.batch_size)
        return jnp.mean((players["model"].params["w"] - batch["x"]) ** 2), ({}, {})

    game = Game({"model": scalar_player(loss)}, (("model",),))
    step = make_train_step(game, backend, devices.data_mesh())
    state, _ = step(start(game), BATCH, RNG)
    once = len(traced)
    for _ in range(2):
        state, _ = step(state, BATCH, RNG)
    assert len(traced) == once


def test_a_state_may_be_sharded():
    def loss(players, batch, context):
        return jnp.sum(players["model"].params["w"] ** 2), ({}, {})

    def init(rng, batch):
        return Weights({"w": jnp.ones((8, 2), jnp.float32)})

    game = Game({"model": scalar_player(loss)._replace(init=init)}, (("model",),))
    spec = jax.tree.map(lambda _: PartitionSpec(), start(game))
    spec.players["model"].params["w"] = PartitionSpec(devices.BATCH_AXIS)
    step = make_train_step(game, mesh=devices.data_mesh(), spec=spec)
    batch = {"x": BATCH["x"]}
    state, _ = step(start(game), batch, RNG)
    weights = state.players["model"].params["w"]
    assert weights.sharding.shard_shape(weights.shape) == (2, 2)
    np.testing.assert_allclose(weights, np.full((8, 2), 0.8), rtol=1e-6)


def test_seeds_train_at_once_under_vmap():
    game = noisy_game()
    seeds = jnp.arange(3)

    def train(seed):
        rng = jax.random.key(seed)
        state = init_state(game, rng, BATCH)
        for _ in range(3):
            state, _ = train_step(state, BATCH, rng, game=game)
        return state.players["model"].params["w"]

    together = jax.jit(jax.vmap(train))(seeds)
    alone = jnp.stack([jax.jit(train)(seed) for seed in seeds])
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_the_step_lowers_for_tpu():
    game = noisy_game()
    step = jax.jit(functools.partial(train_step, game=game))
    exported = jax.export.export(step, platforms=["tpu"])(start(game), BATCH, RNG)
    assert exported.platforms == ("tpu",)


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({"backend": "xmap"}, 24, "'xmap' is unknown: give 'jit' or 'pmap'"),
        ({"backend": "pmap", "spec": PartitionSpec()}, 24, "spec shards a state"),
        ({"mesh": 4}, 6, "a batch of 6 is not divisible by 8 = 4 devices x 2 parts"),
        ({"mesh": 4, "microbatches": 2}, 24, "24 is not divisible by 16 = "),
    ],
)
def test_a_batch_that_does_not_divide_is_refused(options, size, message):
    if "mesh" in options:
        options = {**options, "mesh": devices.data_mesh()}
    game = noisy_game()
    with pytest.raises(ValueError, match=message):
        make_train_step(game, **options)(start(game), {"x": jnp.zeros(size)}, RNG)
