"""Generative adversarial networks (Goodfellow et al. 2014): a game of two.

    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))                             (1)

V_G(D), with G held still, is maximised by D; V_D(G), with D held still, is minimised by
G. At the optimum D = 1/2 everywhere and V = -log 4. The turns alternate: the generator
answers the discriminator that has just moved.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import losses, randomness
from gen_jax.errors import choose
from gen_jax.game import Game, Player, Turn, Weights
from gen_jax.objectives import modules

# What the generator minimises the mean of, from the logits of its samples.
PAYOFFS = {
    "minimax": losses.log_one_minus_d,
    # Same fixed point, but a gradient where D is sure of itself (their section 3).
    "non_saturating": lambda logits: -losses.log_d(logits),
}
PRIORS = {"normal": randomness.normal, "uniform": randomness.uniform}


@dataclasses.dataclass(frozen=True, eq=False)
class _Gan:
    """G, D and what is played for."""

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    prior: Callable  # (keys [B], shape) -> z [B, *shape]
    payoff: Callable  # D's logits of samples -> what G minimises the mean of

    def init_generator(self, rng: jax.Array, batch) -> Weights:
        z = jnp.zeros((1, self.z_dim), jnp.float32)
        return modules.init(self.generator, rng, z, train=True)

    def init_discriminator(self, rng: jax.Array, batch) -> Weights:
        x = modules.example(batch)
        return modules.init(self.discriminator, rng, x, train=True)

    def generate(self, board, keys, *, train: bool):
        """G(z) for a z of each key, and G's mutable state."""
        z = self.prior(keys, (self.z_dim,))
        return modules.apply(self.generator, board["generator"], z, train=train)

    def judge(self, weights, x):
        """D's logits of x, and D's mutable state."""
        return modules.apply(self.discriminator, weights, x, train=True)

    def discriminator_loss(self, board, batch, context):
        """-V(D, G), equation 1."""
        x_fake, _ = self.generate(board, context.keys, train=True)
        mine = board["discriminator"]
        real, mutable = self.judge(mine, batch["x"])
        fake, mutable = self.judge(mine._replace(mutable=mutable), x_fake)
        value = losses.log_d(real).mean() + losses.log_one_minus_d(fake).mean()
        return -value, (mutable, {"d_real": _mean_d(real), "d_fake": _mean_d(fake)})

    def generator_loss(self, board, batch, context):
        """The second term of equation 1, or what is played in its place."""
        x_fake, mutable = self.generate(board, context.keys, train=True)
        fake, _ = self.judge(board["discriminator"], x_fake)
        return self.payoff(fake).mean(), (mutable, {"d_fake": _mean_d(fake)})

    def sample(self, board, keys):
        """G(z) by running statistics: a sample depends on its own key alone."""
        x, _ = self.generate(board, keys, train=False)
        return x


def gan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    z_dim: int,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    payoff: str = "non_saturating",
    prior: str = "normal",
    ema_halflife_images: tuple[float, ...] = (),
) -> Game:
    """The GAN of two modules, on batches {"x": [B, ...]}, images in [-1, 1].

    generator: (z [B, z_dim], train=bool) -> x [B, ...].
    discriminator: (x [B, ...], train=bool) -> logits of D, [B] or a map of them.
    payoff: the generator's, "non_saturating" or "minimax".
    prior: of z, "normal" for N(0, I) or "uniform" for uniform on [-1, 1).
    ema_halflife_images: half-lives of the generator's averages.

    Either module may have mutable state. Real and generated images go through D as
    two batches, each with BatchNorm statistics of its own, and D's running ones see
    both. ops: sample. Raises UserError for an unknown payoff or prior.
    """
    members = _Gan(
        generator,
        discriminator,
        z_dim,
        prior=choose("prior", prior, PRIORS),
        payoff=choose("payoff", payoff, PAYOFFS),
    )
    return Game(
        players={
            "generator": Player(
                members.init_generator,
                members.generator_loss,
                generator_optimizer,
                ema_halflife_images,
            ),
            "discriminator": Player(
                members.init_discriminator,
                members.discriminator_loss,
                discriminator_optimizer,
            ),
        },
        turns=(Turn(("discriminator",)), Turn(("generator",))),
        ops={"sample": members.sample},
    )


def _mean_d(logits: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(logits).mean()
