"""A linear VAE on linear-Gaussian images: its gap is exactly KL(q || posterior).

    log p(x) - ELBO(x) = KL(q(z|x) || p(z|x))                    Kingma & Welling (1)

For a linear decoder both the model's p(x) and its posterior are Gaussian, in closed
form (`densities`). So both sides are known for every x, trained or not. The bound by k
samples of z (Burda et al. 2016) must close the gap as k grows.
"""

from typing import Any

import jax
import numpy as np

from experiments.studies.truth import densities
from experiments.studies.truth.densities import LinearGaussian
from experiments.studies.truth.finding import Finding, Plot, Row, draw_band, mean
from experiments.studies.truth.training import trained
from gen_jax import sampling
from gen_jax.evaluation.bounds import log_mean_weight
from gen_jax.game import Game, Players
from gen_jax.losses.likelihoods import gaussian
from gen_jax.metrics.intervals import Interval
from gen_jax.models.mlp import MlpDecoder, MlpEncoder
from gen_jax.objectives.autoencoder import vae
from gen_jax.optimizers import adam
from gen_jax.step import sample_keys

_SHAPE = (8, 8, 1)
_Z_DIM = 4


def check(
    stages: tuple[int, ...] = (1000, 5000),
    images: int = 1000,
    draws: tuple[int, ...] = (1, 10, 200),
) -> Finding:
    """Compare the gap with its exact value after each of `stages` training steps.

    After the last stage it also computes bounds by each number in `draws` of samples of
    z. The last row compares the trained model with the data's own log p(x).
    """
    data = densities.linear_gaussian(_SHAPE[0], _Z_DIM)
    p = densities.marginal(data)
    x = densities.sample(p, images, np.random.default_rng((1, 0)))
    game, state, rows = _game(data.scale), None, []
    gaps: dict[float, Interval] = {}
    for steps in stages:
        state = trained(game, p, shape=_SHAPE, steps=steps, batch_size=128, start=state)
        model = _model_of(state.players, data.scale)
        log_p = densities.log_density(densities.marginal(model), x)
        elbo, divergence = _elbo(game, state.players, x), _kl(state.players, model, x)
        what = f"VAE after {steps} steps: log p(x) - ELBO; KL(q, posterior)"
        rows.append(Row(what, mean(log_p - elbo), divergence.mean(), "nats"))
        if steps == stages[-1]:
            for k in draws:
                gaps[k] = mean(_bound_by_draws(game, state.players, x, k) - log_p)
                what = f"VAE after {steps} steps: bound by {k} draws - log p(x)"
                rows.append(Row(what, gaps[k], 0.0, "nats", claim="below"))
    what = "VAE, trained: ELBO - log p(x) of the data"
    excess = mean(elbo - densities.log_density(p, x))
    rows.append(Row(what, excess, 0.0, "nats", claim="below"))
    return Finding(
        rows, {"VAE: the bound by samples of z": _plot(gaps, divergence.mean())}
    )


def _game(scale: float) -> Game:
    """Build the repository's VAE of two linear maps."""
    return vae(
        MlpEncoder(_Z_DIM, hidden=()),
        MlpDecoder(_SHAPE, hidden=()),
        z_dim=_Z_DIM,
        optimizer=adam(3e-3),
        likelihood=gaussian(scale),
    )


def _model_of(players: Players, scale: float) -> LinearGaussian:
    """Return the decoder as a model: x = W z + bias + scale eps."""
    (dense,) = jax.device_get(players["model"].params["decoder"]).values()
    kernel, bias = (np.asarray(dense[k], np.float64) for k in ("kernel", "bias"))
    return LinearGaussian(kernel.T, bias, scale)


def _kl(players: Players, model: LinearGaussian, x: np.ndarray) -> np.ndarray:
    """Return KL(q(z|x) || p(z|x)) between Gaussians in closed form, nats [N]."""
    params = {"params": players["model"].params["encoder"]}
    heads = MlpEncoder(_Z_DIM, hidden=()).apply(params, np.float32(x))
    q_mean, q_log_var = (np.asarray(head, np.float64) for head in heads)
    p_mean, covariance = densities.posterior(model, x)
    precision, (_, log_det) = np.linalg.inv(covariance), np.linalg.slogdet(covariance)
    residual = q_mean - p_mean
    squared = np.einsum("ni,ij,nj->n", residual, precision, residual)
    trace = np.exp(q_log_var) @ np.diag(precision)
    return 0.5 * (squared + trace - _Z_DIM + log_det - q_log_var.sum(1))


def _elbo(game: Game, players: Players, x: np.ndarray) -> np.ndarray:
    """Return the ELBO of images [N, D] by one sample of z, as in `evaluate`: [N]."""
    return sampling.call(game.ops.by_name["bound"], players, _inputs(x))


def _bound_by_draws(game: Game, players: Players, x: np.ndarray, k: int) -> np.ndarray:
    weigh = game.ops.importance_weights
    return sampling.call(log_mean_weight, players, _inputs(x), weigh=weigh, k=k)


def _inputs(x: np.ndarray) -> dict[str, Any]:
    keys = sample_keys(0, np.arange(len(x)))
    return {"x": x.reshape(-1, *_SHAPE).astype(np.float32), "keys": keys}


def _plot(gaps: dict[float, Interval], divergence: float) -> Plot:
    def draw(axes):
        draw_band(axes, gaps)
        axes.axhline(0, color="grey", linewidth=1)
        label = "-KL(q, posterior)"
        axes.axhline(-divergence, color="grey", linestyle="--", label=label)
        axes.set(xlabel="samples of z", ylabel="bound - log p(x), nats", xscale="log")
        axes.legend(frameon=False)

    return draw
