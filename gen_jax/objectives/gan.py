"""Generative adversarial networks (Goodfellow et al. 2014): a game of two.

    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))                             (1)

V_G(D), with G held still, is maximised by D; V_D(G), with D held still, is minimised by
G. At the optimum D = 1/2 everywhere and V = -log 4. The turns alternate: the generator
answers the discriminator that has just moved. Where there are labels y, both players
are told them, D(x, y) and G(z, y): Mirza & Osindero (2014). Payoffs that came later,
and what holds D back, are in `adversarial.py`.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.errors import choose
from gen_jax.game import Context, Game, Player, Turn, Weights
from gen_jax.losses import adversarial
from gen_jax.objectives import modules
from gen_jax.ops import Ops

# Of each coordinate of z, from keys [B] and a shape.
PRIORS = {
    "normal": randomness.normal,
    "uniform": randomness.uniform,  # on [-1, 1)
    "unit_cube": lambda keys, shape: (1 + randomness.uniform(keys, shape)) / 2,
    # On +-sqrt(3), of variance 1.
    "unit_uniform": lambda keys, shape: 3**0.5 * randomness.uniform(keys, shape),
}


class Regularization(NamedTuple):
    """What D pays, beside its payoff, for the length of its gradient in x.

    gradient: the weight of `adversarial.gradient_penalty`; 10 in its paper.
    r1: the weight gamma of `adversarial.r1`; 10 in its paper.
    r1_every: R1 is paid in one of so many steps, so many times as much ("lazily",
        Karras et al. 2020).
    """

    gradient: float = 0.0
    r1: float = 0.0
    r1_every: int = 1


NO_REGULARIZATION = Regularization()


@dataclasses.dataclass(frozen=True, eq=False)
class _Gan:
    """G, D and what is played for."""

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    num_classes: int
    gan_loss: adversarial.GanLoss
    prior_name: str
    regularization: Regularization
    shared_noise: bool

    def init_generator(self, rng: jax.Array, batch) -> Weights:
        z = jnp.zeros((1, self.z_dim), jnp.float32)
        return modules.init(self.generator, rng, z, modules.no_labels(1), train=True)

    def init_discriminator(self, rng: jax.Array, batch) -> Weights:
        x, y = modules.example(batch), modules.no_labels(1)
        return modules.init(self.discriminator, rng, x, y, train=True)

    def prior(self, players, keys):
        """z [B, z_dim] of keys [B]."""
        return PRIORS[self.prior_name](keys, (self.z_dim,))

    def draw(self, players, y, keys):
        """G(z, y) for a z of each key, while training, and G's mutable state."""
        keys_z, keys_dropout = randomness.split(keys, 2)
        z, mine = self.prior(players, keys_z), players["generator"]
        return modules.apply(self.generator, mine, z, y, train=True, keys=keys_dropout)

    def discriminate(self, weights, x, y, keys):
        """D's logits of x, while training, and D's mutable state."""
        return modules.apply(self.discriminator, weights, x, y, train=True, keys=keys)

    def noise(self, context: Context):
        """Keys of z: a player's own, or those that all turns of a step share."""
        return context.shared_keys if self.shared_noise else context.keys

    def discriminator_loss(self, players, batch, context):
        """-V(D, G), equation 1, or what is played in its place, and the penalties."""
        x, y = batch["x"], modules.labels(batch)
        keys_real, keys_fake, keys_u = randomness.split(
            randomness.fold_in(context.keys, 2), 3
        )
        x_fake, _ = self.draw(players, y, self.noise(context))
        mine = players["discriminator"]
        real, mutable = self.discriminate(mine, x, y, keys_real)
        mine = mine._replace(mutable=mutable)
        fake, mutable = self.discriminate(mine, x_fake, y, keys_fake)
        value, metrics = adversarial.discriminator_loss(self.gan_loss, real, fake)

        def score(x):
            return self.discriminate(mine, x, y, keys_real)[0]

        if self.regularization.gradient:
            u = (1 + randomness.uniform(keys_u, ())) / 2
            penalty = adversarial.gradient_penalty(score, x, x_fake, u).mean()
            value += self.regularization.gradient * penalty
            metrics["gradient_penalty"] = penalty
        if self.regularization.r1:
            value += self.r1(score, x, context.step)
        return value, (mutable, metrics)

    def r1(self, score, x, step):
        """gamma R1 of the real images, in the steps in which it is due."""
        _, gamma, every = self.regularization
        return jax.lax.cond(
            step % every == 0,
            lambda: every * gamma * adversarial.r1(score, x).mean(),
            lambda: jnp.float32(0),
        )

    def generator_loss(self, players, batch, context):
        """The second term of equation 1, or what is played in its place."""
        y = modules.labels(batch)
        x_fake, mutable = self.draw(players, y, self.noise(context))
        keys = randomness.fold_in(context.keys, 2)
        fake, _ = self.discriminate(players["discriminator"], x_fake, y, keys)
        keys = randomness.fold_in(context.keys, 3)
        real, _ = self.discriminate(players["discriminator"], batch["x"], y, keys)
        value, metrics = adversarial.generator_loss(self.gan_loss, real, fake)
        return value, (mutable, metrics)

    def sample(self, players, keys, y=None):
        """G(z, y) for a z of each key: a sample depends on its own key alone."""
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        return self.decode(
            players, self.prior(players, randomness.split(keys, 2)[0]), y
        )

    def decode(self, players, z, y=None):
        """G(z, y) by running statistics, without dropout."""
        y = modules.labels_or_none(y, z)
        x, _ = modules.apply(self.generator, players["generator"], z, y, train=False)
        return x

    def score(self, players, x, y=None):
        """D's logits [B] of x under labels y, by running statistics."""
        y, mine = modules.labels_or_none(y, x), players["discriminator"]
        logits, _ = modules.apply(self.discriminator, mine, x, y, train=False)
        return logits


def gan(
    generator: nn.Module,
    discriminator: nn.Module,
    *,
    z_dim: int,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    num_classes: int = 0,
    gan_loss: str = "non_saturating",
    regularization: Regularization = NO_REGULARIZATION,
    critic_turns: int = 1,
    prior: str = "normal",
    shared_noise: bool = False,
    ema_halflife_images: tuple[float, ...] = (),
) -> Game:
    """The GAN of two modules, on batches {"x": [B, ...], "y": int32 [B] or absent}.

    generator: (z [B, z_dim], y [B], train=bool, keys=[B] or None) -> x [B, ...].
    discriminator: (x [B, ...], y [B], train=bool, keys=[B] or None) -> logits of D,
        [B] or a map of them. The keys are for dropout; y is -1 where there is no label.
    num_classes: how many classes the modules tell apart; 0 where they ignore y.
    payoff: one of `adversarial.GAN_LOSSES`.
    penalties: on D's gradient; for a D that treats every image by itself.
    critic_turns: D's turns in a step, each on its own part of the batch, before G's.
    prior: of z: one of `PRIORS`.
    shared_noise: whether all turns of a step draw the same z for the same example.
    ema_halflife_images: half-lives of the generator's averages.

    Either module may have mutable state. Real and generated images go through D as
    two batches, each with BatchNorm statistics of its own, and D's running ones see
    both. ops: sample, prior, decode (all of G) and score (D's logits of x given y).
    Raises UserError for an unknown payoff or prior.
    """
    choose("prior", prior, PRIORS)
    members = _Gan(
        generator,
        discriminator,
        z_dim,
        num_classes,
        gan_loss=choose("gan_loss", gan_loss, adversarial.GAN_LOSSES),
        prior_name=prior,
        regularization=regularization,
        shared_noise=shared_noise,
    )
    generator_player = Player(
        members.init_generator,
        members.generator_loss,
        generator_optimizer,
        ema_halflife_images,
    )
    discriminator_player = Player(
        members.init_discriminator, members.discriminator_loss, discriminator_optimizer
    )
    critic = tuple(Turn(("discriminator",), part) for part in range(critic_turns))
    return Game(
        {"generator": generator_player, "discriminator": discriminator_player},
        turns=(*critic, Turn(("generator",))),
        ops=Ops.of(members),
        num_classes=num_classes,
    )
