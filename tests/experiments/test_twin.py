"""The PyTorch twin of the VAE: the same bound of the same weights, and no PyTorch."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import ROOT, run, succeed

from gen_jax import experiment, randomness
from gen_jax.data import Info
from gen_jax.game import Weights, init_state

NO_TORCH = "PyTorch is not installed: pip install torch makes the comparison"
# Ours for each of PyTorch's layers.
LAYERS = {
    "encoder": ("encoder", "Dense_0"),
    "mean": ("encoder", "mean"),
    "log_var": ("encoder", "log_var"),
    "decoder": ("decoder", "Dense_0"),
    "logits": ("decoder", "Dense_1"),
}


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason=NO_TORCH)


def test_the_same_weights_and_noise_have_the_same_bound(torch):
    from experiments.studies.speed.torch_models import Vae

    recipe = experiment.find("vae")
    game = recipe.build(recipe.config, Info((4, 4, 1), 0))
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (6, 4, 4, 1)).astype(np.float32)
    state = init_state(game, jax.random.key(0), {"x": x})
    # Biases start at 0: two that are swapped would not show.
    params = jax.tree.map(
        lambda leaf: leaf + jnp.float32(rng.normal(0, 0.03, leaf.shape)),
        state.players["model"].params,
    )
    keys = jax.random.split(jax.random.key(1), len(x))
    ours = game.ops.bound({"model": Weights(params)}, x, keys)

    twin = Vae(16, *recipe.config.network.hidden, recipe.config.z_dim)
    weights = {}
    for theirs, (player, layer) in LAYERS.items():
        ported = params[player][layer]
        weights[f"{theirs}.weight"] = torch.tensor(np.asarray(ported["kernel"]).T)
        weights[f"{theirs}.bias"] = torch.tensor(np.asarray(ported["bias"]))
    twin.load_state_dict(weights)
    eps = randomness.normal(keys, (recipe.config.z_dim,))
    with torch.no_grad():
        theirs = twin(
            torch.tensor(x.reshape(6, 16)), torch.tensor(np.asarray(eps))[None]
        )
    assert np.ptp(ours) > 1
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=0)


def test_both_start_from_the_same_distributions(torch):
    from experiments.studies.speed.torch_models import Vae

    recipe = experiment.find("vae")
    game = recipe.build(recipe.config, Info((8, 8, 1), 0))
    x = np.zeros((2, 8, 8, 1), np.float32)
    ours = init_state(game, jax.random.key(0), {"x": x}).players["model"].params
    torch.manual_seed(0)
    theirs = Vae(64, *recipe.config.network.hidden, recipe.config.z_dim).state_dict()
    for name, (player, layer) in LAYERS.items():
        kernel, weight = ours[player][layer]["kernel"], theirs[f"{name}.weight"]
        assert weight.shape == kernel.T.shape
        assert float(weight.std()) == pytest.approx(float(kernel.std()), rel=0.03)
        largest = float(weight.abs().max())
        assert largest == pytest.approx(float(jnp.abs(kernel).max()), rel=0.03)
        assert not theirs[f"{name}.bias"].any()


def test_the_command_compares_them(torch):
    done = succeed("twin", "--steps=3", "--seeds=2", "--draws=2")
    whose = [line.split(" ")[:3] for line in done.stdout.splitlines()]
    assert whose[:2] == [["seed", "0:", "gen_jax"], ["seed", "0:", "PyTorch"]]
    assert len(whose) == 2 * 3 + 1
    assert whose[-1] == ["gen_jax", "-", "PyTorch:"]


def test_without_pytorch_one_line_says_what_to_install(tmp_path):
    missing = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    (tmp_path / "torch.py").write_text(missing)
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = run("twin", env={"PYTHONPATH": path})
    assert done.returncode == 2
    assert done.stderr == "error: the twin needs PyTorch: pip install torch\n"
    assert done.stdout == ""
