"""Bounds on log p(x) and their terms, on training images and on test images.

The unit is nats per image; divided by D ln 2, for D numbers per image, it is bits/dim.
For a density (a Gaussian decoder, points) the bound is that of x in [-1, 1], not of 256
levels. The bound of a Bernoulli decoder on grey values, as in Kingma's code, is
neither: compare it with other Bernoulli bounds only.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import randomness, sampling
from gen_jax.evaluation import chunks
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, Value, mean_of
from gen_jax.game import Players

# Images in a chunk if each takes T (diffusion) or k (importance weights) evaluations.
_DIFFUSION_CHUNK, _IMPORTANCE_CHUNK = 50, 100
_SIGN = "a term below 0 raises the bound, as log p of a density may be positive"
_ACTIVE = 0.01  # variance of a unit's mean, Burda et al. (2016), section 5.2
_ACTIVE_UNITS = (
    "a dimension of z is active if the mean of q(z|x) varies between test images, with "
    f"a variance above {_ACTIVE}"
)


def bound(evaluation: Evaluation) -> Result:
    """Measure the variational bound and its terms, on training and test images."""
    number, size = evaluation.preset.bound_images, chunks.SIZE
    if evaluation.game.ops.diffuse is not None:  # T evaluations an image
        number, size = evaluation.preset.diffusion_images, _DIFFUSION_CHUNK
    values, context = {}, {}
    for split in ("test", "train"):
        x, y = evaluation.real(number, split)
        terms = _terms(evaluation, split, x, y, size)
        total = -sum(terms.values(), start=np.zeros(len(x), np.float32))
        values[f"{split}_bound"] = mean_of(total, unit="nats")
        in_bits = -total / (math.log(2) * x[0].size)
        values[f"{split}_bits_per_dim"] = mean_of(in_bits, unit="bits/dim")
        for name, term in terms.items():
            values[f"{split}_{name}"] = mean_of(term, unit="nats")
        context[split] = f"{len(x)} images"
    about = {**context, **_likelihood(evaluation), "samples_of_z": 1}
    names = " + ".join(name.replace("_", " ") for name in terms)
    return Result(values, about, note=f"bound = -({names}); {_SIGN}")


def _terms(
    evaluation: Evaluation, split: str, x: np.ndarray, y: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """Return the terms of -bound by name, each [N]; stored in chunks."""
    keys = evaluation.keys(len(x))

    def of_chunk(start: int, stop: int) -> np.ndarray:
        part = slice(start, stop)
        terms = evaluation.apply("bound_terms", x=x[part], y=y[part], keys=keys[part])
        table = np.zeros(stop - start, [(name, np.float32) for name in terms])
        for name, term in terms.items():
            table[name] = term
        return table

    found = evaluation.chunks.each(f"bound-{split}", len(x), of_chunk, size)
    table = np.concatenate(list(found))
    return {name: table[name] for name in table.dtype.names or ()}


def importance_bound(evaluation: Evaluation) -> Result:
    """Measure the importance-weighted bound (Burda et al. 2016), and active units of z.

    The bound rises to log p(x) with the number k of z, and may be far below it.
    """
    game, preset = evaluation.game, evaluation.preset
    x, y = evaluation.real(preset.importance_images)
    k, keys = preset.importance_samples, evaluation.keys(len(x))
    weigh = game.ops.importance_weights

    def of_chunk(start: int, stop: int) -> np.ndarray:
        inputs = {"x": x[start:stop], "keys": keys[start:stop]}
        inputs |= {"y": y[start:stop]} if game.num_classes else {}
        players = evaluation.players
        return sampling.call(log_mean_weight, players, inputs, weigh=weigh, k=k)

    name = f"weights-{k}"
    found = evaluation.chunks.each(name, len(x), of_chunk, _IMPORTANCE_CHUNK)
    log_p = np.concatenate(list(found))
    context = {"test": f"{len(log_p)} images", **_likelihood(evaluation), "k": k}
    values = {"test_importance_bound": mean_of(log_p, unit="nats")}
    x, y = evaluation.real(preset.bound_images)
    if len(x) < 2:
        line = "active units left out: needs at least 2 test images, and there is 1"
        return Result(values, context, left_out=[line])
    means = evaluation.apply("encode", x=x, y=y)
    unit = "dimensions of z"
    active = int((means.var(0) > _ACTIVE).sum())
    values |= {
        "active_units": Value(active, unit=unit),
        "units": Value(means.shape[1], unit=unit),
    }
    return Result(values, context, note=_ACTIVE_UNITS)


def _likelihood(evaluation: Evaluation) -> dict[str, str]:
    """Return the decoder's distribution p(x|z), if the configuration names one."""
    chosen = getattr(evaluation.run.config, "likelihood", None)
    return {"likelihood": chosen} if chosen else {}


def log_mean_weight(
    players: Players,
    x: jax.Array,
    keys: jax.Array,
    y: jax.Array | None = None,
    *,
    weigh: Callable,
    k: int,
) -> jax.Array:
    """Return log 1/k sum_i p(x, z_i) / q(z_i | x) for k random z, nats [B].

    weigh: the op `importance_weights`.
    """

    def add(total, place):
        log_weight = weigh(players, x, randomness.fold_in(keys, place), y)
        return jnp.logaddexp(total, log_weight), None

    none = jnp.full(len(x), -jnp.inf)
    total, _ = jax.lax.scan(add, none, jnp.arange(k))
    return total - np.log(k, dtype=np.float32)
