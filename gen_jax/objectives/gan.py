"""Generative adversarial networks (Goodfellow et al. 2014): a game of two players.

    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))                             (1)

V_G(D), with G held still, is maximised by D; V_D(G), with D held still, is minimised by
G. At the optimum D = 1/2 everywhere and V = -log 4. The turns alternate: the generator
answers the discriminator that has just moved. With labels y both players are given
them, D(x, y) and G(z, y): Mirza & Osindero (2014). Later losses, and penalties on D,
are in `losses/adversarial.py`.

`discriminate` is a function of a discriminator's state, for larger games.
"""

import dataclasses
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.errors import choose
from gen_jax.game import Game, Player, PlayerState, Tree, Turn, Weights
from gen_jax.losses import adversarial
from gen_jax.objectives import modules
from gen_jax.ops import Ops

# Distributions of each coordinate of z: (keys [B], shape) -> [B, *shape].
PRIORS = {
    "normal": randomness.normal,
    "uniform": randomness.uniform,  # on [-1, 1)
    "unit_cube": randomness.fraction,
    # On +-sqrt(3), with variance 1.
    "unit_uniform": lambda keys, shape: 3**0.5 * randomness.uniform(keys, shape),
}


class Regularization(NamedTuple):
    """Penalties on the length of D's gradient in x, added to its loss.

    gradient: weight of `adversarial.gradient_penalty`; 10 in its paper.
    r1: weight gamma of `adversarial.r1`; 10 in its paper.
    r1_every: k to add k R1 in one of k steps ("lazily", Karras et al. 2020).
    """

    gradient: float = 0.0
    r1: float = 0.0
    r1_every: int = 1


NO_REGULARIZATION = Regularization()


def discriminate(
    discriminator: nn.Module,
    player: Weights | PlayerState,
    x: jax.Array,
    y: jax.Array | None = None,
    keys: jax.Array | None = None,
    train: bool = False,
) -> tuple[jax.Array, Tree]:
    """Return D's logits for x [B, ...], [B] or a map, and its new mutable state.

    y: labels int32 [B]; None for no labels. keys: [B], for dropout; None leaves it out.
    train: whether BatchNorm uses the batch.
    """
    y = modules.labels_or_none(y, x)
    return modules.apply(discriminator, player, x, y, train=train, keys=keys)


@dataclasses.dataclass(frozen=True, eq=False)
class _Gan:
    """G, D, their loss and their players' names."""

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    num_classes: int
    gan_loss: adversarial.GanLoss
    prior_name: str
    regularization: Regularization
    shared_noise: bool
    generator_name: str
    discriminator_name: str

    def init_generator(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return G's first weights, for z [B, z_dim]."""
        z = jnp.zeros((1, self.z_dim), jnp.float32)
        return modules.init(self.generator, rng, z, modules.no_labels(1))

    def init_discriminator(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return D's first weights, for the batch's x [B, ...]."""
        x, y = modules.example(batch), modules.no_labels(1)
        return modules.init(self.discriminator, rng, x, y)

    def as_players(self, generator_optimizer, discriminator_optimizer, halflives):
        """Return the two players by name."""
        generator = Player(
            self.init_generator, self.generator_loss, generator_optimizer, halflives
        )
        discriminator = Player(
            self.init_discriminator, self.discriminator_loss, discriminator_optimizer
        )
        return {
            self.generator_name: generator,
            self.discriminator_name: discriminator,
        }

    def prior(self, players, keys):
        """Return z [B, z_dim], one by each key."""
        return PRIORS[self.prior_name](keys, (self.z_dim,))

    def draw(self, players, y, keys):
        """Return G(z, y) [B, ...] in training, z by the keys, and G's mutable state."""
        keys_z, keys_dropout = randomness.split(keys, 2)
        z, mine = self.prior(players, keys_z), players[self.generator_name]
        return modules.apply(self.generator, mine, z, y, train=True, keys=keys_dropout)

    def discriminate(self, player, x, y, keys):
        """Return D's logits for x [B, ...] in training, and D's mutable state."""
        return discriminate(self.discriminator, player, x, y, keys, train=True)

    def noise(self, context):
        """Return z's keys [B]: the player's own, or those that all turns share."""
        return context.shared_keys if self.shared_noise else context.keys

    def discriminator_loss(self, players, batch, context):
        """Compute D's loss, float32 []: -V(D, G) or its replacement, plus penalties."""
        x, y = batch["x"], modules.labels(batch)
        # Stream 2, since `draw` splits the same keys in two: its streams are 0 and 1.
        keys_real, keys_fake, keys_u = randomness.split(
            randomness.fold_in(context.keys, 2), 3
        )
        x_fake, _ = self.draw(players, y, self.noise(context))
        mine = players[self.discriminator_name]
        real, mutable = self.discriminate(mine, x, y, keys_real)
        # The running statistics see both batches, the real one first.
        mine = mine._replace(mutable=mutable)
        fake, mutable = self.discriminate(mine, x_fake, y, keys_fake)
        value, metrics = adversarial.discriminator_loss(self.gan_loss, real, fake)

        def score(x):  # with the dropout masks of the loss on real images
            return self.discriminate(mine, x, y, keys_real)[0]

        if self.regularization.gradient:
            u = randomness.fraction(keys_u)
            penalty = adversarial.gradient_penalty(score, x, x_fake, u).mean()
            value += self.regularization.gradient * penalty
            metrics["gradient_penalty"] = penalty
        if self.regularization.r1:
            value += self.r1(score, x, context.step)
        return value, (mutable, metrics)

    def r1(self, score, x, step):
        """Return r1_every gamma R1 of x [B, ...] in one of r1_every steps, else 0."""
        _, gamma, every = self.regularization
        # Not `where`, which would compute the second derivatives in every step.
        return jax.lax.cond(
            step % every == 0,
            # Times `every`, so that the mean strength is that of R1 in every step.
            lambda: every * gamma * adversarial.r1(score, x).mean(),
            lambda: jnp.float32(0),
        )

    def generator_loss(self, players, batch, context):
        """Compute G's loss, float32 []: equation 1's second term or its replacement."""
        y = modules.labels(batch)
        x_fake, mutable = self.draw(players, y, self.noise(context))
        keys = randomness.fold_in(context.keys, 2)
        mine = players[self.discriminator_name]
        fake, _ = self.discriminate(mine, x_fake, y, keys)
        keys = randomness.fold_in(context.keys, 3)
        # Most losses ignore the logits of real images; XLA then removes this pass.
        real, _ = self.discriminate(mine, batch["x"], y, keys)
        value, metrics = adversarial.generator_loss(self.gan_loss, real, fake)
        return value, (mutable, metrics)

    def sample(self, players, keys, y=None):
        """Return G(z, y) [B, ...]; each sample depends on its own key alone."""
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        # Split as in `draw`, so that a key gives the same z as in training.
        return self.decode(
            players, self.prior(players, randomness.split(keys, 2)[0]), y
        )

    def decode(self, players, z, y=None):
        """Return G(z, y) [B, ...] by running statistics, without dropout."""
        y, mine = modules.labels_or_none(y, z), players[self.generator_name]
        return modules.apply(self.generator, mine, z, y, train=False)[0]

    def score(self, players, x, y=None):
        """Return D's logits [B] for x [B, ...] and labels y, by running statistics."""
        mine = players[self.discriminator_name]
        return discriminate(self.discriminator, mine, x, y)[0]


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
    names: tuple[str, str] = ("generator", "discriminator"),
) -> Game:
    """Return the game of two modules.

    Batches are {"x": [B, ...], "y": int32 [B] or absent}.

    generator: (z [B, z_dim], y [B], train=bool, keys=[B] or None) -> x [B, ...].
    discriminator: (x [B, ...], y [B], train=bool, keys=[B] or None) -> logits of D,
        [B] or a map of them. The keys are for dropout; y is -1 for no label.
    num_classes: number of classes that the modules take as y; 0 if they ignore it.
    gan_loss: one of `adversarial.GAN_LOSSES`.
    regularization: of D's gradient; for a D that treats each image independently.
    critic_turns: D's turns in a step, each on its own part of the batch, before G's.
    prior: distribution of z, one of `PRIORS`.
    shared_noise: whether all turns of a step use the same z for the same example.
    ema_halflife_images: half-lives of the generator's averages.
    names: names of the generator and the discriminator.

    Real and generated images go through D as two batches, each with its own BatchNorm
    statistics. ops: sample, prior, decode (all of G) and score (D's logits for x, y).
    Raises UserError for an unknown gan_loss or prior.
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
        generator_name=names[0],
        discriminator_name=names[1],
    )
    players = members.as_players(
        generator_optimizer, discriminator_optimizer, ema_halflife_images
    )
    # Parts, since Arjovsky et al. (2017), algorithm 1, draw a new batch for each turn.
    critic = tuple(Turn(names[1:], part) for part in range(critic_turns))
    turns = (*critic, Turn(names[:1]))
    return Game(players, turns, Ops.of(members), num_classes)
