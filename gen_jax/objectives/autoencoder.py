"""Autoencoders, games of one: variational (Kingma & Welling 2013), and plain.

    log p(x) >= ELBO(x) = -KL(q(z|x) || p(z)) + E_{q(z|x)} log p(x|z)         (3)

with p(z) = N(0, I), q(z|x) = N(mean(x), var(x) I) and draws
z = mean + sqrt(var) eps, through which the gradient flows. In nats per image. Given
labels y, all is conditioned on them: q(z|x, y) and p(x|z, y) (Sohn et al. 2015).

The plain autoencoder is the same without noise: z = f(x), of which it maximises
log p(x|z) alone. It has no prior; new images come of a Gaussian fitted to the codes of
its training images.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gen_jax import randomness
from gen_jax.game import Game, Weights
from gen_jax.losses import terms
from gen_jax.losses.likelihoods import Likelihood, bernoulli
from gen_jax.objectives import modules

_CODES = 0.01  # the share of the newest batch in the fitted Gaussian, after 100
_MAX_LOG_VAR = 20.0  # of a draw


@dataclasses.dataclass(frozen=True, eq=False)
class _Autoencoder:
    """Encoder and decoder, which share the player "model"."""

    encoder: nn.Module
    decoder: nn.Module
    z_dim: int
    likelihood: Likelihood
    num_classes: int

    def init(self, rng: jax.Array, batch) -> Weights:
        rng_encoder, rng_decoder = jax.random.split(rng)
        x, z = modules.example(batch), jnp.zeros((1, self.z_dim), jnp.float32)
        y = modules.no_labels(1)
        return Weights(
            {
                "encoder": modules.init_params(self.encoder, rng_encoder, x, y),
                "decoder": modules.init_params(self.decoder, rng_decoder, z, y),
            }
        )

    def heads(self, players, x, y):
        """What the encoder says of z, one array [B, z_dim] a head."""
        params = players["model"].params["encoder"]
        return modules.apply_params(self.encoder, params, x, y)

    def log_prob(self, players, x, z, y):
        """log p(x|z, y), nats [B]."""
        return terms.sum_per_example(
            self.likelihood.log_prob(x, self.out(players, z, y))
        )

    def out(self, players, z, y):
        """p(x|z, y) as what the likelihood is made from."""
        params = players["model"].params["decoder"]
        return modules.apply_params(self.decoder, params, z, y)

    def sample(self, players, keys, y=None):
        y = modules.labels_or_drawn(y, keys, self.num_classes)
        return self.decode(players, self.prior(players, keys), y)

    def decode(self, players, z, y=None):
        return self.likelihood.mean(self.out(players, z, modules.labels_or_none(y, z)))

    def reconstruct(self, players, x, keys=None, y=None):
        return self.decode(players, self.encode(players, x, keys, y), y)


@dataclasses.dataclass(frozen=True, eq=False)
class _Plain(_Autoencoder):
    """z = f(x), and a Gaussian of the codes as mutable state."""

    def init(self, rng: jax.Array, batch) -> Weights:
        codes = {"mean": jnp.zeros(self.z_dim), "cov": jnp.eye(self.z_dim)}
        return super().init(rng, batch)._replace(mutable={"codes": codes})

    def encode(self, players, x, keys=None, y=None):
        (z,) = self.heads(players, x, modules.labels_or_none(y, x))
        return z

    def loss(self, players, batch, context):
        x, y = batch["x"], modules.labels(batch)
        z = self.encode(players, x, y=y)
        log_p = self.log_prob(players, x, z, y)
        mutable = {"codes": self.fitted(players["model"], context.gather(z))}
        return -log_p.mean(), (mutable, {"reconstruction": log_p.mean()})

    def fitted(self, mine, z):
        """Mean and covariance of the codes so far, the older the less."""
        z, codes = jax.lax.stop_gradient(z), mine.mutable["codes"]
        fraction = jnp.maximum(_CODES, 1 / (mine.updates.astype(jnp.float32) + 1))
        mean = codes["mean"] + fraction * (z.mean(axis=0) - codes["mean"])
        residual = z - mean[None]
        cov = jnp.einsum("bi,bj->ij", residual, residual) / len(z)
        return {"mean": mean, "cov": codes["cov"] + fraction * (cov - codes["cov"])}

    def prior(self, players, keys):
        """z from the Gaussian fitted to the training codes."""
        codes = players["model"].mutable["codes"]
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

    def elbo_terms(self, players, x, keys, y):
        """Equation 3's two terms, nats [B] each."""
        mean, log_var = self.heads(players, x, y)
        # 1. KL, in closed form
        kl = terms.sum_per_example(terms.gaussian_kl(mean, log_var))
        # 2. RECONSTRUCTION, by draws of z
        streams = [keys] if self.draws == 1 else randomness.split(keys, self.draws)
        log_p = [
            self.log_prob(players, x, _draw(mean, log_var, stream), y)
            for stream in streams
        ]
        return kl, sum(log_p) / len(log_p)

    def loss(self, players, batch, context):
        y = modules.labels(batch)
        kl, log_p = self.elbo_terms(players, batch["x"], context.keys, y)
        metrics = {
            "kl": kl.mean(),
            "reconstruction": log_p.mean(),
            "elbo": (log_p - kl).mean(),
        }
        return (self.weight(context.step) * kl - log_p).mean(), ({}, metrics)

    def weight(self, step):
        """beta, reached linearly from 0."""
        if not self.kl_warmup_steps:
            return self.beta
        fraction = (step.astype(jnp.float32) + 1) / self.kl_warmup_steps
        return self.beta * jnp.minimum(fraction, 1)

    def bound(self, players, x, keys, y=None):
        """ELBO(x), nats [B], whatever beta is."""
        return -sum(self.bound_terms(players, x, keys, y).values())

    def bound_terms(self, players, x, keys, y=None):
        """The terms of -ELBO(x), nats [B] each."""
        kl, log_p = self.elbo_terms(players, x, keys, modules.labels_or_none(y, x))
        return {"kl": kl, "reconstruction": -log_p}

    def importance_weights(self, players, x, keys, y=None):
        """log p(x, z) - log q(z|x) of one z ~ q, nats [B]; equation 8 of Burda et al.

        log of the mean of its exponentials bounds log p(x) the closer the more z.
        """
        y = modules.labels_or_none(y, x)
        mean, log_var = self.heads(players, x, y)
        z = _draw(mean, log_var, keys)
        zero = jnp.zeros_like(z)
        log_prior = terms.gaussian_log_likelihood(z, zero, 0.0)
        log_q = terms.gaussian_log_likelihood(z, mean, 0.5 * log_var)
        ratio = terms.sum_per_example(log_prior - log_q)
        return self.log_prob(players, x, z, y) + ratio

    def encode(self, players, x, keys=None, y=None):
        return _draw(*self.heads(players, x, modules.labels_or_none(y, x)), keys)

    def prior(self, players, keys):
        """z from N(0, I)."""
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
) -> Game:
    """The plain autoencoder of two modules without mutable state, on batches as `vae`.

    encoder: (x [B, ...], y int32 [B]) -> (z [B, z_dim],), a tuple of one.
    All else is as in `vae`. The model's mutable state is the codes' `mean` and `cov`.
    ops: sample, prior, encode, decode, reconstruct.
    """
    likelihood = likelihood or bernoulli()
    model = _Plain(encoder, decoder, z_dim, likelihood, num_classes)
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
) -> Game:
    """The VAE of two modules without mutable state.

    On batches {"x": [B, ...], "y": int32 [B] or absent}.

    encoder: (x [B, ...], y int32 [B]) -> (mean [B, z_dim], log_var [B, z_dim]).
    decoder: (z [B, z_dim], y int32 [B]) -> what the likelihood takes.
    likelihood: p(x|z), `likelihoods.bernoulli()` by default; that one wants x in
        [-1, 1], as does the discretised logistic.
    num_classes: how many classes the modules tell apart by y; 0 where they ignore it.
    beta: weight of the KL (Higgins et al. 2017); 1 for the bound itself.
    kl_warmup_steps: steps over which beta rises linearly from 0 (Bowman et al. 2016).
    draws: of z for each image, L in Kingma & Welling.

    The one player is "model", its parameters {"encoder", "decoder"}. It reports ELBO
    and its two terms, numbered as in equation 3: `kl`, `reconstruction` = log p(x|z).
    ops: sample, prior, encode, decode, reconstruct, bound, bound_terms ("kl",
    "reconstruction") and importance_weights (Burda et al. 2016); images come as means
    of p(x|z), and encode and reconstruct take q's mean for z where keys are None.
    """
    model = _Variational(
        encoder,
        decoder,
        z_dim,
        likelihood or bernoulli(),
        num_classes,
        beta=beta,
        kl_warmup_steps=kl_warmup_steps,
        draws=draws,
    )
    return modules.single_model_game(model, optimizer, ema_halflife_images)


def _draw(mean: jax.Array, log_var: jax.Array, keys: jax.Array | None) -> jax.Array:
    """z ~ N(mean, var), reparameterised, var e^20 at most; the mean without keys."""
    if keys is None:
        return mean
    # Beyond, noise would drown what the decoder learns: the KL alone leads back.
    scale = jnp.exp(0.5 * jnp.minimum(log_var, _MAX_LOG_VAR))
    return mean + scale * randomness.normal(keys, mean.shape[1:])
