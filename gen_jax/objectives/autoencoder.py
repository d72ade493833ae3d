"""Autoencoders: variational (Kingma & Welling 2013), and plain. Games of one player.

    log p(x) >= ELBO(x) = -KL(q(z|x) || p(z)) + E_{q(z|x)} log p(x|z)         (3)

with p(z) = N(0, I) and q(z|x) = N(mean(x), var(x) I), in nats per image. The gradient
flows through the random z = mean + sqrt(var) eps. With labels y everything is
conditioned on them: q(z|x, y) and p(x|z, y) (Sohn et al. 2015).

The plain autoencoder is the same without noise: z = f(x), and it maximises log p(x|z)
alone. It has no prior. New images come from a Gaussian fitted to the codes of its
training images.

A player holds both modules, as params {"encoder", "decoder"}. `encode`, `decode` and
`reparameterise` are functions of such a player, for games of which it is a part.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.game import Game, PlayerState, Tree, Weights
from gen_jax.losses import terms
from gen_jax.losses.likelihoods import Likelihood, bernoulli
from gen_jax.objectives import modules
from gen_jax.ops import Op

_CODES = 0.01  # weight of the newest batch in the fitted Gaussian, after 100 batches
_MAX_LOG_VAR = 20.0  # of a random z


def encode(
    encoder: nn.Module,
    player: Weights | PlayerState,
    x: jax.Array,
    y: jax.Array | None = None,
    train: bool = False,
) -> tuple[tuple[jax.Array, ...], Tree]:
    """Return the encoder's heads for x [B, ...], and the player's new mutable state.

    The heads are arrays [B, z_dim]: mean and log variance of q(z|x, y), or z alone.
    y: labels int32 [B]; None for no labels. train: whether BatchNorm uses the batch.
    """
    y = modules.labels_or_none(y, x)
    return modules.apply_part("encoder", encoder, player, x, y, train=train)


def decode(
    decoder: nn.Module,
    player: Weights | PlayerState,
    z: jax.Array,
    y: jax.Array | None = None,
    train: bool = False,
) -> tuple[jax.Array, Tree]:
    """Return the likelihood's parameters for z [B, z_dim], and the new mutable state.

    The likelihood makes p(x|z, y) of them, [B, ...]. y, train: as in `encode`.
    """
    y = modules.labels_or_none(y, z)
    return modules.apply_part("decoder", decoder, player, z, y, train=train)


def reparameterise(
    mean: jax.Array, log_var: jax.Array, keys: jax.Array | None
) -> jax.Array:
    """Return z [B, z_dim] ~ N(mean, var), one by each key; the mean if keys are None.

    The variance is e^20 at most.
    """
    if keys is None:
        return mean
    # More noise would teach the decoder nothing; only the KL can lower the variance.
    scale = jnp.exp(0.5 * jnp.minimum(log_var, _MAX_LOG_VAR))
    return mean + scale * randomness.normal(keys, mean.shape[1:])


@dataclasses.dataclass(frozen=True, eq=False)
class _Autoencoder:
    """Encoder and decoder, which share one player."""

    encoder: nn.Module
    decoder: nn.Module
    z_dim: int
    likelihood: Likelihood
    num_classes: int
    name: str
    encode: ClassVar[Op]
    prior: ClassVar[Op]

    def init(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return the first weights of both modules, for a batch of x [B, ...]."""
        rng_encoder, rng_decoder = jax.random.split(rng)
        x, z = modules.example(batch), jnp.zeros((1, self.z_dim), jnp.float32)
        y = modules.no_labels(1)
        return modules.join(
            {
                "encoder": modules.init(self.encoder, rng_encoder, x, y),
                "decoder": modules.init(self.decoder, rng_decoder, z, y),
            }
        )

    def log_prob(self, mine, x, z, y, train=False):
        """Return log p(x|z, y), nats [B], and the mutable state after it."""
        out, mutable = decode(self.decoder, mine, z, y, train)
        return terms.sum_per_example(self.likelihood.log_prob(x, out)), mutable

    def sample(self, players, keys, y=None):
        """Return x_hat [B, ...] for a z of the prior by each key."""
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        return self.decode(players, self.prior(players, keys), y)

    def decode(self, players, z, y=None):
        """Return x_hat [B, ...], the mean of p(x|z, y)."""
        return self.likelihood.mean(decode(self.decoder, players[self.name], z, y)[0])

    def reconstruct(self, players, x, keys=None, y=None):
        """Return x_hat [B, ...], decoded from the z that `encode` returns."""
        return self.decode(players, self.encode(players, x, keys, y), y)


@dataclasses.dataclass(frozen=True, eq=False)
class _Plain(_Autoencoder):
    """z = f(x), and a Gaussian of the codes as mutable state."""

    def init(self, rng: jax.Array, batch: Tree) -> Weights:
        """Return the first weights, with N(0, I) as the Gaussian of codes [z_dim]."""
        weights = super().init(rng, batch)
        codes = {"mean": jnp.zeros(self.z_dim), "cov": jnp.eye(self.z_dim)}
        return weights._replace(mutable={**weights.mutable, "codes": codes})

    def encode(self, players, x, keys=None, y=None):
        """Return z = f(x, y), [B, z_dim]; keys are ignored."""
        (z,), _ = encode(self.encoder, players[self.name], x, y)
        return z

    def loss(self, players, batch, context):
        """Compute the mean of -log p(x|z, y), nats []; update the codes' Gaussian."""
        x, y, mine = batch["x"], modules.labels(batch), players[self.name]
        (z,), mutable = encode(self.encoder, mine, x, y, train=True)
        mine = mine._replace(mutable=mutable)
        log_p, mutable = self.log_prob(mine, x, z, y, train=True)
        mutable = {**mutable, "codes": self.fitted(mine, context.gather(z))}
        return -log_p.mean(), (mutable, {"reconstruction": log_p.mean()})

    def fitted(self, mine, z):
        """Return the Gaussian of all codes so far; z: the newest codes, [B, z_dim].

        mean: [z_dim]. cov: [z_dim, z_dim]. Older codes weigh less.
        """
        z, codes = jax.lax.stop_gradient(z), mine.mutable["codes"]
        fraction = jnp.maximum(_CODES, 1 / (mine.updates.astype(jnp.float32) + 1))
        mean = codes["mean"] + fraction * (z.mean(axis=0) - codes["mean"])
        residual = z - mean[None]
        cov = jnp.einsum("bi,bj->ij", residual, residual) / len(z)
        return {"mean": mean, "cov": codes["cov"] + fraction * (cov - codes["cov"])}

    def prior(self, players, keys):
        """Return z [B, z_dim] from the Gaussian fitted to the training codes."""
        codes = players[self.name].mutable["codes"]
        # A direction that the codes do not use has an eigenvalue of 0, or just below.
        variance, axes = jnp.linalg.eigh(codes["cov"])
        scale = jnp.sqrt(jnp.maximum(variance, 0))
        eps = randomness.normal(keys, (self.z_dim,))
        return codes["mean"][None] + (eps * scale[None]) @ axes.T


@dataclasses.dataclass(frozen=True, eq=False)
class _Variational(_Autoencoder):
    """q(z|x, y), and equation 3."""

    beta: float
    kl_warmup_steps: int
    draws: int

    def elbo_terms(self, mine, x, keys, y, train=False):
        """Return equation 3's two terms, nats [B] each, and the new mutable state."""
        (mean, log_var), mutable = encode(self.encoder, mine, x, y, train)
        # 1. KL, in closed form
        kl = terms.sum_per_example(terms.gaussian_kl(mean, log_var))
        # 2. RECONSTRUCTION, an average over random z
        streams = [keys] if self.draws == 1 else randomness.split(keys, self.draws)
        total = 0
        for stream in streams:
            z = reparameterise(mean, log_var, stream)
            mine = mine._replace(mutable=mutable)
            log_p, mutable = self.log_prob(mine, x, z, y, train)
            total += log_p
        return kl, total / len(streams), mutable

    def loss(self, players, batch, context):
        """Compute the mean of beta KL - log p(x|z, y), nats []."""
        x, y, mine = batch["x"], modules.labels(batch), players[self.name]
        kl, log_p, mutable = self.elbo_terms(mine, x, context.keys, y, train=True)
        metrics = {
            "kl": kl.mean(),
            "reconstruction": log_p.mean(),
            "elbo": (log_p - kl).mean(),
        }
        value = (self.weight(context.step) * kl - log_p).mean()
        return value, (mutable, metrics)

    def weight(self, step):
        """Return the KL's weight at a step: beta, reached linearly from 0."""
        if not self.kl_warmup_steps:
            return self.beta
        fraction = (step.astype(jnp.float32) + 1) / self.kl_warmup_steps
        return self.beta * jnp.minimum(fraction, 1)

    def bound(self, players, x, keys, y=None):
        """Return ELBO(x), nats [B], for any beta."""
        return -sum(self.bound_terms(players, x, keys, y).values())

    def bound_terms(self, players, x, keys, y=None):
        """Return the terms of -ELBO(x), nats [B] each."""
        kl, log_p, _ = self.elbo_terms(players[self.name], x, keys, y)
        return {"kl": kl, "reconstruction": -log_p}

    def importance_weights(self, players, x, keys, y=None):
        """Return log p(x, z) - log q(z|x) of one z ~ q, nats [B].

        The log of the mean of their exponentials bounds log p(x); more z make the bound
        tighter. Burda et al. (2016), equation 8.
        """
        mine = players[self.name]
        (mean, log_var), _ = encode(self.encoder, mine, x, y)
        z = reparameterise(mean, log_var, keys)
        zero = jnp.zeros_like(z)
        log_prior = terms.gaussian_log_likelihood(z, zero, 0.0)
        log_q = terms.gaussian_log_likelihood(z, mean, 0.5 * log_var)
        ratio = terms.sum_per_example(log_prior - log_q)
        return self.log_prob(mine, x, z, y)[0] + ratio

    def encode(self, players, x, keys=None, y=None):
        """Return z [B, z_dim] from q(z|x, y), one by each key; its mean for None."""
        (mean, log_var), _ = encode(self.encoder, players[self.name], x, y)
        return reparameterise(mean, log_var, keys)

    def prior(self, players, keys):
        """Return z [B, z_dim] from N(0, I), one by each key."""
        return randomness.normal(keys, (self.z_dim,))


def autoencoder(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    z_dim: int,
    optimizer: optax.GradientTransformation,
    likelihood: Likelihood | None = None,
    num_classes: int = 0,
    ema_halflife_images: tuple[float, ...] = (),
    name: str = "model",
) -> Game:
    """Return the game of a plain autoencoder of two modules, on batches as `vae`.

    encoder: (x [B, ...], y int32 [B]) -> (z [B, z_dim],), a tuple of one.
    All other arguments are as in `vae`. The player's mutable state has the `mean` and
    `cov` of its codes, under "codes". ops: sample, prior, encode, decode, reconstruct.
    """
    likelihood = likelihood or bernoulli()
    model = _Plain(encoder, decoder, z_dim, likelihood, num_classes, name)
    return modules.single_model_game(model, optimizer, ema_halflife_images)


def vae(
    encoder: nn.Module,
    decoder: nn.Module,
    *,
    z_dim: int,
    optimizer: optax.GradientTransformation,
    likelihood: Likelihood | None = None,
    num_classes: int = 0,
    beta: float = 1.0,
    kl_warmup_steps: int = 0,
    draws: int = 1,
    ema_halflife_images: tuple[float, ...] = (),
    name: str = "model",
) -> Game:
    """Return the game of a VAE of two modules.

    Batches are {"x": [B, ...], "y": int32 [B] or absent}.

    encoder: (x [B, ...], y int32 [B]) -> (mean [B, z_dim], log_var [B, z_dim]).
    decoder: (z [B, z_dim], y int32 [B]) -> the likelihood's parameters. Either module
        may have mutable state, and an argument `train: bool`.
    likelihood: p(x|z); by default `likelihoods.bernoulli()`, for x in [-1, 1].
    num_classes: number of classes that the modules take as y; 0 if they ignore it.
    beta: weight of the KL (Higgins et al. 2017); 1 for the bound itself.
    kl_warmup_steps: steps over which beta rises linearly from 0 (Bowman et al. 2016).
    draws: number of z for each image, L in Kingma & Welling.
    name: name of the player.

    The player's parameters are {"encoder", "decoder"}. It reports the ELBO and its two
    terms: `kl` and `reconstruction` = log p(x|z). ops: sample, prior, encode, decode,
    reconstruct, bound, bound_terms ("kl", "reconstruction") and importance_weights
    (Burda et al. 2016). Images are means of p(x|z); encode and reconstruct take q's
    mean for z if keys are None.
    """
    model = _Variational(
        encoder,
        decoder,
        z_dim,
        likelihood or bernoulli(),
        num_classes,
        name,
        beta=beta,
        kl_warmup_steps=kl_warmup_steps,
        draws=draws,
    )
    return modules.single_model_game(model, optimizer, ema_halflife_images)
