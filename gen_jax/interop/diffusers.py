"""Published DDPMs, read from a local folder in the layout of Hugging Face's diffusers.

A pipeline's folder holds `unet/` and `scheduler/`, or all of their files itself:

    config.json  diffusion_pytorch_model.safetensors  scheduler_config.json

The weights are of diffusers' `UNet2DModel`, which google/ddpm-cifar10-32 and its like
are: Ho et al. (2020), converted. Whatever of its configurations `models.ddpm_unet` is
not, and any tensor too many or too few, is refused by name.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gen_jax.errors import UserError
from gen_jax.interop import json_fields
from gen_jax.interop.diffusers_schedule import Process, process_of
from gen_jax.interop.diffusers_unet import Tensors, network_of, params_of
from gen_jax.models.ddpm_unet import UNet

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_SCHEDULER = "scheduler_config.json"


class Published(NamedTuple):
    """A DDPM as it was published.

    shape: (H, W, C) of its images. params: of `network`, told times 1..T, float32.
    process: None where the folder has no scheduler_config.json.
    """

    network: UNet
    shape: tuple[int, int, int]
    params: dict[str, Any]
    process: Process | None


def read(folder: str | Path) -> Published:
    """The DDPM in a local folder: a pipeline's, or its model's alone.

    Needs the safetensors package. Raises UserError for a folder, a configuration, a
    tensor or a schedule that is not what it has to be.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder")
    model = folder / "unet" if (folder / "unet").is_dir() else folder
    network, shape = network_of(json_fields.read_json(model / "config.json"))
    process = _read_process(model)
    wanted = 2 if process and process.variance == "learned_range" else 1
    if process and network.out_channels != wanted * shape[-1]:
        raise UserError(
            f"out_channels={network.out_channels}: this variance_type needs "
            f"{wanted * shape[-1]} for images of {shape[-1]}"
        )
    params = params_of(network, shape, _read_tensors(model))
    return Published(network, shape, params, process)


def _read_process(model: Path) -> Process | None:
    """As the scheduler's configuration says, in the model's folder or beside it."""
    beside = model.absolute().parent / "scheduler"
    for path in (model / _SCHEDULER, beside / _SCHEDULER):
        if path.exists():
            return process_of(json_fields.read_json(path))
    return None


def _read_tensors(model: Path) -> Tensors:
    """The tensors by diffusers' names, all as float32."""
    path = model / _WEIGHTS
    if not path.exists():
        if pickled := sorted(model.glob("*.bin")):
            raise UserError(
                f"{pickled[0]} is a pickle, which can run any code as it is read: "
                "convert it, once, where you trust it: diffusers.UNet2DModel"
                f".from_pretrained({str(model)!r}).save_pretrained(NEW_DIR)"
            )
        raise UserError(f"{path}: there is no such file")
    try:
        import safetensors
        from safetensors.numpy import load_file
    except ImportError:
        raise UserError(
            f"reading {_WEIGHTS} needs the safetensors package: "
            'pip install "gen_jax[interop]"'
        ) from None
    try:
        tensors = load_file(path)
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return {name: np.asarray(x, np.float32) for name, x in tensors.items()}
