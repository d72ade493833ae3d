"""Store the outputs of diffusers for a DDPM in ddpm.npz, next to this file.

    PYTHONPATH=tests python -m vectors.make_ddpm

A narrow U-Net of google/ddpm-cifar10-32's configuration, and chains of its schedulers.
The chains' network is some smooth function. The file holds its output at each step and
the result of each step. The timesteps are "trailing", the same as ours if the steps
divide T. DDIM takes eps_hat from the clipped x_0_hat, as ours does. The stored file was
made with PyTorch 2.13.0 and diffusers 0.42.1.
"""

import json
from pathlib import Path

import diffusers
import numpy as np
import torch
from vectors import torch_layout

SEED = 2

# google/ddpm-cifar10-32's config.json, whose channels are 128, 256, 256, 256 in 32
# groups, its blocks two a level, and its images 32x32.
CIFAR10 = {
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [128, 256, 256, 256],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", *["DownBlock2D"] * 2],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 32,
    "time_embedding_type": "positional",
    "up_block_types": [*["UpBlock2D"] * 2, "AttnUpBlock2D", "UpBlock2D"],
}
NARROW = CIFAR10 | {
    "block_out_channels": [16, 32, 32, 32],
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "sample_size": 16,
}
TIMES = [0, 1, 10, 499, 999]

T_10 = {"num_train_timesteps": 10, "beta_start": 0.01, "beta_end": 0.5}
COSINE = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
SHAPE = (2, 2, 2, 3)  # of the chains' pictures: batch, channels, rows, columns


def unet_outputs(config, x, t, weights=None):
    """Return a UNet2DModel's output for images [B, H, W, C] and times [B], and it."""
    torch.manual_seed(SEED)
    net = diffusers.UNet2DModel(**config).eval()
    if weights is not None:
        net.load_state_dict({k: torch.tensor(v) for k, v in weights(net).items()})
    with torch.no_grad():
        out = net(torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(t)).sample
    return out.numpy().transpose(0, 2, 3, 1), net


def drawn_weights(net):
    return torch_layout.draw(layout_of(net), SEED)


def layout_of(net):
    return {name: tuple(w.shape) for name, w in net.state_dict().items()}


def chains() -> list[dict]:
    """Scheduler, its configuration, and how many steps are taken."""
    ddpm = [
        {"variance_type": variance, "prediction_type": prediction, "clip_sample": clip}
        for variance in ("fixed_small", "fixed_large", "learned_range")
        for prediction in ("epsilon", "sample", "v_prediction")
        for clip in (True, False)
    ]
    ddpm += [
        T_10 | {"variance_type": variance}
        for variance in ("fixed_small_log", "fixed_large", "learned_range")
    ]
    ddpm += [COSINE | {"variance_type": "fixed_large"}]
    ddim = [{}, {"clip_sample": False}, {"prediction_type": "sample"}, COSINE]
    dpm = [{}, {"prediction_type": "v_prediction"}, {"prediction_type": "sample"}]
    dpm = [{"final_sigmas_type": "zero"} | config for config in (*dpm, COSINE)]
    cases = [("DDPMScheduler", config, {}) for config in ddpm]
    cases += [
        ("DDIMScheduler", config, {"eta": eta}) for config in ddim for eta in (0.0, 1.0)
    ]
    cases += [("DPMSolverMultistepScheduler", config, {}) for config in dpm]
    steps = [(kind, config, options, 10) for kind, config, options in cases]
    steps += [("DPMSolverMultistepScheduler", dpm[0], {}, n) for n in (1, 2, 20)]
    names = ("scheduler", "config", "options", "steps")
    return [dict(zip(names, case, strict=True)) for case in steps]


def network(config, x, alpha_bar):
    """Some output whose x_0_hat is of images' size, and is clipped now and then."""
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    x_0 = signal * x + 0.5 * torch.sin(5 * x)
    eps = noise * x - 0.5 * signal * torch.sin(5 * x)
    kind = config.get("prediction_type", "epsilon")
    v = signal * eps - noise * x_0
    out = {"sample": x_0, "epsilon": eps, "v_prediction": v}[kind]
    if config.get("variance_type") == "learned_range":
        out = torch.cat([out, torch.tanh(x)], dim=1)
    return out


def noise(step):
    """The generator of a step's noise, and that noise."""
    drawn = torch.randn(SHAPE, generator=torch.Generator().manual_seed(step))
    return torch.Generator().manual_seed(step), drawn


def run(chain) -> tuple[np.ndarray, np.ndarray]:
    """x [S + 1, B, H, W, C] at each time, the last one's last; outputs [S, ...]."""
    config = chain["config"]
    kind = getattr(diffusers, chain["scheduler"])
    scheduler = kind(**config, timestep_spacing="trailing")
    scheduler.set_timesteps(chain["steps"])
    _, x = noise(1000)
    xs, outs = [x], []
    for number, t in enumerate(scheduler.timesteps):
        out = network(config, x, scheduler.alphas_cumprod[t])
        options = dict(chain["options"])
        if chain["scheduler"] == "DDIMScheduler":
            options["use_clipped_model_output"] = True
        x = scheduler.step(out, t, x, generator=noise(number)[0], **options).prev_sample
        xs.append(x)
        outs.append(out)
    return tuple(torch.stack(a).numpy().transpose(0, 1, 3, 4, 2) for a in (xs, outs))


def vectors() -> dict[str, np.ndarray]:
    """Inputs, outputs, the weights' layout and the chains; pictures as [B, H, W, C]."""
    x = np.random.RandomState(SEED).standard_normal((len(TIMES), 16, 16, 3))
    x, t = x.astype(np.float32), np.array(TIMES)
    out, net = unet_outputs(NARROW, x, t, drawn_weights)
    arrays = {"seed": np.array(SEED), "x": x, "t": t, "unet": out}
    arrays["unet_config"] = np.array(json.dumps(NARROW))
    arrays["unet_layout"] = torch_layout.write_layout(layout_of(net))
    drawn = torch.stack([noise(step)[1] for step in range(20)])
    arrays["noise"] = drawn.numpy().transpose(0, 1, 3, 4, 2)
    arrays["chains"] = np.array([json.dumps(chain) for chain in chains()])
    for number, chain in enumerate(chains()):
        arrays[f"chain_{number}_x"], arrays[f"chain_{number}_out"] = run(chain)
    return arrays


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("ddpm.npz"), **vectors())
