"""Denoising diffusion (Ho et al. 2020): a game of one.

    L_simple = E_{t, x_0, eps} |eps - eps_hat(x_t, t)|^2,  t ~ U{1..T}        (14)

where x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (`schedules.py`). The
reverse chains that make images of the trained network are in `samplers.py`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import losses, randomness, samplers
from gen_jax.errors import UserError, choose
from gen_jax.game import Game, Player, Turn, Weights
from gen_jax.objectives import modules
from gen_jax.schedules import Schedule, linear_betas, make_schedule, q_sample

DDIM_STEPS = 50  # within one point of the FID of 1000, Song et al. (2021), table 1


def ddpm(
    network: nn.Module,
    *,
    shape: tuple[int, ...],
    optimizer: optax.GradientTransformation,
    schedule: Schedule | None = None,
    variance: str = "fixed_large",
    clip: bool = True,
    ema_halflife_images: tuple[float, ...] = (),
) -> Game:
    """The DDPM of a module without mutable state, on batches {"x": [B, *shape]}.

    network: (x_t [B, *shape], t int32 [B], keys [B] or None) -> eps_hat [B, *shape];
        the keys are for dropout, None when sampling.
    shape: of one example, (H, W, C) for images in [-1, 1], (D,) for points.
    schedule: None for the paper's, T = 1000 and beta_t from 1e-4 to 0.02.
    variance, clip: of ancestral sampling (`samplers.ancestral`).

    The one player is "model". ops: sample(board, keys, *, sampler="ancestral" or
    "ddim", sampling_steps=None, eta=0.0), where None is all T steps for the ancestral
    sampler, which takes no fewer, and DDIM_STEPS for DDIM; eta is DDIM's.
    Raises UserError for an unknown variance; `sample` for what a sampler cannot do.
    """
    schedule = schedule or make_schedule(linear_betas())
    choose("variance", variance, samplers.VARIANCES)

    def denoise(board, x_t, t, keys):
        return modules.apply_params(network, board["model"].params, x_t, t, keys)

    def init(rng: jax.Array, batch) -> Weights:
        x, t = modules.example(batch), jnp.ones((1,), jnp.int32)
        if x.shape[1:] != tuple(shape):
            raise ValueError(f"the data's shape is {x.shape[1:]}, the model's {shape}")
        return Weights(modules.init_params(network, rng, x, t, None))

    def loss(board, batch, context):
        x_0 = batch["x"]
        keys_t, keys_eps, keys_dropout = randomness.split(context.keys, 3)
        t = randomness.integers(keys_t, 1, schedule.T)
        eps = randomness.normal(keys_eps, shape)
        x_t = q_sample(schedule, x_0, t, eps)
        eps_hat = denoise(board, x_t, t, keys_dropout)
        # The mean over examples and pixels, as in the paper's code.
        return losses.squared_error(eps, eps_hat).mean(), ({}, {})

    def ancestral(run, x_T, keys, sampling_steps, eta):
        if sampling_steps not in (None, schedule.T) or eta:
            raise UserError(
                f"the ancestral sampler takes all {schedule.T} steps and no eta; "
                "for fewer steps use ddim"
            )
        return samplers.ancestral(
            run, schedule, x_T, keys, variance=variance, clip=clip
        )

    def ddim(run, x_T, keys, sampling_steps, eta):
        steps = (
            min(DDIM_STEPS, schedule.T) if sampling_steps is None else sampling_steps
        )
        return samplers.ddim(run, schedule, x_T, keys, steps=steps, eta=eta, clip=clip)

    def sample(board, keys, *, sampler="ddim", sampling_steps=None, eta=0.0):
        chain = choose("sampler", sampler, {"ancestral": ancestral, "ddim": ddim})
        # Time 0 adds no noise, so its stream is free for x_T.
        x_T = randomness.normal(randomness.fold_in(keys, 0), shape)
        return chain(
            lambda x_t, t: denoise(board, x_t, t, None), x_T, keys, sampling_steps, eta
        )

    return Game(
        players={"model": Player(init, loss, optimizer, ema_halflife_images)},
        turns=(Turn(("model",)),),
        ops={"sample": sample},
    )
