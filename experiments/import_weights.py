"""Make a run from a published DDPM, so that it can be sampled and trained further.

  python -m experiments.import_weights --diffusers=DIR --workdir=DIR [FLAGS]
  python -m experiments.sample --workdir=DIR [--sampler=ancestral]

DIR is a local folder in the layout of Hugging Face's diffusers, such as
google/ddpm-cifar10-32, with weights in safetensors. The result is a run of `ddpm` at
step 0. Settings that are not in the published configuration come from the paper's
recipe for CIFAR-10; change them by --config.FIELD=VALUE. --data names the dataset to
continue training with. Sampling needs none.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
from absl import flags

from experiments import flags as parsing
from experiments.recipes import ddpm, denoisers
from gen_jax import config, data, devices, experiment, init_state
from gen_jax.errors import UserError
from gen_jax.files import checked_folder
from gen_jax.interop import diffusers
from gen_jax.runs import checkpoint
from gen_jax.runs.recorder import Recorder
from gen_jax.runs.run import make_meta

_DIFFUSERS = flags.DEFINE_string(
    "diffusers", None, "the folder with the published weights and configurations"
)
_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder, made if missing")
flags.DEFINE_string("data", None, "the dataset; short for --config.data.spec")

_NAME = "ddpm"


def main(overrides: list[tuple[str, str]]) -> None:
    """Read everything, and only then write the run's folder."""
    if not _DIFFUSERS.value or not _WORKDIR.value:
        missing = "workdir" if _DIFFUSERS.value else "diffusers"
        raise UserError(f"--{missing}=DIR is needed; --help explains it")
    checked_folder(_WORKDIR.value)
    workdir = Path(_WORKDIR.value)
    if checkpoint.steps(workdir / checkpoint.CHECKPOINTS):
        raise UserError(f"{workdir} holds a run already: give another --workdir")
    overrides = parsing.given({"data": "data.spec"}) + overrides
    model = diffusers.read(Path(_DIFFUSERS.value))
    resolved = _resolve(overrides, model)
    info = _info(resolved, model.shape)
    _write(workdir, resolved, info, model.params)
    print(workdir)


def _resolve(
    overrides: list[tuple[str, str]], model: diffusers.Published
) -> ddpm.Config:
    """Return the configuration of a run of the published model."""
    published = _published_fields(model)
    resolved = dataclasses.replace(
        ddpm.CIFAR10.config, data=data.DataConfig(spec=""), **published
    )
    values = config.flat(resolved)
    for path, _ in overrides:
        if path.partition(".")[0] in published and path in values:
            raise UserError(
                f"--config.{path} does not apply: it is {values[path]} in "
                f"{_DIFFUSERS.value}; leave it out"
            )
    resolved = config.override_all(resolved, overrides)
    return dataclasses.replace(resolved, data=data.absolute(resolved.data))


def _published_fields(model: diffusers.Published) -> dict:
    """Return the fields that the published configurations decide."""
    network, process = model.network, model.process
    if process is None:
        raise UserError(
            f"{_DIFFUSERS.value} has no scheduler_config.json, which describes the "
            "noise: download it too"
        )
    if not process.clip:
        raise UserError("clip_sample=false in scheduler_config.json; allowed: true")
    sizes = (
        "base_channels",
        "channel_multipliers",
        "blocks_per_level",
        "attention_resolutions",
        "dropout",
        "groups",
    )
    ends = float(process.betas[0]), float(process.betas[-1])
    return {
        "network": denoisers.UNet(**{name: getattr(network, name) for name in sizes}),
        "timesteps": len(process.betas),
        "schedule": process.schedule,
        # As published, since our defaults scale with the number of steps.
        "betas": ends if process.schedule == "linear" else None,
        "prediction": process.prediction,
        "variance": process.variance,
        "loss": "hybrid" if process.variance == "learned_range" else "simple",
    }


def _info(resolved: ddpm.Config, shape: tuple[int, ...]) -> data.Info:
    """Return the description of the data: of --data, or only the images' shape."""
    if not resolved.data.spec:
        return data.Info(shape, num_classes=0)
    info = data.describe(resolved.data) or data.load(resolved.data).info
    if info.shape != shape:
        raise UserError(
            f"--data={resolved.data.spec} has examples of shape {info.shape}, but "
            f"{_DIFFUSERS.value} is for {shape}: give other data or "
            "--config.data.image_size"
        )
    return info


def _write(
    workdir: Path, resolved: ddpm.Config, info: data.Info, params: dict[str, Any]
) -> None:
    """Write the folder of a run that has not taken a step."""
    devices.use_compilation_cache()
    game = experiment.find(_NAME).build(resolved, info)
    batch = data.prepared_like(info, resolved.batch_size)
    rng = jax.random.key(resolved.seed)
    state = init_state(game, rng, batch, given={"model": params})
    meta = make_meta(_NAME, resolved, info)
    recorder = Recorder(game, resolved, batch, workdir, meta)
    with recorder.recording(0, state):
        recorder.finish(0, state)


if __name__ == "__main__":
    parsing.run(main)
