"""The published weights of FID's Inception, from a file that the user has.

No package holds them. Two files do, known by their sha256. Both are read without
running the code that is pickled in them (`pickles.py`):

- pytorch-fid's pt_inception-2015-12-05-6726825d.pth, equal to torch-fidelity's
  weights-inception-2015-12-05-6726825d.pth: the eight digits begin its sha256;
- jax-fid's inception_v3_weights_fid.pickle, the same weights in Flax's layout.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gen_jax.errors import UserError
from gen_jax.metrics.networks import inception, pickles

_SHA256 = {
    "pt_inception-2015-12-05-6726825d.pth": (
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
    ),
    "inception_v3_weights_fid.pickle": (
        "4e030efa5bccac3222d975f658d1884f9e00fab24f2812082884539220b90d77"
    ),
}
_OURS = {  # PyTorch's names to Flax's; a weight of rank 2 or 4 is a kernel
    "weight": "scale",
    "bias": "bias",
    "running_mean": "mean",
    "running_var": "var",
}


class Weights(NamedTuple):
    """The weights that `read` returns, all float32.

    variables: those of `inception.Inception`.
    head: [2048, 1008], from features to logits.
    sha256: hash of the file.
    """

    variables: dict[str, Any]
    head: np.ndarray
    sha256: str


def read(path: str | Path) -> Weights:
    """Read the weights in one of the two published files, whose name may differ.

    Raises UserError if the file is missing or not a published one.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 not in _SHA256.values():
        known = " or ".join(f"{name} ({value})" for name, value in _SHA256.items())
        raise UserError(
            f"{path} has sha256 {sha256}: it is not the Inception of FID; give {known}"
        )
    return _weights(content, path, sha256)


def _weights(content: bytes, path: str | Path, sha256: str) -> Weights:
    """Convert a file's content in either layout; every array must be there."""
    try:
        if pickles.is_torch(content):
            named = dict(_from_torch(pickles.read_torch(content)))
        else:
            named = flatten_dict(pickles.read_arrays(content), sep="/")
    except Exception as error:  # a damaged pickle may raise any exception
        raise UserError(
            f"{path} holds no weights ({error}): download it again"
        ) from error
    variables = {}
    for place, name, shape in _expected():
        variables[place] = _taken(named, name, shape, path)
    head = _taken(named, "fc/kernel", (inception.DIM, inception.NUM_LOGITS), path)
    _taken(named, "fc/bias", (inception.NUM_LOGITS,), path)
    if named:
        raise UserError(
            f"{path}: the array {next(iter(named))} is not expected: download the file "
            "again"
        )
    return Weights(unflatten_dict(variables), head, sha256)


def _expected() -> Iterator[tuple[tuple[str, ...], str, tuple[int, ...]]]:
    """Yield each array's path in Flax's variables, its name in a file and its shape."""
    side = inception.SMALLEST_SIDE
    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    tree = jax.eval_shape(inception.Inception().init, jax.random.key(0), x)
    for place, leaf in flatten_dict(tree).items():
        yield place, "/".join(place[1:]), leaf.shape


def _taken(named: dict, name: str, shape: tuple[int, ...], path) -> np.ndarray:
    """Remove the array of that name from `named`, check it and return it."""
    if name not in named:
        raise UserError(f"{path}: the array {name} is missing: download the file again")
    array = np.asarray(named.pop(name))
    if array.shape != shape or array.dtype != np.float32:
        raise UserError(
            f"{path}: the array {name} is {array.dtype} {list(array.shape)}, not "
            f"float32 {list(shape)}: download the file again"
        )
    if not np.isfinite(array).all():
        raise UserError(
            f"{path}: the array {name} is not finite: download the file again"
        )
    return array


def _from_torch(tensors: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield PyTorch's tensors by name in Flax's layout, as in jax-fid's file."""
    for name, tensor in tensors.items():
        *layer, kind = name.split(".")
        if kind == "num_batches_tracked":
            continue
        ours = _OURS[kind]
        if kind == "weight" and tensor.ndim > 1:
            ours = "kernel"
            # Flax's order: rows, columns, inputs, outputs.
            tensor = tensor.transpose(*range(2, tensor.ndim), 1, 0)
        yield "/".join([*layer, ours]), tensor
