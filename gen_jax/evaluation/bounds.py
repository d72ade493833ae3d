"""Bounds on log p(x), term by term, on images seen and not seen.

In nats an image and, over D ln 2 for D numbers an image, in bits/dim. A bound that is
a density's (a Gaussian decoder, points) is that of x in [-1, 1], not of 256 levels. A
Bernoulli decoder's, on grey values for bits as in Kingma's code, is neither: compare it
with others of its kind alone.
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

_DIFFUSED, _WEIGHED = 50, 100  # images a chunk, each with T or k evaluations
_ACTIVE = 0.01  # the variance of a mean, Burda et al. (2016), section 5.2


def bound(evaluation: Evaluation) -> Result:
    """The variational bound and its terms, on both splits, and on the gap of them."""
    subject = evaluation.subject
    most, size = evaluation.preset.bound_images, chunks.SIZE
    if subject.game.ops.diffuse is not None:  # T evaluations an image
        most, size = evaluation.preset.diffusion_images, _DIFFUSED
    values, context = {}, {}
    for split in ("test", "train"):
        x, y = subject.real(most, split)
        terms = _terms(evaluation, split, x, y, size)
        total = -sum(terms.values())
        values[f"{split}_bound"] = mean_of(total, unit="nats")
        in_bits = -total / (math.log(2) * x[0].size)
        values[f"{split}_bits_per_dim"] = mean_of(in_bits, unit="bits/dim")
        for name, term in terms.items():
            values[f"{split}_{name}"] = mean_of(term, unit="nats")
        context[split] = f"{len(x)} images"
    return Result(values, {**context, **_about(evaluation), "draws": 1})


def _terms(
    evaluation: Evaluation, split: str, x: np.ndarray, y: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """The terms of -bound by their names, each [N]; kept chunk by chunk."""
    subject, keys = evaluation.subject, evaluation.subject.keys(len(x))

    def of_chunk(start: int, stop: int) -> np.ndarray:
        part = slice(start, stop)
        terms = subject.call("bound_terms", x=x[part], y=y[part], keys=keys[part])
        table = np.zeros(stop - start, [(name, np.float32) for name in terms])
        for name, term in terms.items():
            table[name] = term
        return table

    def fits(table: np.ndarray) -> bool:
        names = table.dtype.names or ()
        return bool(names) and all(np.isfinite(table[name]).all() for name in names)

    found = evaluation.chunks.each(f"bound-{split}", len(x), of_chunk, fits, size)
    table = np.concatenate(list(found))
    return {name: table[name] for name in table.dtype.names}


def importance_bound(evaluation: Evaluation) -> Result:
    """log p(x) from below by importance weights (Burda et al. 2016); active units of z.

    The bound rises to log p(x) with the number of draws, k, and may be far below it.
    """
    subject, preset = evaluation.subject, evaluation.preset
    x, y = subject.real(preset.importance_images)
    k, keys = preset.importance_samples, subject.keys(len(x))
    weigh = subject.game.ops.importance_weights

    def of_chunk(start: int, stop: int) -> np.ndarray:
        inputs = {"x": x[start:stop], "keys": keys[start:stop]}
        inputs |= {"y": y[start:stop]} if subject.game.num_classes else {}
        return sampling.call(log_mean_weight, subject.players, inputs, weigh=weigh, k=k)

    def fits(kept: np.ndarray) -> bool:
        return kept.ndim == 1 and bool(np.isfinite(kept).all())

    found = evaluation.chunks.each(f"weights-{k}", len(x), of_chunk, fits, _WEIGHED)
    log_p = np.concatenate(list(found))
    x, y = subject.real(preset.bound_images)
    means = subject.call("encode", x=x, y=y)
    context = {"test": f"{len(log_p)} images", **_about(evaluation), "k": k}
    values = {
        "test_importance_bound": mean_of(log_p, unit="nats"),
        "active_units": Value(int((means.var(0) > _ACTIVE).sum()), unit="of z"),
        "units": Value(means.shape[1], unit="of z"),
    }
    return Result(values, context)


def _about(evaluation: Evaluation) -> dict[str, str]:
    """Of what kind the bound is, where the recipe says: p(x|z) is a choice."""
    chosen = getattr(evaluation.subject.run.config, "likelihood", None)
    return {"likelihood": chosen} if chosen else {}


def log_mean_weight(
    players: Players, x, keys, y=None, *, weigh: Callable, k: int
) -> jax.Array:
    """log 1/k sum_i p(x, z_i) / q(z_i | x) of k draws of z, nats [B].

    weigh: the op `importance_weights`.
    """

    def add(total, draw):
        log_weight = weigh(players, x, randomness.fold_in(keys, draw), y)
        return jnp.logaddexp(total, log_weight), None

    none = jnp.full(len(x), -jnp.inf)
    total, _ = jax.lax.scan(add, none, jnp.arange(k))
    return total - np.log(k, dtype=np.float32)
