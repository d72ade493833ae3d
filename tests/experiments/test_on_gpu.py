"""The same on a GPU as on a CPU, to what float32 allows: ./launch.sh test --gpu.

Matrix products in full float32, since a GPU's default is TF32, of ten bits.
"""

import jax
import numpy as np
import PIL.Image
import pytest
from command_line import KINDS, SHRUNK, shrunk, succeed
from test_runs import check_same_run
from test_same_numbers import batch_of, differing, first_state, game_of

from gen_jax import devices, load
from gen_jax.step import make_train_step

STEPS = 3
FULL = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}
# XLA's kernels add in any order otherwise.
REPEATABLE = {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="no GPU that JAX sees"),
]


def trained_on(platform: str, name: str):
    """The parameters after a few steps under SGD, and every step's metrics."""
    mesh = devices.data_mesh(jax.devices(platform)[:1])
    with jax.default_matmul_precision("highest"), devices.implementation(platform):
        state = jax.device_put(first_state(name, "sgd"), devices.everywhere(mesh))
        step = make_train_step(
            game_of(name), mesh=mesh, donate=False, compiler_options={}
        )
        history = []
        for number in range(STEPS):
            state, metrics = step(state, batch_of(number, name), jax.random.key(0))
            history.append(jax.device_get(metrics))
    return jax.device_get({n: p.params for n, p in state.players.items()}), history


@pytest.mark.parametrize("name", SHRUNK)
def test_steps_are_those_of_the_cpu(name):
    params, history = trained_on("gpu", name)
    expected, expected_history = trained_on("cpu", name)
    for mine, others in zip(history, expected_history, strict=True):
        assert mine.keys() == others.keys()
        for key in mine:
            np.testing.assert_allclose(
                mine[key], others[key], rtol=1e-4, atol=1e-4, err_msg=key
            )
    assert differing(params, expected, 1e-4) == []
    start = {n: p.params for n, p in first_state(name).players.items()}
    assert differing(params, jax.device_get(start), 1e-4)  # it has moved


@pytest.mark.parametrize("name", KINDS)
def test_ten_steps_are_five_a_restart_and_five(name, tmp_path):
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    arguments = shrunk(name, 10, sample_every_steps=10)
    succeed("train", *arguments, f"--workdir={straight}", env=REPEATABLE)
    arguments = shrunk(name, 5, sample_every_steps=10)
    succeed("train", *arguments, f"--workdir={halves}", env=REPEATABLE)
    succeed("train", f"--workdir={halves}", "--steps=10", env=REPEATABLE)
    check_same_run(halves, straight)


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_of_the_gpu_is_read_drawn_and_measured(name, tmp_path):
    """Its samples on a CPU are within two of 255 levels of those on the GPU."""
    run = tmp_path / "run"
    succeed("train", *shrunk(name, 10), f"--workdir={run}")
    drawn = []
    for platform in ("cuda", "cpu"):
        picture = tmp_path / f"{platform}.png"
        flags = f"--workdir={run}", f"--out={picture}", "--num=16"
        succeed("sample", *flags, env={**FULL, "JAX_PLATFORMS": platform})
        drawn.append(np.asarray(PIL.Image.open(picture), np.int32))
    assert np.abs(drawn[0] - drawn[1]).max() <= 2
    assert drawn[0].std() > 0
    succeed("evaluate", f"--workdir={run}", "--samples=200", "--features=pixels")
    assert (run / "evaluation.json").exists()
    assert load(run).step == 10
