"""Denoising diffusion (Ho et al. 2020): a game of one player.

    L_simple = E_{t, x_0, eps} |eps - eps_hat(x_t, t)|^2,  t ~ U{1..T}        (14)

where x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps. Nichol & Dhariwal (2021)
learn the variance too, by L_hybrid = L_simple + 0.001 L_vlb. `diffusion/` has the terms
of the bound L_vlb (variational), the targets other than eps (predictions) and the
reverse chains (samplers): DDIM's few steps by default, the paper's T on request. With
labels the network can be guided (`conditioning.py`).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gen_jax import randomness
from gen_jax.diffusion import importance, samplers, variational
from gen_jax.diffusion.predictions import Prediction, make_prediction
from gen_jax.diffusion.samplers import Denoised
from gen_jax.diffusion.schedules import (
    Schedule,
    at,
    last_sampling_step,
    linear_betas,
    make_schedule,
    q_sample,
)
from gen_jax.errors import UserError, choose
from gen_jax.game import Game, Tree, Weights
from gen_jax.losses import terms
from gen_jax.objectives import modules
from gen_jax.objectives.conditioning import check_guidance, drop_labels, guide

SAMPLER_STEPS = 50  # within one point of the FID of 1000, Song et al. (2021), table 1

LOSSES = ("simple", "variational", "hybrid")
_VLB_WEIGHT = 0.001  # in L_hybrid, Nichol & Dhariwal (2021), equation 16
_HISTORY = "history"  # of losses by time, in the mutable state next to the network's


class Recipe(NamedTuple):
    """The network's target, its loss, and the distribution of t.

    prediction: "eps", "x_0", "v" or "mean".
    variance: of p(x_{t-1} | x_t): "fixed_small", "fixed_large" or "learned_range",
        for which the network returns twice the channels.
    loss: "simple"; "variational", an estimate of the bound in bits/dim; or "hybrid".
    min_snr: gamma of the weights of Hang et al. (2023) on the simple loss; 0 for none.
    importance: whether times t with a large loss are sampled more often.
    self_conditioning: whether the network is also given its estimate of x_0 from the
        previous step, as further channels (Chen et al. 2023).
    label_dropout: fraction of the labels dropped in training.
    clip: whether x_0 has 256 levels in [-1, 1], to which samplers clip x_0_hat.
    """

    prediction: str = "eps"
    variance: str = "fixed_large"
    loss: str = "simple"
    min_snr: float = 0.0
    importance: bool = False
    self_conditioning: bool = False
    label_dropout: float = 0.1
    clip: bool = True


HO_ET_AL = Recipe()


@dataclasses.dataclass(frozen=True, eq=False)
class _Ddpm:
    """The denoiser, and the chains of which it is one step."""

    network: nn.Module
    shape: tuple[int, ...]
    schedule: Schedule
    prediction: Prediction
    recipe: Recipe
    num_classes: int
    guidance: float
    name: str

    def init(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return the first weights, for a batch of x [B, *shape]."""
        x, t = modules.example(batch), jnp.ones((1,), jnp.int32)
        if x.shape[1:] != self.shape:
            found = f"the examples' shape is {x.shape[1:]}"
            raise UserError(f"{found}, not {self.shape}: give ddpm that shape")
        if self.recipe.self_conditioning:
            x = jnp.concatenate([x, x], axis=-1)
        weights = modules.init(self.network, rng, x, t, modules.no_labels(1), None)
        if not self.recipe.importance:
            return weights
        history = {_HISTORY: importance.init(self.schedule.T)}
        return weights._replace(mutable={**weights.mutable, **history})

    def out(self, mine, x_t, t, y, x0_prev, keys=None, train=False):
        """Return the network's output [B, *shape], v of `Denoised`, and mutable state.

        keys: [B], for dropout. v may leave its range: the loss can then lead it back.
        """
        if self.recipe.self_conditioning:
            x_t = jnp.concatenate([x_t, x0_prev], axis=-1)
        # linen would take the history for one of the network's own collections.
        own = {k: tree for k, tree in mine.mutable.items() if k != _HISTORY}
        weights = Weights(mine.params, own)
        out, mutable = modules.apply(
            self.network, weights, x_t, t, y, keys, train=train
        )
        if self.recipe.variance != "learned_range":
            return out, None, mutable
        out, v = jnp.split(out, 2, axis=-1)
        return out, (v + 1) / 2, mutable

    def denoise(self, players, y, guidance, x_t, t, x0_prev):
        """Denoise x_t [B, *shape] at t int32 [B], guided by w = `guidance`."""
        mine = players[self.name]
        out, v, _ = self.out(mine, x_t, t, y, x0_prev)
        if v is not None:  # the optimum lies in [0, 1]; far outside, it overflows
            v = jnp.clip(v, 0, 1)
        if guidance:
            free, _, _ = self.out(mine, x_t, t, modules.no_labels(len(y)), x0_prev)
            out = guide(out, free, guidance)
        return Denoised(self.prediction.x_0(out, x_t, t), v)

    def loss(self, players, batch, context):
        """Compute the chosen loss, float32 [], by one random t and eps per example."""
        mine, keys = players[self.name], randomness.split(context.keys, 5)
        keys_t, keys_eps, keys_dropout, keys_label, keys_self = keys
        t, weight = self.draw_t(mine, keys_t)
        eps = randomness.normal(keys_eps, self.shape)
        x_t = q_sample(self.schedule, batch["x"], t, eps)
        y = modules.labels(batch)
        if self.num_classes:
            y = drop_labels(y, keys_label, self.recipe.label_dropout)
        x0_prev = jnp.zeros_like(x_t)
        if self.recipe.self_conditioning:
            x0_prev = self.estimate_x0_prev(mine, x_t, t, y, keys_self)
        out, v, mutable = self.out(mine, x_t, t, y, x0_prev, keys_dropout, train=True)
        losses = self.loss_terms(batch["x"], x_t, t, eps, out, v)
        value = sum(losses.values())
        mutable = {**mutable, **self.remember(mine, t, value, context)}
        metrics = {name: (weight * term).mean() for name, term in losses.items()}
        return (weight * value).mean(), (mutable, metrics if len(losses) > 1 else {})

    def loss_terms(self, x_0, x_t, t, eps, out, v):
        """Compute the terms whose sum is the loss, [B] each."""
        recipe, losses = self.recipe, {}
        if recipe.loss in ("simple", "hybrid"):
            # The mean over pixels, as in the paper's code.
            error = terms.squared_error(self.prediction.target(x_0, eps, t), out)
            if recipe.min_snr:
                args = self.schedule, recipe.min_snr
                error *= at(self.prediction.min_snr_weights(*args), t, error)
            losses["simple"] = terms.sum_per_example(error) / math.prod(self.shape)
        if recipe.loss in ("variational", "hybrid"):
            # In L_hybrid the bound teaches the variance alone (their section 3.1).
            given = jax.lax.stop_gradient(out) if recipe.loss == "hybrid" else out
            denoised = Denoised(self.prediction.x_0(given, x_t, t), v)
            # One random t stands for the sum over all T.
            nats = self.schedule.T * self.step_term(denoised, x_0, x_t, t)
            bits = nats / (math.prod(self.shape) * math.log(2))
            losses["vlb"] = bits * (_VLB_WEIGHT if recipe.loss == "hybrid" else 1)
        return losses

    def step_term(self, denoised, x_0, x_t, t):
        """Return L_{t-1} of the variational bound, nats [B]."""
        return variational.step_term(
            self.schedule,
            denoised,
            x_0,
            x_t,
            t,
            v=samplers.VARIANCES[self.recipe.variance],
            discrete=self.recipe.clip,
        )

    def estimate_x0_prev(self, mine, x_t, t, y, keys):
        """Return x_0_hat [B, *shape], gradient stopped; 0 for a random half of them."""
        zeros = jnp.zeros_like(x_t)
        out, _, _ = self.out(mine, x_t, t, y, zeros, train=True)
        x_0_hat = jax.lax.stop_gradient(self.prediction.x_0(out, x_t, t))
        is_given = randomness.uniform(keys, (1,) * (x_t.ndim - 1)) < 0
        return jnp.where(is_given, x_0_hat, zeros)

    def draw_t(self, mine, keys):
        """Return a random t int32 [B], and the weight of its loss, [B] or []."""
        if self.recipe.importance:
            return importance.draw(mine.mutable[_HISTORY], keys)
        return randomness.integers(keys, 1, self.schedule.T), jnp.float32(1)

    def remember(self, mine, t, value, context):
        """Return the history after the losses [B] of the times t [B]."""
        if not self.recipe.importance:
            return {}
        # Of all devices, so that the history stays equal on each.
        seen = context.gather(t), context.gather(jax.lax.stop_gradient(value))
        return {_HISTORY: importance.remember(mine.mutable[_HISTORY], *seen)}

    def prior(self, players, keys):
        """Return x_T [B, *shape] from N(0, I), one by each key."""
        return randomness.normal(keys, self.shape)

    def sample(
        self,
        players,
        keys,
        y=None,
        *,
        sampler="ddim",
        sampling_steps=None,
        eta=0.0,
        guidance=None,
    ):
        """Return x_0 [B, *shape], one by each key, from x_T down the chosen chain."""
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        # Time 0 adds no noise, so its stream is free for x_T.
        x_T = self.prior(players, randomness.fold_in(keys, 0))
        chain = choose("sampler", sampler, SAMPLERS)
        if eta and sampler != "ddim":
            raise UserError(f"eta={eta} needs sampler=ddim; the sampler is {sampler}")
        options = {"steps": sampling_steps, "clip": self.recipe.clip}
        if sampler == "ancestral":
            options["variance"] = self.recipe.variance
        elif sampling_steps is None:
            options["steps"] = self.few_steps
        if sampler == "ddim":
            options["eta"] = eta
        denoise = self.denoiser(players, y, guidance)
        return chain(denoise, self.schedule, x_T, keys, **options)

    def sampling_options(
        self, *, sampler="ddim", sampling_steps=None, eta=0.0, guidance=None
    ):
        """Return all options of `sample`, with the defaults of those not given."""
        usual = self.schedule.T if sampler == "ancestral" else self.few_steps
        chosen = {"sampler": sampler, "sampling_steps": sampling_steps or usual}
        chosen |= {"eta": eta} if sampler == "ddim" else {}
        if self.num_classes:
            chosen["guidance"] = self.guidance if guidance is None else guidance
        return chosen

    def denoiser(self, players, y, guidance=None):
        """Return the denoiser for y int32 [B]; guidance: None for the model's own."""
        if guidance is None:
            guidance = self.guidance
        check_guidance(guidance, self.num_classes)
        return functools.partial(self.denoise, players, y, guidance)

    def encode(self, players, x, keys=None, y=None):
        """Return the x_T [B, *shape] that `decode` maps nearly to x: DDIM upwards."""
        denoise = self.denoiser(players, modules.labels_or_none(y, x), 0.0)
        return samplers.ddim_inverse(denoise, self.schedule, x, steps=self.few_steps)

    def decode(self, players, z, y=None):
        """Return DDIM's x_0 [B, *shape] of x_T = z: no noise, clipping or guidance."""
        denoise = self.denoiser(players, modules.labels_or_none(y, z), 0.0)
        keys = jax.random.split(jax.random.key(0), len(z))  # not used without noise
        return samplers.ddim(
            denoise, self.schedule, z, keys, steps=self.few_steps, clip=False
        )

    @property
    def few_steps(self) -> int:
        return min(SAMPLER_STEPS, last_sampling_step(self.schedule))

    def diffuse(self, players, x, keys, time):
        """Return x_t [B, *shape] at a time, a number or [B]: equation 4."""
        eps = randomness.normal(keys, self.shape)
        return q_sample(self.schedule, x, self.steps_at(time, x), eps)

    def denoise_between(self, players, x_t, keys, start, end, y=None):
        """Return x [B, *shape] at time `end`: the ancestral chain in fewer steps."""
        modules.check_backwards(start, end)
        last = last_sampling_step(self.schedule)
        start, end = round(start * last), round(end * last)
        fraction = (start - end) / last
        steps = max(1, math.ceil(SAMPLER_STEPS * fraction))
        # Rounded times of a short interval may coincide.
        tau = np.unique(np.linspace(end, start, steps + 1).round().astype(int))
        denoise = self.denoiser(players, modules.labels_or_none(y, x_t))
        return samplers.ddim_along(
            denoise, self.schedule, x_t, keys, tau, eta=1.0, clip=self.recipe.clip
        )

    def predict_x0(self, players, x_t, time, y=None):
        """Return x_0_hat [B, *shape], the mean given x_t; time: a number or [B]."""
        denoise = self.denoiser(players, modules.labels_or_none(y, x_t), 0.0)
        t = jnp.maximum(1, self.steps_at(time, x_t))
        x_0 = denoise(x_t, t, jnp.zeros_like(x_t)).x_0
        return jnp.clip(x_0, -1, 1) if self.recipe.clip else x_0

    def steps_at(self, time, x):
        """Return t int32 [B] of a time in [0, 1]; samplers begin at 1, pure noise."""
        time = modules.times(time, x).reshape(-1)
        return jnp.round(time * last_sampling_step(self.schedule)).astype(jnp.int32)

    def prior_term(self, players, x):
        """Return L_T of the bound, nats [B]: the information about x left in x_T."""
        return variational.prior_term(self.schedule, x)

    def bound(self, players, x, keys, y=None):
        """Compute the bound on log p(x), nats [B], by one random x_t for each t."""
        return -sum(self.bound_terms(players, x, keys, y).values())

    def bound_terms(self, players, x, keys, y=None):
        """Return equation 5's terms, nats [B]: the prior, steps T to 2, and step 1."""
        denoise = self.denoiser(players, modules.labels_or_none(y, x), 0.0)

        def term(t):
            noise = randomness.normal(randomness.fold_in(keys, t), self.shape)
            t = jnp.full(len(x), t)
            x_t = q_sample(self.schedule, x, t, noise)
            return self.step_term(denoise(x_t, t, jnp.zeros_like(x)), x, x_t, t)

        def add(total, t):
            return total + term(t), None

        # A scan holds one x_t at a time; T of them would not fit in memory.
        ts = jnp.arange(2, self.schedule.T + 1)
        steps, _ = jax.lax.scan(add, jnp.zeros(len(x)), ts)
        return {
            "prior": variational.prior_term(self.schedule, x),
            "steps": steps,
            "reconstruction": term(jnp.int32(1)),
        }


SAMPLERS: dict[str, Callable[..., jax.Array]] = {
    "ancestral": samplers.ancestral,
    "ddim": samplers.ddim,
    "dpm_solver": samplers.dpm_solver,
    "heun": samplers.heun,
}


def ddpm(
    network: nn.Module,
    *,
    shape: tuple[int, ...],
    optimizer: optax.GradientTransformation,
    schedule: Schedule | None = None,
    recipe: Recipe = HO_ET_AL,
    num_classes: int = 0,
    guidance: float = 0.0,
    ema_halflife_images: tuple[float, ...] = (),
    name: str = "model",
) -> Game:
    """Return the game of a module's DDPM.

    Batches are {"x": [B, *shape], "y": int32 [B] or absent}.

    network: (x_t [B, *shape], t int32 [B], y int32 [B], keys [B] for dropout or None)
        -> [B, *shape]; with twice the channels out for a learned variance, and in for
        self-conditioning. It may have mutable state, and an argument `train: bool`.
    shape: of one example, (H, W, C) for images in [-1, 1], (D,) for points.
    schedule: None for the paper's, T = 1000 and beta_t from 1e-4 to 0.02.
    recipe: the target, the loss, and the distribution of t.
    num_classes: number of classes that the network takes as y; 0 if it ignores y.
    guidance: w of equation 6 in `conditioning.py`, for samples unless given another.
    name: name of the player.

    ops: sample(players, keys, y, *, sampler, sampling_steps, eta, guidance), prior,
    encode and decode (DDIM upwards and down), diffuse, denoise_between, predict_x0,
    prior_term, bound and bound_terms (T evaluations). The sampler is "ddim", "heun" or
    "dpm_solver", with SAMPLER_STEPS steps by default, or "ancestral", with T.

    Raises UserError for an invalid recipe.
    """
    choose("variance", recipe.variance, samplers.VARIANCES)
    choose("loss", recipe.loss, dict.fromkeys(LOSSES))
    _check_recipe(recipe)
    schedule = schedule or make_schedule(linear_betas())
    prediction = make_prediction(recipe.prediction, schedule)
    model = _Ddpm(
        network, tuple(shape), schedule, prediction, recipe, num_classes, guidance, name
    )
    return modules.single_model_game(model, optimizer, ema_halflife_images)


def _check_recipe(recipe: Recipe) -> None:
    if recipe.variance == "learned_range" and recipe.loss == "simple":
        raise UserError(
            "loss=simple does not train variance=learned_range: use loss=hybrid or "
            "loss=variational"
        )
    if recipe.variance != "learned_range" and recipe.loss == "hybrid":
        raise UserError("loss=hybrid needs variance=learned_range")
    if recipe.min_snr and recipe.loss == "variational":
        raise UserError(
            f"min_snr={recipe.min_snr} needs loss=simple or hybrid, not variational"
        )
