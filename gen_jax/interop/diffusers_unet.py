"""The conversion of diffusers' `UNet2DModel` to our U-Net: configuration and tensors.

diffusers counts times from 0, and we count from 1 as the paper does. So its network was
given t - 1 when ours is given t. The conversion absorbs that. sin and cos of (t - 1) w
are those of t w, rotated by w. The layer that reads them absorbs the rotation.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gen_jax.data.dataset import MAX_PIXELS
from gen_jax.errors import UserError, choose
from gen_jax.interop import json_fields
from gen_jax.models.ddpm_unet import UNet
from gen_jax.models.layers import time_embedding

Tensors = Mapping[str, np.ndarray]

_KIND = "UNet2DModel"
_IN_EACH_BLOCK = 10  # tensors: of two norms, two convolutions and a dense layer
# For each field: diffusers' default, and the values allowed here. `network_of` checks
# the fields with other rules.
_ONE_WAY = {
    "act_fn": ("silu", ("silu", "swish")),
    "add_attention": (True, (True,)),
    "center_input_sample": (False, (False,)),
    "class_embed_type": (None, (None,)),
    "downsample_padding": (1, (0,)),
    "downsample_type": ("conv", ("conv",)),
    "flip_sin_to_cos": (True, (False,)),
    "freq_shift": (0, (1,)),
    "mid_block_scale_factor": (1, (1,)),
    "mid_block_type": ("UNetMidBlock2D", ("UNetMidBlock2D",)),
    "norm_eps": (1e-5, (1e-6,)),
    "num_class_embeds": (None, (None,)),
    "resnet_time_scale_shift": ("default", ("default",)),
    "time_embedding_type": ("positional", ("positional",)),
    "upsample_type": ("conv", ("conv",)),
}
_DEFAULTS = {
    "attention_head_dim": 8,
    "attn_norm_num_groups": None,
    "block_out_channels": [224, 448, 672, 896],
    "down_block_types": ["DownBlock2D", *["AttnDownBlock2D"] * 3],
    "dropout": 0.0,
    "in_channels": 3,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "num_train_timesteps": None,  # only for a learned time embedding
    "out_channels": 3,
    "sample_size": None,
    "time_embedding_dim": None,
    "up_block_types": [*["AttnUpBlock2D"] * 3, "UpBlock2D"],
}


def network_of(config: json_fields.Config) -> tuple[UNet, tuple[int, int, int]]:
    """Return our network for a UNet2DModel's config.json, and its images' (H, W, C).

    Raises UserError if our network lacks a setting; it names the field and the allowed
    values.
    """
    choose("_class_name", config.get("_class_name", _KIND), {_KIND: None})
    for name in config:  # a field that is not known could mean anything
        if name not in {*_ONE_WAY, *_DEFAULTS} and not name.startswith("_"):
            raise UserError(
                f"{name} is not a known field: remove it if the model works without it"
            )
    json_fields.check_one_way(config, _ONE_WAY)
    config = {**_DEFAULTS, **config}
    channels = json_fields.wholes(config, "block_out_channels")
    features = channels[0]
    if features % 2 or any(c % features for c in channels):
        json_fields.refuse(
            config, "block_out_channels", "an even number and its multiples"
        )
    _check_groups(config, channels)
    attended = _levels_attended(config, len(channels))
    widths = {channels[level] for level in attended} | {channels[-1]}
    head = config["attention_head_dim"]
    if head is not None and widths != {head}:
        json_fields.refuse(config, "attention_head_dim", "null, for one head")
    if config["time_embedding_dim"] not in (None, 4 * features):
        json_fields.refuse(config, "time_embedding_dim", f"null or {4 * features}")
    height, width = _sides(config)
    if height >> (len(channels) - 1) < 1 or width >> (len(channels) - 1) < 1:
        json_fields.refuse(
            config, "sample_size", f"sides that can be halved {len(channels) - 1} times"
        )
    network = UNet(
        base_channels=features,
        channel_multipliers=tuple(c // features for c in channels),
        blocks_per_level=json_fields.whole(config, "layers_per_block"),
        attention_resolutions=tuple(height // 2**level for level in attended),
        dropout=json_fields.fraction(config, "dropout"),
        out_channels=json_fields.whole(config, "out_channels"),
        groups=config["norm_num_groups"],
    )
    return network, (height, width, json_fields.whole(config, "in_channels"))


def _sides(config: json_fields.Config) -> list[int]:
    """Return height and width; sample_size is one number, or two."""
    name = "sample_size"
    if isinstance(config[name], list):
        sides = json_fields.wholes(config, name)
    else:
        sides = [json_fields.whole(config, name)] * 2
    if len(sides) != 2 or max(sides) > MAX_PIXELS:
        allowed = f"a side, or height and width, of at most {MAX_PIXELS} pixels"
        json_fields.refuse(config, name, allowed)
    return sides


def _check_groups(config: json_fields.Config, channels: list[int]) -> None:
    """Check the groups of the norms; ours have at least four channels each."""
    groups = json_fields.whole(config, "norm_num_groups")
    if any(c % groups or c < 4 * groups for c in channels):
        allowed = (
            "a divisor of each of block_out_channels, with a quotient of four or more"
        )
        json_fields.refuse(config, "norm_num_groups", allowed)
    if config["attn_norm_num_groups"] not in (None, groups):
        json_fields.refuse(config, "attn_norm_num_groups", f"null or {groups}")


def _levels_attended(config: json_fields.Config, levels: int) -> list[int]:
    """Return the levels with attention, which must be the same up and down."""
    has_attention = {}
    for name, plain in (("down_block_types", "Down"), ("up_block_types", "Up")):
        kinds = {f"{plain}Block2D": False, f"Attn{plain}Block2D": True}
        types = config[name] if isinstance(config[name], list) else []
        if len(types) != levels or not set(types) <= set(kinds):
            json_fields.refuse(config, name, f"{levels} of {' and '.join(kinds)}")
        has_attention[plain] = [kinds[kind] for kind in types]
    if has_attention["Up"][::-1] != has_attention["Down"]:
        json_fields.refuse(
            config, "up_block_types", "attention at the levels of down_block_types"
        )
    return [level for level in range(levels) if has_attention["Down"][level]]


def check_sizes(
    network: UNet, shape: tuple[int, int, int], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check the names and shapes of tensors before one of them is read.

    shape: (H, W, C) of the images. shapes: those of the tensors, by diffusers' names.

    Takes little time and memory whatever the configuration says. Raises UserError as
    `params_of`.
    """
    levels = len(network.channel_multipliers)
    blocks = levels * (2 * network.blocks_per_level + 1) + 2
    if _IN_EACH_BLOCK * blocks > len(shapes):
        raise UserError(
            f"config.json describes a network of {blocks:,} blocks, with at least "
            f"{_IN_EACH_BLOCK * blocks:,} tensors, and the weights hold "
            f"{len(shapes):,}: use the config.json that belongs to these weights"
        )
    for _, name, theirs, ours in _matched(network, shape, shapes):
        _check_shape(name, theirs, ours)


def params_of(
    network: UNet, shape: tuple[int, int, int], tensors: Tensors
) -> dict[str, Any]:
    """Return the parameters of our network, float32, from a UNet2DModel's tensors.

    shape: (H, W, C) of the images.
    tensors: name -> array. Attention's names may be today's (to_q, ...) or those of
        before diffusers 0.18 (query, ...).

    Raises UserError if a tensor is missing, not expected, of another shape or not
    finite; it names the tensor.
    """
    params = {
        path: _ours(name, tensors[name], ours)
        for path, name, _, ours in _matched(
            network, shape, {name: x.shape for name, x in tensors.items()}
        )
    }
    params["Dense_0", "kernel"] = _for_times_from_1(params["Dense_0", "kernel"])
    return traverse_util.unflatten_dict(params)


def _matched(
    network: UNet, shape: tuple[int, int, int], shapes: Mapping[str, tuple[int, ...]]
) -> list[tuple[tuple[str, ...], str, tuple[int, ...], tuple[int, ...]]]:
    """Return (path, their name, their shape, our shape) of each of our parameters.

    Raises UserError if a tensor is missing or not expected.
    """
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    t = jax.ShapeDtypeStruct((1,), jnp.int32)
    expected = jax.eval_shape(network.init, jax.random.key(0), x, t)["params"]
    left = {_renamed(name): name for name in shapes}
    theirs, matched = _their_modules(network, shape[0]), []
    for path, leaf in traverse_util.flatten_dict(expected).items():
        kind = "bias" if path[-1] == "bias" else "weight"
        name = f"{theirs['/'.join(path[:-1])]}.{kind}"
        if name not in left:
            raise UserError(
                f"the tensor {name} is missing: download weights and config again"
            )
        name = left.pop(name)
        matched.append((path, name, shapes[name], leaf.shape))
    if left:
        raise UserError(
            f"the tensor {next(iter(left.values()))} is not expected: config.json "
            "describes another network"
        )
    return matched


def _renamed(name: str) -> str:
    """Return a tensor's name as it is in today's diffusers."""
    today = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    parts = name.split(".")
    if "attentions" in parts:
        parts = [today.get(part, part) for part in parts]
    return ".".join(parts)


def _ours(name: str, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a tensor in Flax's layout: rows, columns, inputs, outputs.

    The 1x1 convolution of a block's shortcut is a dense layer here. Raises UserError if
    the shape is not `shape` or a number is not finite.
    """
    _check_shape(name, tensor.shape, shape)
    ours = tensor.transpose(*_ours_order(tensor.ndim))
    if not np.isfinite(ours).all():
        raise UserError(f"the tensor {name} is not finite: download the weights again")
    return ours.reshape(shape)


def _ours_order(ndim: int) -> list[int]:
    """Return the order of a tensor's axes in Flax's layout."""
    return [*range(2, ndim), *range(ndim)[1::-1]]


def _check_shape(name: str, theirs: tuple[int, ...], ours: tuple[int, ...]) -> None:
    """Raise UserError if a tensor's shape is not that of our parameter `ours`."""
    turned = tuple(theirs[axis] for axis in _ours_order(len(theirs)))
    if turned not in (ours, (1, 1, *ours)):
        raise UserError(
            f"the tensor {name} has shape {list(theirs)}, in Flax's layout "
            f"{list(turned)}; config.json needs {list(ours)}: use the config.json that "
            "belongs to these weights"
        )


def _their_modules(network: UNet, height: int) -> dict[str, str]:
    """Return diffusers' name of each of our modules, numbered in call order."""
    levels, blocks = range(len(network.channel_multipliers)), network.blocks_per_level
    attends = [height // 2**level in network.attention_resolutions for level in levels]
    convs, resnets, attentions = ["conv_in"], [], []
    for i in levels:
        resnets += [f"down_blocks.{i}.resnets.{j}" for j in range(blocks)]
        if attends[i]:
            attentions += [f"down_blocks.{i}.attentions.{j}" for j in range(blocks)]
    resnets += ["mid_block.resnets.0", "mid_block.resnets.1"]
    attentions += ["mid_block.attentions.0"]
    for i in levels:
        resnets += [f"up_blocks.{i}.resnets.{j}" for j in range(blocks + 1)]
        if attends[-1 - i]:
            attentions += [f"up_blocks.{i}.attentions.{j}" for j in range(blocks + 1)]
    convs += [f"down_blocks.{i}.downsamplers.0.conv" for i in levels[:-1]]
    convs += [f"up_blocks.{i}.upsamplers.0.conv" for i in levels[:-1]]
    convs += ["conv_out"]

    names = {
        "Dense_0": "time_embedding.linear_1",
        "Dense_1": "time_embedding.linear_2",
        "GroupNorm_0": "conv_norm_out",
    }
    names |= {f"Conv_{number}": conv for number, conv in enumerate(convs)}
    for ours, theirs, inside in (
        ("ResidualBlock", resnets, _IN_A_BLOCK),
        ("SelfAttention", attentions, _IN_ATTENTION),
    ):
        for number, place in enumerate(theirs):
            for layer, name in inside.items():
                names[f"{ours}_{number}/{layer}"] = f"{place}.{name}"
    return names


_IN_A_BLOCK = {
    "GroupNorm_0": "norm1",
    "Conv_0": "conv1",
    "Dense_0": "time_emb_proj",
    "GroupNorm_1": "norm2",
    "Conv_1": "conv2",
    "Dense_1": "conv_shortcut",
}
_IN_ATTENTION = {
    "GroupNorm_0": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "out": "to_out.0",
}


def _for_times_from_1(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel [E, F] for t's embedding that equals `kernel` for t - 1's.

    sin((t - 1) w) = cos(w) sin(t w) - sin(w) cos(t w)
    cos((t - 1) w) = sin(w) sin(t w) + cos(w) cos(t w)
    """
    turn = np.asarray(time_embedding(jnp.ones(1), len(kernel)), np.float64)
    sin_w, cos_w = np.split(turn[0][:, None], 2)
    of_sin, of_cos = np.split(kernel.astype(np.float64), 2)
    turned = [cos_w * of_sin + sin_w * of_cos, cos_w * of_cos - sin_w * of_sin]
    return np.concatenate(turned).astype(np.float32)
