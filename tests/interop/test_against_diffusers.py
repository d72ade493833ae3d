"""Network and samplers compared with diffusers' own, with the same weights and noise.

What diffusers gave is stored (`tests/vectors`); where it is installed, it is asked
again.
"""

import json
import types
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vectors import torch_layout

from gen_jax import devices
from gen_jax.diffusion import samplers, schedules
from gen_jax.diffusion.predictions import make_prediction
from gen_jax.interop.diffusers import network_of, params_of, process_of, read

STORED = Path(torch_layout.__file__).with_name("ddpm.npz")
NOT_HERE = "pip install torch==2.13.0 diffusers==0.42.1 repeats the comparison"


def stored():
    """Return the stored outputs of diffusers."""
    with np.load(STORED) as arrays:
        return dict(arrays)


def make_ddpm():
    """The script, which needs PyTorch and diffusers."""
    pytest.importorskip("torch", reason=NOT_HERE)
    pytest.importorskip("diffusers", reason=NOT_HERE)
    from vectors import make_ddpm

    return make_ddpm


def repeated():
    """Return the outputs of the installed diffusers."""
    script = make_ddpm()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers meets NumPy's deprecations
        return script.vectors()


@pytest.fixture(scope="module", params=[stored, repeated])
def vectors(request):
    return request.param()


def assert_close(ours, theirs):
    """To 1e-4, of numbers that are much larger."""
    assert np.std(theirs) > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


def test_the_unet(vectors):
    """Their times 0, 1, 10, 499, 999 are our 1, 2, 11, 500, 1000."""
    network, shape = network_of(json.loads(str(vectors["unet_config"])))
    layout = torch_layout.read_layout(vectors["unet_layout"])
    weights = torch_layout.draw(layout, int(vectors["seed"]))
    params = params_of(network, shape, weights)
    x, t = vectors["x"], jnp.asarray(vectors["t"], jnp.int32)
    apply = devices.jit(network.apply)
    assert_close(apply({"params": params}, x, t + 1), vectors["unet"])
    # It matters: a step later is another picture, by far.
    late = apply({"params": params}, x, t + 2)
    assert np.abs(late - vectors["unet"]).max() > 0.1


CHAINS = [json.loads(str(line)) for line in stored()["chains"]]


def name(chain):
    values = {**chain["config"], **chain["options"], "steps": chain["steps"]}.values()
    return "-".join([chain["scheduler"].removesuffix("Scheduler"), *map(str, values)])


@pytest.mark.parametrize("number", range(len(CHAINS)), ids=map(name, CHAINS))
def test_a_chain(vectors, number, monkeypatch):
    """Every x_t on the way is theirs, given their network's outputs and their noise."""
    chain = CHAINS[number]
    process = process_of(chain["config"])
    schedule = schedules.make_schedule(process.betas)
    if process.schedule == "cosine":  # theirs begin at T, whatever is left there
        monkeypatch.setattr(schedules, "_MIN_LOG_RATIO", -np.inf)
    assert schedules.last_sampling_step(schedule) == schedule.T
    x, out = vectors[f"chain_{number}_x"], vectors[f"chain_{number}_out"]
    down = schedules.sampling_timesteps(schedule, chain["steps"])[:0:-1]
    place = {int(t): step for step, t in enumerate(down)}
    prediction = make_prediction(process.prediction, schedule)
    seen = []

    def denoise(x_t, t, before):
        seen.append(x_t)
        now, v = jnp.asarray(out[place[int(t[0])]]), None
        if process.variance == "learned_range":
            now, v = jnp.split(now, 2, axis=-1)
            v = (v + 1) / 2
        return samplers.Denoised(prediction.x_0(now, x_t, t), v)

    theirs = types.SimpleNamespace(
        fold_in=lambda keys, t: int(t),
        normal=lambda t, shape: jnp.asarray(vectors["noise"][place[t]]),
    )
    monkeypatch.setattr(samplers, "randomness", theirs)
    sample, options = sampler(chain, process)
    with jax.disable_jit():  # the loop is one of Python's, and can be watched
        seen.append(sample(denoise, schedule, jnp.asarray(x[0]), None, **options))
    assert len(seen) == len(x)
    end = len(x)
    if process.variance != "fixed_small" and chain["steps"] < schedule.T:
        # Theirs puts noise on the last image too unless it comes from their t = 0.
        end -= chain["scheduler"] == "DDPMScheduler"
    assert_close(np.stack(seen[:end]), x[:end])


def sampler(chain, process):
    """Ours for a scheduler of theirs, and its options."""
    options = {"steps": chain["steps"], "clip": process.clip, **chain["options"]}
    if chain["scheduler"] == "DDPMScheduler":
        return samplers.ancestral, options | {"variance": process.variance}
    if chain["scheduler"] == "DDIMScheduler":
        return samplers.ddim, options
    return samplers.dpm_solver, options | {"clip": False}  # theirs never clips


def test_the_stored_values_equal_the_scripts():
    torch_layout.check_same(stored(), repeated())


@pytest.mark.slow
def test_the_cifar10_form(tmp_path):
    """All 35.7 million parameters, as diffusers draws and saves them."""
    script = make_ddpm()
    x = np.random.RandomState(0).standard_normal((5, 32, 32, 3)).astype(np.float32)
    t = np.array(script.TIMES)
    theirs, net = script.unet_outputs(script.CIFAR10, x, t)
    net.save_pretrained(tmp_path / "unet")
    scheduler = script.diffusers.DDPMScheduler(variance_type="fixed_large")
    scheduler.save_pretrained(tmp_path / "scheduler")
    model = read(tmp_path)
    assert model.process[2:] == ("eps", "fixed_large", True)
    params = model.params
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 35_746_307
    apply = devices.jit(model.network.apply)
    assert_close(apply({"params": params}, x, t.astype(np.int32) + 1), theirs)
