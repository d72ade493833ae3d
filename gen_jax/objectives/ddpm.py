"""Denoising diffusion (Ho et al. 2020): a game of one.

    L_simple = E_{t, x_0, eps} |eps - eps_hat(x_t, t)|^2,  t ~ U{1..T}        (14)

where x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (`schedules.py`). The
reverse chains that make images of the trained network are in `samplers.py`: DDIM's few
steps by default, the paper's T on request.
"""

import dataclasses
import functools

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


@dataclasses.dataclass(frozen=True, eq=False)
class _Ddpm:
    """The denoiser, and the two chains that it is one step of."""

    network: nn.Module
    shape: tuple[int, ...]
    schedule: Schedule
    variance: str
    clip: bool

    def init(self, rng: jax.Array, batch) -> Weights:
        x, t = modules.example(batch), jnp.ones((1,), jnp.int32)
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"the data's shape is {x.shape[1:]}, the model's {self.shape}"
            )
        return Weights(modules.init_params(self.network, rng, x, t, None))

    def denoise(self, board, x_t, t, keys=None):
        """eps_hat(x_t, t), with dropout where there are keys."""
        params = board["model"].params
        return modules.apply_params(self.network, params, x_t, t, keys)

    def loss(self, board, batch, context):
        """L_simple, equation 14, by one draw of t and eps an example."""
        keys_t, keys_eps, keys_dropout = randomness.split(context.keys, 3)
        t = randomness.integers(keys_t, 1, self.schedule.T)
        eps = randomness.normal(keys_eps, self.shape)
        x_t = q_sample(self.schedule, batch["x"], t, eps)
        eps_hat = self.denoise(board, x_t, t, keys_dropout)
        # The mean over examples and pixels, as in the paper's code.
        return losses.squared_error(eps, eps_hat).mean(), ({}, {})

    def sample(self, board, keys, *, sampler="ddim", sampling_steps=None, eta=0.0):
        """x_0 [B, *shape], one a key, from x_T down the chosen chain."""
        chains = {"ancestral": self.ancestral, "ddim": self.ddim}
        chain = choose("sampler", sampler, chains)
        # Time 0 adds no noise, so its stream is free for x_T.
        x_T = randomness.normal(randomness.fold_in(keys, 0), self.shape)
        denoise = functools.partial(self.denoise, board)
        return chain(denoise, x_T, keys, sampling_steps, eta)

    def ancestral(self, denoise, x_T, keys, steps, eta):
        if steps not in (None, self.schedule.T) or eta:
            raise UserError(
                f"the ancestral sampler takes all {self.schedule.T} steps and no eta; "
                "for fewer steps use ddim"
            )
        options = {"variance": self.variance, "clip": self.clip}
        return samplers.ancestral(denoise, self.schedule, x_T, keys, **options)

    def ddim(self, denoise, x_T, keys, steps, eta):
        if steps is None:
            steps = min(DDIM_STEPS, self.schedule.T)
        options = {"steps": steps, "eta": eta, "clip": self.clip}
        return samplers.ddim(denoise, self.schedule, x_T, keys, **options)


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
    variance: of ancestral sampling (`samplers.ancestral`).
    clip: whether both samplers clip x_0_hat to [-1, 1].

    The one player is "model". ops: sample(board, keys, *, sampler="ddim",
    sampling_steps=None, eta=0.0) -> x_0, in few steps unless asked for more, since
    grids are drawn while training: None is DDIM_STEPS (all T where T is less).
    sampler="ancestral" is the paper's, which takes all T steps and no eta.
    Raises UserError for an unknown variance; `sample` for what a sampler cannot do.
    """
    choose("variance", variance, samplers.VARIANCES)
    schedule = schedule or make_schedule(linear_betas())
    model = _Ddpm(network, tuple(shape), schedule, variance, clip)
    return Game(
        players={
            "model": Player(model.init, model.loss, optimizer, ema_halflife_images)
        },
        turns=(Turn(("model",)),),
        ops={"sample": model.sample},
    )
