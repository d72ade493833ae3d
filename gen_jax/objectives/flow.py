"""Rectified flow (Liu et al. 2023; Lipman et al. 2023): a game of one player.

    L = E_{t, x_0, eps} |(eps - x_0) - u(x_t, t)|^2,  x_t = (1 - t) x_0 + t eps

with t uniform on [0, 1). A network learns the velocity of the straight line from image
to noise. Images are made by following it back, dx/dt = u(x, t) from t = 1 to 0. The
network is given the time as 1000 t, as networks for diffusion expect. With labels it
can be guided (`conditioning.py`).
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.errors import UserError, choose
from gen_jax.game import Game, Tree, Weights
from gen_jax.losses import terms
from gen_jax.objectives import modules
from gen_jax.objectives.conditioning import check_guidance, drop_labels, guide

SAMPLER_STEPS = 50
SOLVERS = ("heun", "euler")


@dataclasses.dataclass(frozen=True, eq=False)
class _Flow:
    """The velocity, and the ways along it."""

    network: nn.Module
    shape: tuple[int, ...]
    num_classes: int
    label_dropout: float
    guidance: float
    name: str

    def init(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return the first weights, for a batch of x [B, *shape]."""
        x, t = modules.example(batch), jnp.ones((1,), jnp.float32)
        return modules.init(self.network, rng, x, t, modules.no_labels(1), None)

    def velocity(self, players, x_t, t, y, keys=None, train=False):
        """Return u(x_t, t) [B, *shape] and the mutable state; dropout by keys [B]."""
        mine = players[self.name]
        return modules.apply(self.network, mine, x_t, 1000 * t, y, keys, train=train)

    def loss(self, players, batch, context):
        """Compute L, float32 [], by one random t and eps per example."""
        keys = randomness.split(context.keys, 4)
        keys_t, keys_eps, keys_dropout, keys_label = keys
        x_0, y = batch["x"], modules.labels(batch)
        if self.label_dropout:
            y = drop_labels(y, keys_label, self.label_dropout)
        t = randomness.fraction(keys_t)
        eps = randomness.normal(keys_eps, self.shape)
        fraction = modules.per_example(t, x_0)
        x_t = (1 - fraction) * x_0 + fraction * eps
        u, mutable = self.velocity(players, x_t, t, y, keys_dropout, train=True)
        return terms.squared_error(eps - x_0, u).mean(), (mutable, {})

    def follow(self, players, x, y, times, solver="heun", guidance=0.0):
        """Move x [B, *shape] along u from times[0] to times[-1], float32 [S + 1]."""
        check_guidance(guidance, self.num_classes)

        def velocity(x, time):
            t = jnp.full(x.shape[:1], time)
            u, _ = self.velocity(players, x, t, y)
            if not guidance:
                return u
            free, _ = self.velocity(players, x, t, modules.no_labels(len(x)))
            return guide(u, free, guidance)

        def step(x, now):
            width = now[1] - now[0]
            first = velocity(x, now[0])
            if solver == "euler":
                return x + width * first, None
            second = velocity(x + width * first, now[1])
            return x + width * (first + second) / 2, None

        x, _ = jax.lax.scan(step, x, (times[:-1], times[1:]))
        return x

    def diffuse(self, players, x, keys, time):
        """Return x_t [B, *shape] at t = time, a number or [B]."""
        t = modules.times(time, x)
        return (1 - t) * x + t * randomness.normal(keys, self.shape)

    def denoise_between(self, players, x_t, keys, start, end, y=None):
        """Return x [B, *shape] at t = end from x_t at t = start, without noise."""
        modules.check_backwards(start, end)
        steps = max(1, math.ceil(SAMPLER_STEPS * (start - end)))
        times = jnp.linspace(start, end, steps + 1, dtype=jnp.float32)
        return self.follow(players, x_t, modules.labels_or_none(y, x_t), times)

    def predict_x0(self, players, x_t, time, y=None):
        """Return x_0_hat = x_t - t u [B, *shape], the mean of x_0 given x_t.

        time: a number or [B].
        """
        t = modules.times(time, x_t)
        y = modules.labels_or_none(y, x_t)
        return x_t - t * self.velocity(players, x_t, t.reshape(-1), y)[0]

    def prior(self, players, keys):
        """Return eps [B, *shape] from N(0, I), one by each key."""
        return randomness.normal(keys, self.shape)

    def sample(
        self,
        players,
        keys,
        y=None,
        *,
        sampler="heun",
        sampling_steps=SAMPLER_STEPS,
        guidance=None,
    ):
        """Return x_0 [B, *shape], one by each key."""
        choose("sampler", sampler, dict.fromkeys(SOLVERS))
        if sampling_steps < 1:
            raise UserError(f"{sampling_steps} sampling steps: a flow needs at least 1")
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        times = jnp.linspace(1.0, 0.0, sampling_steps + 1, dtype=jnp.float32)
        w = self.guidance if guidance is None else guidance
        return self.follow(players, self.prior(players, keys), y, times, sampler, w)

    def sampling_options(
        self, *, sampler="heun", sampling_steps=SAMPLER_STEPS, guidance=None
    ):
        """Return all options of `sample`, with the defaults of those not given."""
        chosen = {"sampler": sampler, "sampling_steps": sampling_steps}
        if self.guidance or guidance:
            chosen["guidance"] = self.guidance if guidance is None else guidance
        return chosen

    def decode(self, players, z, y=None):
        """Return the images [B, *shape] at t = 0 to which noise z flows."""
        times = jnp.linspace(1.0, 0.0, SAMPLER_STEPS + 1, dtype=jnp.float32)
        return self.follow(players, z, modules.labels_or_none(y, z), times)

    def encode(self, players, x, keys=None, y=None):
        """Return the noise z [B, *shape] at t = 1 to which images x flow."""
        times = jnp.linspace(0.0, 1.0, SAMPLER_STEPS + 1, dtype=jnp.float32)
        return self.follow(players, x, modules.labels_or_none(y, x), times)


def flow(
    network: nn.Module,
    *,
    shape: tuple[int, ...],
    optimizer: optax.GradientTransformation,
    num_classes: int = 0,
    label_dropout: float = 0.0,
    guidance: float = 0.0,
    ema_halflife_images: tuple[float, ...] = (),
    name: str = "model",
) -> Game:
    """Return the game of a module's rectified flow.

    Batches are {"x": [B, *shape], "y": int32 [B] or absent}.

    network: (x_t [B, *shape], time float32 [B] in [0, 1000], y int32 [B], keys [B] or
        None) -> velocity [B, *shape]. It may have mutable state, and an argument
        `train: bool`. The keys are for dropout.
    shape: of one example, (H, W, C) for images in [-1, 1], (D,) for points.
    num_classes: number of classes that the network takes as y; 0 if it ignores y.
    label_dropout: fraction of the labels dropped in training; guidance needs some.
    guidance: w of equation 6 in `conditioning.py`, for samples unless given another.
    name: name of the player.

    ops: sample(players, keys, y, *, sampler="heun", sampling_steps, guidance), prior
    (noise), encode, decode, diffuse, denoise_between, predict_x0. "euler" takes one
    evaluation a step, "heun" two. `sample` raises UserError for an unknown sampler.
    """
    check_guidance(guidance, num_classes)
    model = _Flow(network, tuple(shape), num_classes, label_dropout, guidance, name)
    return modules.single_model_game(model, optimizer, ema_halflife_images)
