"""Rectified flow (Liu et al. 2023; Lipman et al. 2023): a game of one.

    L = E_{t, x_0, eps} |(eps - x_0) - u(x_t, t)|^2,  x_t = (1 - t) x_0 + t eps

with t uniform on [0, 1): a network learns the velocity of the straight line from image
to noise, and images are made by following it back, dx/dt = u(x, t) from t = 1 to 0. It
is told the time as 1000 t, so that a network made for diffusion serves.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.errors import choose
from gen_jax.game import Game, Weights
from gen_jax.losses import terms
from gen_jax.objectives import modules

SAMPLER_STEPS = 50
SOLVERS = ("heun", "euler")


@dataclasses.dataclass(frozen=True, eq=False)
class _Flow:
    """The velocity, and the ways along it."""

    network: nn.Module
    shape: tuple[int, ...]
    num_classes: int

    def init(self, rng: jax.Array, batch) -> Weights:
        x, t = modules.example(batch), jnp.ones((1,), jnp.float32)
        y = modules.no_labels(1)
        return Weights(modules.init_params(self.network, rng, x, t, y, None))

    def velocity(self, players, x_t, t, y, keys=None):
        """u(x_t, t), [B, *shape], with dropout where there are keys."""
        params = players["model"].params
        return modules.apply_params(self.network, params, x_t, 1000 * t, y, keys)

    def loss(self, players, batch, context):
        keys_t, keys_eps, keys_dropout = randomness.split(context.keys, 3)
        x_0, y = batch["x"], modules.labels(batch)
        t = (1 + randomness.uniform(keys_t, ())) / 2
        eps = randomness.normal(keys_eps, self.shape)
        fraction = t.reshape(-1, *[1] * len(self.shape))
        x_t = (1 - fraction) * x_0 + fraction * eps
        u = self.velocity(players, x_t, t, y, keys_dropout)
        return terms.squared_error(eps - x_0, u).mean(), ({}, {})

    def follow(self, players, x, y, times, solver):
        """x moved along u from times[0] to times[-1], float32 [S + 1]."""

        def step(x, now):
            t, s = (jnp.full(x.shape[:1], time) for time in now)
            width = now[1] - now[0]
            first = self.velocity(players, x, t, y)
            if solver == "euler":
                return x + width * first, None
            second = self.velocity(players, x + width * first, s, y)
            return x + width * (first + second) / 2, None

        x, _ = jax.lax.scan(step, x, (times[:-1], times[1:]))
        return x

    def diffuse(self, players, x, keys, time):
        """x_t at t = time."""
        return (1 - time) * x + time * randomness.normal(keys, self.shape)

    def denoise_between(self, players, x_t, keys, start, end, y=None):
        """From t = start down to end, without noise."""
        steps = max(1, math.ceil(SAMPLER_STEPS * (start - end)))
        times = jnp.linspace(start, end, steps + 1, dtype=jnp.float32)
        return self.follow(players, x_t, modules.labels_or_none(y, x_t), times, "heun")

    def predict_x0(self, players, x_t, time, y=None):
        """x_0_hat = x_t - t u, the mean of all x_0 that x_t may have been."""
        t, y = jnp.full(len(x_t), time), modules.labels_or_none(y, x_t)
        return x_t - time * self.velocity(players, x_t, t, y)

    def prior(self, players, keys):
        """eps from N(0, I)."""
        return randomness.normal(keys, self.shape)

    def sample(
        self, players, keys, y=None, *, sampler="heun", sampling_steps=SAMPLER_STEPS
    ):
        """x_0 [B, *shape], one a key."""
        choose("sampler", sampler, dict.fromkeys(SOLVERS))
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        times = jnp.linspace(1.0, 0.0, sampling_steps + 1, dtype=jnp.float32)
        return self.follow(players, self.prior(players, keys), y, times, sampler)

    def sampling_options(self, *, sampler="heun", sampling_steps=SAMPLER_STEPS):
        """What `sample` makes of these options."""
        return {"sampler": sampler, "sampling_steps": sampling_steps}

    def decode(self, players, z, y=None):
        """From noise z at t = 1 to an image at t = 0."""
        times = jnp.linspace(1.0, 0.0, SAMPLER_STEPS + 1, dtype=jnp.float32)
        return self.follow(players, z, modules.labels_or_none(y, z), times, "heun")

    def encode(self, players, x, keys=None, y=None):
        """From an image at t = 0 to its noise at t = 1."""
        times = jnp.linspace(0.0, 1.0, SAMPLER_STEPS + 1, dtype=jnp.float32)
        return self.follow(players, x, modules.labels_or_none(y, x), times, "heun")


def flow(
    network: nn.Module,
    *,
    shape: tuple[int, ...],
    optimizer: optax.GradientTransformation,
    num_classes: int = 0,
    ema_halflife_images: tuple[float, ...] = (),
) -> Game:
    """The rectified flow of a module without mutable state.

    On batches {"x": [B, *shape], "y": int32 [B] or absent}.

    network: (x_t [B, *shape], time float32 [B] in [0, 1000], y int32 [B], keys [B] or
        None) -> velocity [B, *shape].
    shape: of one example, (H, W, C) for images in [-1, 1], (D,) for points.
    num_classes: how many classes the network tells apart; 0 where it ignores y.

    The one player is "model". ops: sample(board, keys, y, *, sampler="heun",
    sampling_steps), prior (noise), encode, decode, diffuse, restore, guess. "euler"
    takes one evaluation a step, "heun" two. Raises UserError for an unknown sampler.
    """
    model = _Flow(network, tuple(shape), num_classes)
    return modules.single_model_game(model, optimizer, ema_halflife_images)
