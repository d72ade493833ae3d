"""Makes a run of a published DDPM, so that it can be sampled and trained further.

  python -m experiments.import_weights --diffusers=DIR --workdir=DIR [FLAGS]
  python -m experiments.sample --workdir=DIR [--sampler=ancestral]

The folder, on this machine, is in the layout of Hugging Face's diffusers, as
google/ddpm-cifar10-32 is; weights in safetensors. The run is one of `ddpm` at step 0;
what the published configuration does not say is the paper's recipe for CIFAR-10, and
can be changed by --config.FIELD=VALUE. --data names what to go on training with;
samples need none.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from absl import flags

from experiments import flags as parsing
from experiments.recipes import ddpm, denoisers
from gen_jax import config, data, devices, experiment, init_state
from gen_jax.errors import UserError
from gen_jax.interop import diffusers
from gen_jax.runs import checkpoint
from gen_jax.runs.recorder import Recorder

_DIFFUSERS = flags.DEFINE_string(
    "diffusers", None, "the folder with the published weights and configurations"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder, made if missing")
flags.DEFINE_string("data", None, "the dataset, short for --config.data.spec")

_NAME = "ddpm"


def main(overrides: list[tuple[str, str]]) -> None:
    """Reads all of it, and only then writes the run's folder."""
    if not _DIFFUSERS.value or not _WORKDIR.value:
        missing = "workdir" if _DIFFUSERS.value else "diffusers"
        raise UserError(f"--{missing}=DIR is needed; --help says of what")
    workdir = Path(_WORKDIR.value)
    if workdir.is_file():
        raise UserError(f"--workdir={workdir} is a file; it has to be a folder")
    if checkpoint.steps(workdir / checkpoint.CHECKPOINTS):
        raise UserError(f"{workdir} holds a run already: name another --workdir")
    overrides = parsing.given({"data": "data.spec"}) + overrides
    model = diffusers.read(_DIFFUSERS.value)
    resolved = _resolve(overrides, model)
    info = _info(resolved, model.shape)
    _write(workdir, resolved, info, model.params)
    print(workdir)


def _resolve(
    overrides: list[tuple[str, str]], model: diffusers.Published
) -> ddpm.Config:
    """The configuration of a run of what was published."""
    said = _said(model)
    resolved = dataclasses.replace(
        ddpm.CIFAR10.config, data=data.DataConfig(spec=""), **said
    )
    values = config.flat(resolved)
    for path, _ in overrides:
        if path.partition(".")[0] in said and path in values:
            raise UserError(
                f"--config.{path} does not apply: it is {values[path]} in "
                f"{_DIFFUSERS.value}"
            )
    resolved = config.override_all(resolved, overrides)
    return dataclasses.replace(resolved, data=data.absolute(resolved.data))


def _said(model: diffusers.Published) -> dict:
    """The fields that the published configurations decide."""
    network, process = model.network, model.process
    if process is None:
        raise UserError(f"{_DIFFUSERS.value} has no scheduler_config.json")
    if not process.clip:
        raise UserError("clip_sample=false; allowed: true")
    sizes = (
        "base_channels",
        "channel_multipliers",
        "blocks_per_level",
        "attention_resolutions",
        "dropout",
        "groups",
    )
    return {
        "network": denoisers.UNet(**{name: getattr(network, name) for name in sizes}),
        "timesteps": len(process.betas),
        "schedule": process.schedule,
        # As they are: ours would scale them by their number.
        "betas": _ends(process.betas) if process.schedule == "linear" else None,
        "prediction": process.prediction,
        "variance": process.variance,
        "loss": "hybrid" if process.variance == "learned_range" else "simple",
    }


def _ends(betas: np.ndarray) -> tuple[float, float]:
    return float(betas[0]), float(betas[-1])


def _info(resolved: ddpm.Config, shape: tuple[int, ...]) -> data.Info:
    """What the run says of its data: where none are named, the images' shape."""
    if not resolved.data.spec:
        return data.Info(shape, num_classes=0)
    info = data.describe(resolved.data)
    if info.shape != shape:
        raise UserError(
            f"--data={resolved.data.spec} has examples of shape {info.shape}; "
            f"{_DIFFUSERS.value} is for {shape}"
        )
    return info


def _write(workdir: Path, resolved: ddpm.Config, info: data.Info, params) -> None:
    """Writes the folder of a run that has not taken a step."""
    devices.use_compilation_cache()
    game = experiment.find(_NAME).build(resolved, info)
    batch = data.prepared_like(info, resolved.batch_size)
    rng = jax.random.key(resolved.seed)
    state = init_state(game, rng, batch, given={"model": params})
    meta = checkpoint.make_meta(_NAME, resolved, info)
    recorder = Recorder(game, resolved, batch, workdir, meta)
    with recorder.recording(0, state):
        recorder.finish(0, state)


if __name__ == "__main__":
    parsing.run(main)
