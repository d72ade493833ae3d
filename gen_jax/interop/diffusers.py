"""Published DDPMs, read from a local folder in the layout of Hugging Face's diffusers.

A pipeline's folder holds `unet/` and `scheduler/`, or all of their files itself:

    config.json  diffusion_pytorch_model.safetensors  scheduler_config.json

The weights are those of diffusers' `UNet2DModel`, as in google/ddpm-cifar10-32: Ho et
al. (2020), converted. An error names each setting that `models.ddpm_unet` lacks, and
each tensor that is missing or not expected.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gen_jax.errors import UserError, why
from gen_jax.interop import json_fields
from gen_jax.interop.diffusers_schedule import Process, process_of
from gen_jax.interop.diffusers_unet import (
    Tensors,
    check_sizes,
    network_of,
    params_of,
)
from gen_jax.models.ddpm_unet import UNet

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_SCHEDULER = "scheduler_config.json"


class Published(NamedTuple):
    """A published DDPM.

    network: our U-Net with its configuration.
    shape: (H, W, C) of its images.
    params: those of `network` for times 1..T, float32.
    process: None if the folder has no scheduler_config.json.
    """

    network: UNet
    shape: tuple[int, int, int]
    params: dict[str, Any]
    process: Process | None


def read(folder: str | Path) -> Published:
    """Read the DDPM in a local folder: a pipeline's, or its model's alone.

    Needs the safetensors package. Raises UserError if the folder, the configuration, a
    tensor or the schedule is invalid.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: there is no such folder; give one in diffusers' layout"
        )
    model = folder / "unet" if (folder / "unet").is_dir() else folder
    network, shape = network_of(json_fields.read_json(model / "config.json"))
    process = _read_process(model)
    outputs = 2 if process and process.variance == "learned_range" else 1
    if process and network.out_channels != outputs * shape[-1]:
        raise UserError(
            f"out_channels={network.out_channels}: this variance_type needs "
            f"{outputs * shape[-1]} for images of {shape[-1]} channels"
        )
    params = params_of(network, shape, _read_tensors(model, network, shape))
    return Published(network, shape, params, process)


def _read_process(model: Path) -> Process | None:
    """Read the scheduler's configuration, in the model's folder or next to it."""
    sibling = model.absolute().parent / "scheduler"
    for path in (model / _SCHEDULER, sibling / _SCHEDULER):
        if path.exists():
            return process_of(json_fields.read_json(path))
    return None


def _read_tensors(model: Path, network: UNet, shape: tuple[int, int, int]) -> Tensors:
    """Read the tensors by diffusers' names, all as float32.

    Names and shapes are checked by the file's header, before a tensor is read.
    """
    path = model / _WEIGHTS
    if not path.is_file():
        if pickled := sorted(model.glob("*.bin")):
            raise UserError(
                f"{pickled[0]} is a pickle, which can run any code when it is read. "
                "If you trust it, convert it once: diffusers.UNet2DModel"
                f".from_pretrained({str(model)!r}).save_pretrained(NEW_DIR)"
            )
        raise UserError(f"{path}: there is no such file; download it to this folder")
    try:
        from safetensors import safe_open
    except ImportError:
        raise UserError(
            f"reading {_WEIGHTS} needs the safetensors package: "
            'pip install "gen_jax[interop]"'
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            check_sizes(network, shape, shapes)
            return {n: np.asarray(file.get_tensor(n), np.float32) for n in names}
    except UserError:
        raise
    except Exception as error:  # a foreign reader may raise anything
        raise UserError(
            f"{path} cannot be read ({why(error)}): download it again"
        ) from error
