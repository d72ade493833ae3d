"""pix2pix (Isola et al. 2017): images to images, a game of two players.

    V(D, G) = E_{x,y} log D(x, y) + E_{x,z} log(1 - D(x, G(x, z)))            (1)
    L_L1(G) = E_{x,y,z} |y - G(x, z)|_1                                       (3)

D maximises V and G minimises V + lambda L_L1, with lambda = 100 (4) and L_L1 the mean
over pixels. x is the input and y the target; D classifies the pair, patch by patch. The
noise z is G's dropout, which stays on when the trained G translates. As in the authors'
code, G has the non-saturating loss and D's loss is halved.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import optax

from gen_jax.errors import choose
from gen_jax.game import Game, Player, Tree, Turn, Weights
from gen_jax.losses import adversarial, terms
from gen_jax.objectives import modules
from gen_jax.ops import Ops


@dataclasses.dataclass(frozen=True, eq=False)
class _Pix2Pix:
    """G, D, their loss and their players' names."""

    generator: nn.Module
    discriminator: Any  # a module, or None for the L1 loss alone
    gan_loss: adversarial.GanLoss
    l1_weight: float
    generator_name: str
    discriminator_name: str

    def init_generator(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return G's first weights, for the batch's x [B, H, W, C]."""
        return modules.init(self.generator, rng, modules.example(batch), None)

    def init_discriminator(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return D's first weights, for pairs x [B, H, W, C], y [B, H, W, C']."""
        pair = modules.example(batch), modules.example(batch, "y")
        return modules.init(self.discriminator, rng, *pair)

    def translate(self, players, x, keys):
        """Return G(x, z) [B, H, W, C']; z: dropout by keys [B], none for None."""
        return modules.apply(self.generator, players[self.generator_name], x, keys)[0]

    def generate(self, players, x, keys):
        """Return G(x, z) [B, H, W, C'] in training, and G's mutable state."""
        mine = players[self.generator_name]
        return modules.apply(self.generator, mine, x, keys, train=True)

    def discriminate(self, mine, x, y):
        """Return D's logits [B, H', W'] for patches of pairs, and its mutable state."""
        return modules.apply(self.discriminator, mine, x, y, train=True)

    def discriminator_loss(self, players, batch, context):
        """Compute D's loss, float32 []: half of -V(D, G) or its replacement."""
        x, y = batch["x"], batch["y"]
        # The keys of the generator's next turn: D sees the image that G will return.
        y_hat, _ = self.generate(players, x, context.shared_keys)
        mine = players[self.discriminator_name]
        real, mutable = self.discriminate(mine, x, y)
        # Two batches, as in the authors' code: BatchNorm does not mix real and fake.
        fake, mutable = self.discriminate(mine._replace(mutable=mutable), x, y_hat)
        value, metrics = adversarial.discriminator_loss(self.gan_loss, real, fake)
        # Section 3.3 halves it to slow D down. Adam nearly cancels such a factor.
        return value / 2, (mutable, metrics)

    def generator_loss(self, players, batch, context):
        """Compute G's loss, float32 []: its adversarial loss plus lambda L_L1 (4)."""
        x, y = batch["x"], batch["y"]
        y_hat, mutable = self.generate(players, x, context.shared_keys)
        # A mean over pixels: lambda = 100 in the authors' code is the weight of this.
        l1 = terms.absolute_error(y, y_hat).mean()
        value, metrics = self.l1_weight * l1, {"l1": l1}
        if self.discriminator is not None:
            mine = players[self.discriminator_name]
            # Only relativistic losses read `real`; XLA removes it from the others.
            real, _ = self.discriminate(mine, x, y)
            fake, _ = self.discriminate(mine, x, y_hat)
            loss, reported = adversarial.generator_loss(self.gan_loss, real, fake)
            value, metrics = value + loss, {**metrics, **reported}
        return value, (mutable, metrics)


def pix2pix(
    generator: nn.Module,
    discriminator: nn.Module | None,
    *,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation | None = None,
    gan_loss: str = "non_saturating",
    l1_weight: float = 100.0,
    ema_halflife_images: tuple[float, ...] = (),
    names: tuple[str, str] = ("generator", "discriminator"),
) -> Game:
    """Return the game of two modules that translates images.

    Batches are {"x": [B, H, W, C], "y": [B, H, W, C']}, input and target in [-1, 1].

    generator: (x [B, H, W, C], keys [B] or None) -> y_hat [B, H, W, C'].
    discriminator: (x, y) -> logits of D, a map [B, H', W'] of patches. None trains the
        generator with the L1 loss alone, the paper's baseline. Either module may have
        mutable state, and an argument `train: bool`.
    gan_loss: one of `adversarial.GAN_LOSSES`.
    l1_weight: lambda.
    ema_halflife_images: half-lives of the generator's averages.
    names: names of the generator and the discriminator.

    ops: translate(players, x, keys) -> y_hat. Raises UserError for an unknown gan_loss.
    """
    chosen = choose("gan_loss", gan_loss, adversarial.GAN_LOSSES)
    members = _Pix2Pix(generator, discriminator, chosen, l1_weight, *names)
    players = {
        names[0]: Player(
            members.init_generator,
            members.generator_loss,
            generator_optimizer,
            ema_halflife_images,
        )
    }
    turns: tuple[Turn, ...] = (Turn(names[:1]),)
    if discriminator is not None:
        players[names[1]] = Player(
            members.init_discriminator,
            members.discriminator_loss,
            discriminator_optimizer,
        )
        turns = (Turn(names[1:]), *turns)
    return Game(players, turns, ops=Ops.of(members))
