"""pix2pix (Isola et al. 2017): pictures to pictures, a game of two.

    V(D, G) = E_{x,y} log D(x, y) + E_{x,z} log(1 - D(x, G(x, z)))            (1)
    L_L1(G) = E_{x,y,z} |y - G(x, z)|_1                                       (3)

D maximises V and G minimises V + lambda L_L1, lambda = 100 (4), L_L1 the mean over
pixels. x is the input, y the target; D judges the pair, patch by patch. The noise z is
G's dropout, which stays on when the trained G translates. As in the authors' code, G
plays the non-saturating form and D's loss is halved.
"""

import dataclasses

import flax.linen as nn
import jax
import optax

from gen_jax.errors import choose
from gen_jax.game import Game, Player, Turn, Weights
from gen_jax.losses import adversarial, terms
from gen_jax.objectives import modules
from gen_jax.ops import Ops


@dataclasses.dataclass(frozen=True, eq=False)
class _Pix2Pix:
    """G, D and what is played for."""

    generator: nn.Module
    discriminator: nn.Module | None
    gan_loss: adversarial.GanLoss
    l1_weight: float

    def init_generator(self, rng: jax.Array, batch) -> Weights:
        x = modules.example(batch)
        return Weights(modules.init_params(self.generator, rng, x, None))

    def init_discriminator(self, rng: jax.Array, batch) -> Weights:
        pair = modules.example(batch), modules.example(batch, "y")
        return Weights(modules.init_params(self.discriminator, rng, *pair))

    def translate(self, players, x, keys):
        """G(x, z), z being the dropout of keys [B]; None leaves it out."""
        params = players["generator"].params
        return modules.apply_params(self.generator, params, x, keys)

    def discriminate(self, players, x, y):
        """D's logits of the pair's patches."""
        params = players["discriminator"].params
        return modules.apply_params(self.discriminator, params, x, y)

    def discriminator_loss(self, players, batch, context):
        """-V(D, G) / 2, equation 1."""
        x, y = batch["x"], batch["y"]
        # The keys of the generator's coming turn: D sees the picture that G will show.
        y_hat = self.translate(players, x, context.shared_keys)
        real, fake = (
            self.discriminate(players, x, y),
            self.discriminate(players, x, y_hat),
        )
        value, metrics = adversarial.discriminator_loss(self.gan_loss, real, fake)
        return value / 2, ({}, metrics)

    def generator_loss(self, players, batch, context):
        """What G plays in V's place, plus lambda L_L1; equation 4."""
        x, y = batch["x"], batch["y"]
        y_hat = self.translate(players, x, context.shared_keys)
        l1 = terms.absolute_error(y, y_hat).mean()
        value, metrics = self.l1_weight * l1, {"l1": l1}
        if self.discriminator is not None:
            real = self.discriminate(players, x, y)
            fake = self.discriminate(players, x, y_hat)
            loss, reported = adversarial.generator_loss(self.gan_loss, real, fake)
            value, metrics = value + loss, {**metrics, **reported}
        return value, ({}, metrics)


def pix2pix(
    generator: nn.Module,
    discriminator: nn.Module | None,
    *,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation | None = None,
    gan_loss: str = "non_saturating",
    l1_weight: float = 100.0,
    ema_halflife_images: tuple[float, ...] = (),
) -> Game:
    """The translator of two modules without mutable state.

    On batches {"x": [B, H, W, C], "y": [B, H, W, C']}, input and target in [-1, 1].

    generator: (x [B, H, W, C], keys [B] or None) -> y_hat [B, H, W, C'].
    discriminator: (x, y) -> logits of D, a map [B, H', W'] of patches; None for the
        paper's baseline, a generator that has the L1 loss alone.
    payoff: one of `adversarial.GAN_LOSSES`.
    l1_weight: lambda.
    ema_halflife_images: half-lives of the generator's averages.

    ops: translate(board, x, keys) -> y_hat. Raises UserError for an unknown payoff.
    """
    gan_loss = choose("gan_loss", gan_loss, adversarial.GAN_LOSSES)
    members = _Pix2Pix(generator, discriminator, gan_loss, l1_weight)
    players = {
        "generator": Player(
            members.init_generator,
            members.generator_loss,
            generator_optimizer,
            ema_halflife_images,
        )
    }
    turns = (Turn(("generator",)),)
    if discriminator is not None:
        players["discriminator"] = Player(
            members.init_discriminator,
            members.discriminator_loss,
            discriminator_optimizer,
        )
        turns = (Turn(("discriminator",)), *turns)
    return Game(players, turns, ops=Ops.of(members))
