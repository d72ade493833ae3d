"""The published weights of FID's Inception, from a file that the user has.

No package holds them. Two files do, known by their sha256. Both are read without
running the code that is pickled in them (`pickles.py`):

- pytorch-fid's pt_inception-2015-12-05-6726825d.pth, equal to torch-fidelity's
  weights-inception-2015-12-05-6726825d.pth: the eight digits begin its sha256;
- jax-fid's inception_v3_weights_fid.pickle, the same weights in Flax's layout.
"""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gen_jax.errors import UserError
from gen_jax.metrics.networks import pickles

_PYTORCH_FID = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_JAX_FID = "4e030efa5bccac3222d975f658d1884f9e00fab24f2812082884539220b90d77"
_OURS = {  # PyTorch's names to Flax's; a weight of rank 2 or 4 is a kernel
    "weight": "scale",
    "bias": "bias",
    "running_mean": "mean",
    "running_var": "var",
}
_MAX_BYTES = 2**28  # of a file that is read to learn which one it is
_STATISTICS = ("mean", "var")  # of BatchNorm


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
    path = Path(path).expanduser()
    is_other = path.exists() and not path.is_file() and not path.is_dir()
    if is_other or (path.is_file() and path.stat().st_size > _MAX_BYTES):
        raise UserError(f"{path} is not the file of FID's Inception, of 100 MB")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 not in _FILES:
        known = " or ".join(f"{name} ({key})" for key, (name, _) in _FILES.items())
        raise UserError(
            f"{path} has sha256 {sha256}: it is not the Inception of FID; give {known}"
        )
    _, arrays_of = _FILES[sha256]
    return _weights(arrays_of(content), sha256)


def _weights(named: dict[str, np.ndarray], sha256: str) -> Weights:
    """Arrange the arrays of a file, by "layer/.../kind", as the network takes them."""
    head = named.pop("fc/kernel")
    del named["fc/bias"]
    variables = {}
    for name, array in named.items():
        *layer, kind = name.split("/")
        collection = "batch_stats" if kind in _STATISTICS else "params"
        variables[collection, *layer, kind] = array
    return Weights(unflatten_dict(variables), head, sha256)


def _from_torch(content: bytes) -> dict[str, np.ndarray]:
    """Return PyTorch's tensors by name in Flax's layout, as in jax-fid's file."""
    named = {}
    for name, tensor in pickles.read_torch(content).items():
        *layer, kind = name.split(".")
        if kind == "num_batches_tracked":
            continue
        ours = _OURS[kind]
        if kind == "weight" and tensor.ndim > 1:
            ours = "kernel"
            # Flax's order: rows, columns, inputs, outputs.
            tensor = tensor.transpose(*range(2, tensor.ndim), 1, 0)
        named["/".join([*layer, ours])] = tensor
    return named


def _from_flax(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of jax-fid's file by name."""
    return flatten_dict(pickles.read_arrays(content), sep="/")


_FILES = {  # sha256 -> (name, reader)
    _PYTORCH_FID: ("pt_inception-2015-12-05-6726825d.pth", _from_torch),
    _JAX_FID: ("inception_v3_weights_fid.pickle", _from_flax),
}
