"""Published folders of a tiny network, written by tests."""

import functools
import json
from pathlib import Path

import jax
import numpy as np
from flax import traverse_util
from safetensors.numpy import save_file

from gen_jax.interop import diffusers_unet

CONFIG = {
    "_class_name": "UNet2DModel",
    "attention_head_dim": None,
    "block_out_channels": [4, 8],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 1,
    "layers_per_block": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 1,
    "out_channels": 1,
    "sample_size": 4,
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "variance_type": "fixed_large",
}


def tensors(**config) -> dict[str, np.ndarray]:
    """Drawn from N(0, 0.1), in PyTorch's layout; config: other fields."""
    return dict(_tensors(json.dumps({**CONFIG, **config})))


@functools.cache
def _tensors(config: str) -> dict[str, np.ndarray]:
    network, shape = diffusers_unet.network_of(json.loads(config))
    x = np.zeros((1, *shape), np.float32)
    like = jax.eval_shape(network.init, jax.random.key(0), x, np.ones(1, np.int32))
    modules = diffusers_unet._their_modules(network, shape[0])
    rng, drawn = np.random.default_rng(0), {}
    for path, leaf in traverse_util.flatten_dict(like["params"]).items():
        name = modules["/".join(path[:-1])]
        size = leaf.shape[::-1] if leaf.ndim == 2 else leaf.shape
        if leaf.ndim == 4:
            size = (*leaf.shape[:1:-1], *leaf.shape[:2])
        if name.endswith("shortcut") and leaf.ndim == 2:
            size = (*size, 1, 1)
        kind = "bias" if path[-1] == "bias" else "weight"
        drawn[f"{name}.{kind}"] = rng.normal(0, 0.1, size).astype(np.float32)
    return drawn


def write(folder: Path, weights=None, scheduler=SCHEDULER, **config) -> Path:
    """A pipeline's folder; scheduler: None for none, config: other fields."""
    model = folder / "unet"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({**CONFIG, **config}))
    weights = tensors(**config) if weights is None else weights
    save_file(weights, model / "diffusion_pytorch_model.safetensors")
    if scheduler is not None:
        (folder / "scheduler").mkdir()
        text = json.dumps(scheduler)
        (folder / "scheduler" / "scheduler_config.json").write_text(text)
    return folder
