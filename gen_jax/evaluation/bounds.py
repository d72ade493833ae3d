"""Bounds on log p(x), term by term, on images seen and not seen.

In nats an image and, over D ln 2 for D numbers an image, in bits/dim. A bound that is
a density's (a Gaussian decoder, points) is that of x in [-1, 1], not of 256 levels.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax import batched, randomness
from gen_jax.evaluation.evaluation import Evaluation
from gen_jax.evaluation.result import Result, Value, mean_of
from gen_jax.game import Board

_ACTIVE = 0.01  # the variance of a mean, Burda et al. (2016), section 5.2


def bound(evaluation: Evaluation) -> Result:
    """The variational bound and its terms, on both splits, and on the gap of them."""
    subject = evaluation.subject
    most = evaluation.protocol.bound_images
    if "diffuse" in subject.game.ops:
        most = evaluation.protocol.diffusion_images
    values, context = {}, {}
    for split in ("test", "train"):
        x, y = subject.real(most, split)
        terms = subject.call("bound_terms", x=x, y=y, keys=subject.keys(len(x)))
        total = -sum(terms.values())
        values[f"{split}_bound"] = mean_of(total, unit="nats")
        in_bits = -total / (math.log(2) * x[0].size)
        values[f"{split}_bits_per_dim"] = mean_of(in_bits, unit="bits/dim")
        for name, term in terms.items():
            values[f"{split}_{name}"] = mean_of(term, unit="nats")
        context[split] = f"{len(x)} images"
    return Result(values, {**context, "seed": subject.seed, "draws": 1})


def importance_bound(evaluation: Evaluation) -> Result:
    """log p(x) by importance weights (Burda et al. 2016), and active units of z."""
    subject, protocol = evaluation.subject, evaluation.protocol
    x, y = subject.real(protocol.importance_images)
    k = protocol.importance_samples
    weigh = subject.game.ops["importance_weights"]
    inputs = {"x": x, "keys": subject.keys(len(x))}
    if subject.game.num_classes:
        inputs["y"] = y
    log_p = batched.call(log_mean_weight, subject.board, inputs, weigh=weigh, k=k)
    x, y = subject.real(protocol.bound_images)
    means = subject.call("encode", x=x, y=y)
    context = {"test": f"{len(log_p)} images", "k": k, "seed": subject.seed}
    values = {
        "test_log_p": mean_of(log_p, unit="nats"),
        "active_units": Value(int((means.var(0) > _ACTIVE).sum()), unit="of z"),
        "units": Value(means.shape[1], unit="of z"),
    }
    return Result(values, context)


def log_mean_weight(
    board: Board, x, keys, y=None, *, weigh: Callable, k: int
) -> jax.Array:
    """log 1/k sum_i p(x, z_i) / q(z_i | x) of k draws of z, nats [B].

    weigh: the op `importance_weights`.
    """

    def add(total, draw):
        log_weight = weigh(board, x, randomness.fold_in(keys, draw), y)
        return jnp.logaddexp(total, log_weight), None

    none = jnp.full(len(x), -jnp.inf)
    total, _ = jax.lax.scan(add, none, jnp.arange(k))
    return total - np.log(k, dtype=np.float32)
