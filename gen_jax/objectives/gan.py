"""Generative adversarial networks (Goodfellow et al. 2014): a game of two.

    V(D, G) = E_x log D(x) + E_z log(1 - D(G(z)))                             (1)

V_G(D), with G held still, is maximised by D; V_D(G), with D held still, is minimised by
G. At the optimum D = 1/2 everywhere and V = -log 4. The turns alternate: the generator
answers the discriminator that has just moved.
"""

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
    generator_term = choose("payoff", payoff, PAYOFFS)
    draw = choose("prior", prior, PRIORS)

    def init_generator(rng: jax.Array, batch) -> Weights:
        z = jnp.zeros((1, z_dim), jnp.float32)
        return modules.init(generator, rng, z, train=True)

    def init_discriminator(rng: jax.Array, batch) -> Weights:
        return modules.init(discriminator, rng, modules.example(batch), train=True)

    def discriminator_loss(board, batch, context):
        z = draw(context.keys, (z_dim,))
        x_fake, _ = modules.apply(generator, board["generator"], z, train=True)
        mine = board["discriminator"]
        real, mutable = modules.apply(discriminator, mine, batch["x"], train=True)
        mine = mine._replace(mutable=mutable)
        fake, mutable = modules.apply(discriminator, mine, x_fake, train=True)
        value = losses.log_d(real).mean() + losses.log_one_minus_d(fake).mean()
        return -value, (mutable, {"d_real": _mean_d(real), "d_fake": _mean_d(fake)})

    def generator_loss(board, batch, context):
        z = draw(context.keys, (z_dim,))
        x_fake, mutable = modules.apply(generator, board["generator"], z, train=True)
        fake, _ = modules.apply(
            discriminator, board["discriminator"], x_fake, train=True
        )
        return generator_term(fake).mean(), (mutable, {"d_fake": _mean_d(fake)})

    def sample(board, keys):
        z = draw(keys, (z_dim,))
        x, _ = modules.apply(generator, board["generator"], z, train=False)
        return x

    return Game(
        players={
            "generator": Player(
                init_generator,
                generator_loss,
                generator_optimizer,
                ema_halflife_images,
            ),
            "discriminator": Player(
                init_discriminator, discriminator_loss, discriminator_optimizer
            ),
        },
        turns=(Turn(("discriminator",)), Turn(("generator",))),
        ops={"sample": sample},
    )


def _mean_d(logits: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(logits).mean()
