"""The discriminator against a known generator that does not move.

    D*(x) = p(x) / (p(x) + q(x))            Goodfellow et al. (2014), proposition 1
    V(D, G) <= V(D*, G) = 2 JSD(p, q) - log 4                          theorem 1

p is a ring of broad parts, and q the normal density of a generator x = scale z. Least
squares (Mao et al. 2017, labels 0 and 1) has the same optimum, without the logistic
function. The optimal V is integrated on a grid in the plane.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import numpy as np
import scipy.special
from flax import linen as nn

from experiments.studies.truth import densities
from experiments.studies.truth.densities import Mixture
from experiments.studies.truth.finding import Finding, Plot, Row, mean
from experiments.studies.truth.training import trained
from gen_jax import sampling
from gen_jax.game import Game, Players, Turn
from gen_jax.losses import adversarial
from gen_jax.models.maxout import Discriminator
from gen_jax.objectives.gan import gan
from gen_jax.optimizers import adam

Output = Callable[[np.ndarray], np.ndarray]  # x [N, 2] -> D's output [N]

_P = densities.ring(8, scale=0.2)
_SCALE = 0.7
_Q = densities.round_mixture(np.zeros((1, 2)), _SCALE)
_TOLERANCE = 0.03  # of a probability
_HALF_SIDE, _CELL = 4.0, 0.02  # half the grid's side, and a cell's side


class Scaled(nn.Module):
    """The generator G(z) = scale z, which has no parameters."""

    @nn.compact
    def __call__(
        self,
        z: jax.Array,
        y: jax.Array | None = None,
        *,
        train: bool,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """Return x [B, 2] of z [B, 2]."""
        return _SCALE * z


def check(
    gan_losses: tuple[str, ...] = ("minimax", "least_squares"),
    steps: int = 3000,
    points: int = 10_000,
) -> Finding:
    """Train D with each of the GAN losses; compare its output and value with D*."""
    rng = np.random.default_rng((1, 1))
    real, fake = (densities.sample(each, points, rng) for each in (_P, _Q))
    x = np.concatenate([real, fake])
    rows, curves = [], {}
    for name in gan_losses:
        game = _game(name)
        state = trained(game, _P, steps=steps, batch_size=512)
        output = functools.partial(_output, game, state.players, name)
        residual = abs(output(x) - _optimal(x))
        what = f"D, {name}: mean distance from p / (p + q)"
        rows.append(Row(what, mean(residual), 0.0, tolerance=_TOLERANCE))
        curves[name] = output
        if name == "minimax":
            value = np.log(output(real)) + np.log(1 - output(fake))
            what = f"D, {name}: V(D, G); 2 JSD(p, q) - log 4"
            rows.append(
                Row(what, mean(value), optimal_value(_P, _Q), "nats", claim="below")
            )
    plots = {
        "D along the line y = 0": _plot_line(curves),
        f"D - p / (p + q), {gan_losses[0]}": _plot_map(curves[gan_losses[0]]),
    }
    return Finding(rows, plots)


def _game(gan_loss: str) -> Game:
    """Build the GAN of a known generator, in which only D has turns."""
    played = gan(
        Scaled(),
        Discriminator(
            hidden=(64, 64), pieces=3, dropout=0.0, dropout_x=0.0, init_limit=0.2
        ),
        z_dim=2,
        generator_optimizer=adam(0.0),
        discriminator_optimizer=adam(1e-3),
        gan_loss=gan_loss,
    )
    known = played.players["generator"]._replace(loss=None)
    players = {**played.players, "generator": known}
    return dataclasses.replace(
        played, players=players, turns=(Turn(("discriminator",)),)
    )


def _output(game: Game, players: Players, gan_loss: str, x: np.ndarray) -> np.ndarray:
    """Return D's output at x [N, 2], as a probability in float64 [N]."""
    inputs = {"x": np.float32(x)}
    logits = sampling.call(game.ops.by_name["score"], players, inputs, batch_size=4096)
    output = adversarial.GAN_LOSSES[gan_loss].output
    return np.asarray(output(logits), np.float64)


def _optimal(x: np.ndarray) -> np.ndarray:
    """Return D* = p / (p + q) at x [N, 2]."""
    return scipy.special.expit(
        densities.log_density(_P, x) - densities.log_density(_Q, x)
    )


def optimal_value(p: Mixture, q: Mixture) -> float:
    """Return V(D*, G) of densities in the plane, integrated over a grid, in nats."""
    line = np.arange(-_HALF_SIDE, _HALF_SIDE, _CELL)
    x = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    log_p, log_q = (densities.log_density(each, x) for each in (p, q))
    both = np.logaddexp(log_p, log_q)
    terms = np.exp(log_p) * (log_p - both) + np.exp(log_q) * (log_q - both)
    return float(terms.sum() * _CELL**2)


def _plot_line(curves: Mapping[str, Output]) -> Plot:
    line = np.linspace(-1.5, 1.5, 200)
    x = np.stack([line, np.zeros_like(line)], 1)

    def draw(axes):
        axes.plot(line, _optimal(x), color="black", label="p / (p + q)")
        for name, output in curves.items():
            axes.plot(line, output(x), label=name)
        axes.set(xlabel="x", ylabel="D(x, 0)", ylim=(0, 1))
        axes.legend(frameon=False)

    return draw


def _plot_map(output: Output) -> Plot:
    line = np.linspace(-2, 2, 101)
    x = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)

    def draw(axes):
        error = (output(x) - _optimal(x)).reshape(len(line), -1)
        shown = axes.imshow(
            error,
            cmap="RdBu",
            vmin=-0.2,
            vmax=0.2,
            extent=(-2, 2, -2, 2),
            origin="lower",
        )
        axes.figure.colorbar(shown, ax=axes)

    return draw
