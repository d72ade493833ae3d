"""The conversion of a diffusers scheduler's configuration to our schedule and names."""

from typing import NamedTuple

import numpy as np

from gen_jax.diffusion.schedules import cosine_betas, linear_betas
from gen_jax.errors import choose
from gen_jax.interop import json_fields

# The fields that matter, and diffusers' defaults for them.
_DEFAULTS = {
    "_class_name": "DDPMScheduler",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "variance_type": "fixed_small",
}
_ONE_WAY = {
    "clip_sample": (True, (True, False)),
    "clip_sample_range": (1, (1,)),
    "rescale_betas_zero_snr": (False, (False,)),
    "thresholding": (False, (False,)),
    "trained_betas": (None, (None,)),
}
_KINDS = {"DDPMScheduler": None, "DDIMScheduler": None}  # others add noise differently
_SCHEDULES = {"linear": "linear", "squaredcos_cap_v2": "cosine"}
_PREDICTIONS = {"epsilon": "eps", "sample": "x_0", "v_prediction": "v"}
_VARIANCES = {
    "fixed_small": "fixed_small",
    "fixed_small_log": "fixed_small",
    "fixed_large": "fixed_large",
    "learned_range": "learned_range",
}


class Process(NamedTuple):
    """The forward process and the learned quantity, by our names.

    schedule: "linear" or "cosine".
    betas: beta_1..beta_T, float64 [T].
    prediction: "eps", "x_0" or "v".
    variance: "fixed_small", "fixed_large" or "learned_range".
    clip: whether x_0_hat is clipped to [-1, 1].
    """

    schedule: str
    betas: np.ndarray
    prediction: str
    variance: str
    clip: bool


def process_of(config: json_fields.Config) -> Process:
    """Convert the scheduler_config.json of a DDPMScheduler or DDIMScheduler.

    Fields on how a scheduler strides over the times are ignored: our samplers decide
    that. Raises UserError if we lack a setting; it names the field and the allowed
    values.
    """
    json_fields.check_one_way(config, _ONE_WAY)
    config = {**_DEFAULTS, **config}
    choose("_class_name", config["_class_name"], _KINDS)
    schedule = choose("beta_schedule", config["beta_schedule"], _SCHEDULES)
    T = json_fields.whole(config, "num_train_timesteps")
    if schedule == "linear":  # as stated, without our scaling by T
        ends = [
            json_fields.fraction(config, name) for name in ("beta_start", "beta_end")
        ]
        betas = linear_betas(T, *ends)
    else:
        betas = cosine_betas(T)
    return Process(
        schedule,
        betas,
        choose("prediction_type", config["prediction_type"], _PREDICTIONS),
        choose("variance_type", config["variance_type"], _VARIANCES),
        config["clip_sample"],
    )
