"""Networks with made-up parameters: nothing is compiled to draw them."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def images(*shape):
    """Abstract float32 arrays, for shapes and counts."""
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def variables_of(module, *args, **kwargs):
    """The abstract variables of a module for abstract arguments."""
    key = jax.random.key(0)
    return jax.eval_shape(lambda *a: module.init(key, *a, **kwargs), *args)


def count(variables):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


def made_up(variables, seed=0):
    """Every variable drawn by NumPy from N(0.1, 0.1), zero layers included."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0.1, 0.1, leaf.shape), leaf.dtype),
        variables,
    )


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
