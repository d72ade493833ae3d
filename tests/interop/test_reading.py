"""Published folders: what they hold, and every way in which they may be wrong."""

import json
import os
import shutil
import sys
import time

import jax
import numpy as np
import pytest
from diffusers_files import CONFIG, SCHEDULER, tensors, write

from gen_jax.errors import UserError
from gen_jax.interop import diffusers
from gen_jax.interop.diffusers import network_of, params_of, process_of

WEIGHTS = "diffusion_pytorch_model.safetensors"


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    assert (a.network, a.shape) == (b.network, b.shape)


def test_a_pipelines_folder(tmp_path):
    model = diffusers.read(write(tmp_path / "ddpm"))
    assert model.shape == (4, 4, 1)
    network = model.network
    assert (
        network.base_channels,
        network.channel_multipliers,
        network.blocks_per_level,
    ) == (4, (1, 2), 1)
    assert (network.attention_resolutions, network.groups) == ((2,), 1)
    assert model.process.betas.shape == (1000,)
    np.testing.assert_allclose(model.process.betas[[0, -1]], [1e-4, 0.02])
    assert model.process[2:] == ("eps", "fixed_large", True)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(model.params)} == {"float32"}


def test_the_models_folder_or_all_in_one(tmp_path):
    folder = write(tmp_path / "ddpm")
    whole = diffusers.read(folder)
    assert_same(diffusers.read(folder / "unet"), whole)  # its scheduler is next to it
    assert diffusers.read(folder / "unet").process.variance == "fixed_large"
    flat = tmp_path / "flat"
    shutil.copytree(folder / "unet", flat)
    assert diffusers.read(flat).process is None
    shutil.copy(folder / "scheduler" / "scheduler_config.json", flat)
    assert_same(diffusers.read(flat), whole)
    assert diffusers.read(flat).process.variance == "fixed_large"


def test_names_of_older_diffusers_are_read(tmp_path):
    """Attention's layers had other names up to 2023, and some files still have."""
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for name, tensor in tensors().items():
        for new, before in names.items():
            name = name.replace(f".{new}.", f".{before}.")
        old[name] = tensor
    assert any("proj_attn" in name for name in old)
    assert_same(
        diffusers.read(write(tmp_path / "old", old)),
        diffusers.read(write(tmp_path / "new")),
    )


def test_half_precision_is_read_as_float32(tmp_path):
    half = {name: tensor.astype(np.float16) for name, tensor in tensors().items()}
    model = diffusers.read(write(tmp_path / "half", half))
    exact = diffusers.read(write(tmp_path / "exact"))
    for a, b in zip(*map(jax.tree.leaves, (model.params, exact.params)), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("_class_name", "UNet2DConditionModel", "UNet2DModel"),
        ("_class_name", ["UNet2DModel"], "UNet2DModel"),
        ("act_fn", "gelu", "silu"),
        ("add_attention", False, "true"),
        ("attention_head_dim", 4, "null, for one head"),
        ("attn_norm_num_groups", 2, "null or 1"),
        ("block_out_channels", [8, 12], "its multiples"),
        ("block_out_channels", [], "a list of whole numbers"),
        ("block_out_channels", 8, "a list of whole numbers"),
        ("center_input_sample", True, "false"),
        ("class_embed_type", "timestep", "null"),
        ("down_block_types", ["DownBlock2D", "SkipDownBlock2D"], "AttnDownBlock2D"),
        ("down_block_types", ["DownBlock2D"], "2 of DownBlock2D"),
        ("downsample_padding", 1, "0"),
        ("downsample_type", "resnet", "conv"),
        ("dropout", 1.5, "from 0 to below 1"),
        ("flip_sin_to_cos", True, "false"),
        ("freq_shift", 0, "1"),
        ("in_channels", "three", "a whole number"),
        ("layers_per_block", 0, "a whole number from 1 to 1,000,000"),
        ("mid_block_scale_factor", 2, "1"),
        ("mid_block_type", None, "UNetMidBlock2D"),
        ("norm_eps", 1e-5, "1e-06"),
        ("norm_num_groups", 2, "four or more"),
        ("norm_num_groups", None, "a whole number"),
        ("num_class_embeds", 10, "null"),
        ("resnet_time_scale_shift", "scale_shift", "default"),
        ("sample_size", None, "a whole number"),
        ("sample_size", [4, 4, 4], "height and width"),
        ("sample_size", [4, True], "a list of whole numbers"),
        ("time_embedding_dim", 8, "null or 16"),
        ("time_embedding_type", "fourier", "positional"),
        ("up_block_types", ["UpBlock2D", "AttnUpBlock2D"], "at the levels of"),
        ("upsample_type", "resnet", "conv"),
        ("a_field_of_tomorrow", 1, "is not a known field"),
    ],
)
def test_an_unsupported_network_is_refused(field, value, allowed):
    with pytest.raises(UserError) as error:
        network_of({**CONFIG, field: value})
    assert str(error.value).startswith(field)
    assert allowed in str(error.value)


@pytest.mark.parametrize("field", ["flip_sin_to_cos", "freq_shift", "norm_eps"])
def test_a_missing_field_has_diffusers_default(field):
    config = {name: value for name, value in CONFIG.items() if name != field}
    with pytest.raises(UserError, match=field):
        network_of(config)


def test_sides_may_differ_and_have_to_halve():
    network, shape = network_of({**CONFIG, "sample_size": [4, 6]})
    assert shape == (4, 6, 1)
    assert params_of(network, shape, tensors())
    with pytest.raises(UserError, match="multiples of 2"):
        params_of(network, (5, 5, 1), tensors())


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("_class_name", "PNDMScheduler", "DDPMScheduler, DDIMScheduler"),
        ("beta_schedule", "sigmoid", "linear, squaredcos_cap_v2"),
        ("beta_schedule", ["linear"], "linear, squaredcos_cap_v2"),
        ("variance_type", {}, "fixed_large, learned_range"),
        ("beta_end", 2, "below 1"),
        ("clip_sample_range", 2.0, "1"),
        ("num_train_timesteps", 0, "a whole number"),
        ("prediction_type", "flow", "epsilon, sample, v_prediction"),
        ("rescale_betas_zero_snr", True, "false"),
        ("thresholding", True, "false"),
        ("trained_betas", [0.1, 0.2], "null"),
        ("variance_type", "fixed_large_log", "fixed_large, learned_range"),
    ],
)
def test_an_unsupported_schedule_is_refused(field, value, allowed):
    with pytest.raises(UserError) as error:
        process_of({**SCHEDULER, field: value})
    assert str(error.value).startswith(field)
    assert allowed in str(error.value)


def test_betas_are_as_they_are_stated():
    """A schedule of 20 times would be steeper if it were ours."""
    few = process_of({**SCHEDULER, "num_train_timesteps": 20, "beta_end": 0.05})
    np.testing.assert_array_equal(few.betas, np.linspace(1e-4, 0.05, 20))


NAME = "mid_block.attentions.0.to_q.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.pop(NAME), f"{NAME} is missing"),
        (lambda w: w.update({"class_embedding.weight": w[NAME]}), "is not expected"),
        (lambda w: w.update({NAME: w[NAME][:4]}), r"to_q.weight has shape \[4, 8\]"),
        (lambda w: w.update({NAME: w[NAME] * np.nan}), f"{NAME} is not finite"),
    ],
)
def test_an_invalid_tensor_is_named(change, says):
    weights = tensors()
    change(weights)
    network, shape = network_of(CONFIG)
    with pytest.raises(UserError, match=says):
        params_of(network, shape, weights)


def test_a_learned_variance_needs_twice_the_channels(tmp_path):
    learned = SCHEDULER | {"variance_type": "learned_range"}
    with pytest.raises(UserError, match=r"out_channels=1: .* needs 2"):
        diffusers.read(write(tmp_path / "one", scheduler=learned))
    two = write(tmp_path / "two", scheduler=learned, out_channels=2)
    assert diffusers.read(two).network.out_channels == 2


def test_a_pickle_is_refused(tmp_path):
    folder = write(tmp_path / "ddpm")
    model = folder / "unet"
    (model / WEIGHTS).rename(model / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match=r"is a pickle.*save_pretrained"):
        diffusers.read(folder)


def test_files_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        diffusers.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config.json: there is no such file"):
        diffusers.read(tmp_path)
    model = write(tmp_path / "ddpm") / "unet"
    (model / WEIGHTS).write_bytes((model / WEIGHTS).read_bytes()[:500])
    with pytest.raises(UserError, match=f"{WEIGHTS} cannot be read"):
        diffusers.read(model)
    (model / WEIGHTS).unlink()
    with pytest.raises(UserError, match=f"{WEIGHTS}: there is no such file"):
        diffusers.read(model)
    (model / "config.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        diffusers.read(model)
    (model / "config.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="has no fields"):
        diffusers.read(model)


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match=r"pip install .*interop"):
        diffusers.read(write(tmp_path / "ddpm"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"layers_per_block": 1_000_000}, "of 4,000,004 blocks, with at least"),
        ({"layers_per_block": 10**9}, "layers_per_block=1000000000; allowed"),
        ({"layers_per_block": 1e6}, "layers_per_block"),
        ({"sample_size": 10**6}, "at most 4096 pixels"),
        ({"sample_size": [4, 100_000]}, "at most 4096 pixels"),
        ({"in_channels": 10**6}, "has shape|out_channels"),
        ({"out_channels": 10**6}, "has shape|out_channels"),
        ({"block_out_channels": [2**16, 2**17]}, "has shape"),
        (
            {
                "block_out_channels": [4] * 20_000,
                "down_block_types": ["DownBlock2D"] * 20_000,
                "up_block_types": ["UpBlock2D"] * 20_000,
            },
            "halved 19999 times",
        ),
    ],
)
def test_giant_sizes_are_refused_at_once(tmp_path, fields, says):
    folder = write(tmp_path / "ddpm", tensors())
    (folder / "unet" / "config.json").write_text(json.dumps({**CONFIG, **fields}))
    began = time.process_time()
    with pytest.raises(UserError, match=says) as error:
        diffusers.read(folder)
    assert time.process_time() - began < 5
    assert len(str(error.value)) < 500


def test_a_giant_schedule_and_giant_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="num_train_timesteps=10000000000"):
        process_of({**SCHEDULER, "num_train_timesteps": 10**10})
    model = write(tmp_path / "ddpm") / "unet"
    with (model / "config.json").open("ab") as file:
        file.truncate(2**31)  # sparse
    with pytest.raises(UserError, match="too many for a configuration"):
        diffusers.read(model)
    (model / "config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="is not JSON"):
        diffusers.read(model)
    (model / "config.json").unlink()
    os.mkfifo(model / "config.json")  # reading it would never end
    with pytest.raises(UserError, match="there is no such file"):
        diffusers.read(model)


def test_tensors_are_checked_before_one_is_read(tmp_path, monkeypatch):
    """The header promises a tensor of 4 GiB, which lies in a sparse file."""
    model = write(tmp_path / "ddpm") / "unet"
    named, place = {}, 0
    for name, tensor in tensors().items():
        shape = [2**30] if name == "conv_in.bias" else list(tensor.shape)
        size = 4 * int(np.prod(shape))
        offsets = [place, place := place + size]
        named[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    header = json.dumps(named).encode()
    with (model / WEIGHTS).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + place)
    with pytest.raises(UserError, match=r"conv_in.bias has shape \[1073741824\]"):
        diffusers.read(model)
