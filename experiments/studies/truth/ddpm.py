"""Diffusion on mixtures: its bound against the entropy, its score against the true one.

    E bound(x) <= E log p(x) = -H(p)                Ho et al. (2020), equation 5
    eps*(x_t, t) = -sqrt(1 - alpha_bar_t) grad log q_t(x_t)

The best network is known (`densities.score` of the diffused mixture). With it in place
of the trained one, the gap that remains comes from T steps and their variances, not
from learning.
"""

import jax
import numpy as np
from flax import linen as nn

from experiments.studies.truth import densities
from experiments.studies.truth.densities import Mixture
from experiments.studies.truth.finding import Finding, Plot, Row, draw_band, mean
from experiments.studies.truth.training import trained
from gen_jax import sampling
from gen_jax.diffusion.schedules import (
    Schedule,
    last_sampling_step,
    linear_betas,
    log_variances,
    make_schedule,
    posterior_tables,
)
from gen_jax.game import Game, Players, averaged, init_state
from gen_jax.metrics.intervals import Interval, bootstrap_interval
from gen_jax.models.mlp import TimeMlp
from gen_jax.objectives.ddpm import Recipe, ddpm
from gen_jax.optimizers import adam
from gen_jax.step import sample_keys

_VARIANCE = "fixed_large"  # variance of p(x_{t-1} | x_t) in the recipe
_SHOWN = 0.1  # time of the plotted score, as a fraction of T
_TOLERANCE = 0.1  # as a fraction of the root mean square of the score


class ExactNoise(nn.Module):
    """The exact eps* of a mixture, called like a denoising network.

    It has no parameters.
    """

    p: Mixture
    schedule: Schedule

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        t: jax.Array,
        y: jax.Array | None = None,
        keys: jax.Array | None = None,
    ) -> jax.Array:
        """Return eps [B, D] of x_t [B, D] and t int32 [B]."""

        def eps(x, alpha_bar):
            score = densities.score(densities.diffused(self.p, alpha_bar), x[None])
            return -((1 - alpha_bar) ** 0.5) * score[0]

        table = jax.numpy.asarray(self.schedule.alpha_bar, jax.numpy.float32)
        return jax.vmap(eps)(x, table[t])


def check(
    steps: int = 8000,
    timesteps: int = 1000,
    points: int = 1024,
    images: int = 128,
    times: tuple[float, ...] = (0.001, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0),
) -> Finding:
    """Compare bounds and score of the exact and of a trained network with the truth."""
    schedule = make_schedule(linear_betas(timesteps))
    rows = _of_the_exact_network(schedule, points, images)
    ring, rng = densities.ring(), np.random.default_rng((1, 2))
    game = _game(TimeMlp((128, 128, 128)), ring, schedule)
    state = trained(game, ring, steps=steps, batch_size=256)
    players = averaged(state.players)
    bound = _bound(game, players, densities.sample(ring, points, rng))
    log_p = densities.log_density(ring, densities.sample(ring, 200_000, rng))
    what = "DDPM, trained, ring: bound; -entropy"
    rows.append(Row(what, mean(bound), log_p.mean(), "nats", claim="below"))
    errors = {}
    for t in (round(time * timesteps) for time in times):
        q_t = densities.diffused(ring, schedule.alpha_bar[t])
        x_t = densities.sample(q_t, points, rng)
        found = learned_score(game, players, schedule, t, x_t)
        errors[t / timesteps] = _relative_error(found, densities.score(q_t, x_t))
        what = f"DDPM, trained, ring: score's error at t = {t / timesteps:g} T"
        rows.append(Row(what, errors[t / timesteps], 0.0, tolerance=_TOLERANCE))
    plots = {
        "DDPM: error of the score on the ring": _plot_errors(errors),
        f"DDPM: scores at t = {_SHOWN:g} T": _fields(game, players, ring, schedule),
    }
    return Finding(rows, plots)


def _of_the_exact_network(schedule: Schedule, points: int, images: int) -> list[Row]:
    """Compare the exact network's bound with the entropy.

    For one Gaussian the gap is known in closed form; for others it is 0 or more.
    """
    rng, rows = np.random.default_rng((1, 3)), []
    one = densities.marginal(densities.linear_gaussian())
    for variance in ("fixed_small", "fixed_large"):
        excess = _excess(*exact_game(one, schedule, variance), one, images, rng)
        what = f"DDPM, exact score, {variance}, one Gaussian: bound - log p(x)"
        exact = _excess_of_one(one, schedule, variance)
        rows.append(Row(what, mean(excess), exact, "nats"))
    for name, p, number in (
        ("digits mixture", densities.digits_mixture(), images),
        ("grid", densities.grid(), points),
        ("ring", densities.ring(), points),
    ):
        excess = _excess(*exact_game(p, schedule), p, number, rng)
        what = f"DDPM, exact score, {name}: bound - log p(x)"
        rows.append(Row(what, mean(excess), 0.0, "nats", claim="below"))
    return rows


def exact_game(
    p: Mixture, schedule: Schedule, variance: str = _VARIANCE
) -> tuple[Game, Players]:
    """Return the game of the exact network, and its players."""
    game = _game(ExactNoise(p, schedule), p, schedule, variance)
    example = {"x": np.zeros((1, p.means.shape[1]), np.float32)}
    return game, init_state(game, jax.random.key(0), example).players


def _game(
    network: nn.Module, p: Mixture, schedule: Schedule, variance: str = _VARIANCE
) -> Game:
    return ddpm(
        network,
        shape=p.means.shape[1:],
        optimizer=adam(1e-3, warmup_steps=50, clip_norm=1.0),
        schedule=schedule,
        recipe=Recipe(variance=variance, clip=False),
        ema_halflife_images=(100_000.0,),
    )


def _bound(game: Game, players: Players, x: np.ndarray) -> np.ndarray:
    """Return the bound of points [N, D], as `evaluate` computes it: nats [N]."""
    keys = sample_keys(0, np.arange(len(x)))
    inputs = {"x": np.float32(x), "keys": keys}
    found = sampling.call(game.ops.by_name["bound_terms"], players, inputs)
    return -np.stack(list(found.values())).sum(0, dtype=np.float64)


def _excess(
    game: Game, players: Players, p: Mixture, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Return bound - log p of samples of p: nats [N], below 0 on average."""
    x = densities.sample(p, number, rng)
    return _bound(game, players, x) - densities.log_density(p, x)


def _excess_of_one(p: Mixture, schedule: Schedule, variance: str) -> float:
    """Return E bound + H(p) of a single Gaussian under its exact score, in nats.

    Along an axis of variance s, x_0 given x_t has the variance s (1 - alpha_bar_t) /
    (alpha_bar_t s + 1 - alpha_bar_t). So every term is a KL of two Gaussians, except
    for the first step's, which is a log density.
    """
    (s,), (mean_x,) = p.variances, p.means @ p.axes[0]
    alpha_bar = schedule.alpha_bar[1:, None]
    left = s * (1 - alpha_bar) / (alpha_bar * s + 1 - alpha_bar)
    small, large = (np.exp(x[1:, None]) for x in log_variances(schedule))
    given = small if variance == "fixed_small" else large
    error = posterior_tables(schedule)[0][1:, None] ** 2 * left / given
    steps = 0.5 * (np.log(given / small) + small / given - 1 + error)
    first = 0.5 * (np.log(2 * np.pi * given[0]) + error[0])
    kept = alpha_bar[-1]
    prior = 0.5 * (kept * (s + mean_x**2) - kept - np.log(1 - kept))
    entropy = 0.5 * np.log(2 * np.pi * np.e * s)
    return float((entropy - steps[1:].sum(0) - first - prior).sum())


def learned_score(
    game: Game, players: Players, schedule: Schedule, t: int, x_t: np.ndarray
) -> np.ndarray:
    """Return grad log q_t at x_t [N, D], from the network's estimate of x_0: [N, D]."""
    time, inputs = t / last_sampling_step(schedule), {"x_t": np.float32(x_t)}
    x_0 = sampling.call(game.ops.by_name["predict_x0"], players, inputs, time=time)
    alpha_bar = schedule.alpha_bar[t]
    return (alpha_bar**0.5 * x_0 - x_t) / (1 - alpha_bar)


def _relative_error(found: np.ndarray, true: np.ndarray) -> Interval:
    """Return the rms of the error [N, D] over the rms of the true score."""
    squared = ((found - true) ** 2).sum(1), (true**2).sum(1)

    def relative(error, size):
        return (error.mean() / size.mean()) ** 0.5

    return bootstrap_interval(relative, *squared)


def _plot_errors(errors: dict[float, Interval]) -> Plot:
    def draw(axes):
        draw_band(axes, errors)
        axes.set(xlabel="t / T", ylabel="error / score (rms)", xscale="log", ylim=0)

    return draw


def _fields(game: Game, players: Players, p: Mixture, schedule: Schedule) -> Plot:
    line, t = np.linspace(-1.2, 1.2, 13), round(_SHOWN * schedule.T)
    x = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    true = densities.score(densities.diffused(p, schedule.alpha_bar[t]), x)
    found = learned_score(game, players, schedule, t, x)

    def draw(axes):
        axes.quiver(*x.T, *true.T, color="black", label="true", width=0.006)
        axes.quiver(*x.T, *found.T, color="tab:orange", label="learned", width=0.003)
        axes.set(aspect="equal")
        axes.legend(loc="upper right", fontsize=8)

    return draw
