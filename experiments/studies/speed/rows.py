"""The networks to time, and the ways to time them. Needs neither JAX nor PyTorch.

A row is one network at one image and batch size. A variant is one way to run its train
step, such as `jax_scan` or `torch_overhead_bf16`.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One network, with the numbers of the recipe that PyTorch's side needs.

    family: "vae", "ddpm", "gan" or "pix2pix".
    width: hidden units of the VAE; channels of the first level of the other networks.
    multipliers, attention, dropout: of the U-Net of `ddpm`; attention names heights.
    halflife: half-life of the average in images; 0 for none.
    clip_norm: maximum norm of a gradient; 0 for none.
    flip: whether images are mirrored at random.
    """

    name: str
    family: str
    shape: tuple[int, int, int]
    batch: int
    width: int
    learning_rate: float
    b1: float = 0.9
    halflife: float = 0.0
    clip_norm: float = 0.0
    multipliers: tuple[int, ...] = ()
    attention: tuple[int, ...] = ()
    dropout: float = 0.0
    flip: bool = False
    z_dim: int = 0

    def miniature(self) -> "Row":
        """Return a row of the same layers that a CPU trains in a moment."""
        side = {"pix2pix": 64, "gan": self.shape[0], "vae": 28}.get(self.family, 16)
        scale = self.shape[0] // side if self.family == "ddpm" else 1
        return dataclasses.replace(
            self,
            shape=(min(side, self.shape[0]), min(side, self.shape[1]), self.shape[2]),
            batch=4,
            width=min(self.width, 16),
            attention=tuple(height // max(scale, 1) for height in self.attention),
        )


def _ddpm(name: str, side: int, channels: int) -> Row:
    """Return the default recipe of `ddpm` for images of this size."""
    return Row(
        name,
        "ddpm",
        (side, side, channels),
        batch=128,
        width=32,
        learning_rate=1e-3,
        halflife=5_000.0,
        clip_norm=1.0,
        multipliers=(1, 2),
        attention=(side // 2,),
    )


def _dcgan(name: str, side: int, batch: int) -> Row:
    return Row(
        name,
        "gan",
        (side, side, 3),
        batch=batch,
        width=64,
        learning_rate=2e-4,
        b1=0.5,
        halflife=20_000.0,
        z_dim=100,
    )


ROWS = {
    row.name: row
    for row in (
        Row(
            "vae",
            "vae",
            (28, 28, 1),
            batch=128,
            width=500,
            learning_rate=1e-3,
            halflife=10_000.0,
            z_dim=20,
        ),
        _ddpm("ddpm8", 8, 1),
        _ddpm("ddpm32", 32, 3),
        _dcgan("dcgan32", 32, 128),
        _dcgan("dcgan64", 64, 64),
        Row(
            "pix2pix",
            "pix2pix",
            (256, 256, 3),
            batch=4,
            width=64,
            learning_rate=2e-4,
            b1=0.5,
            dropout=0.5,
        ),
        Row(
            "cifar10",
            "ddpm",
            (32, 32, 3),
            batch=128,
            width=128,
            learning_rate=2e-4,
            halflife=887_200.0,
            clip_norm=1.0,
            multipliers=(1, 2, 2, 2),
            attention=(16,),
            dropout=0.1,
            flip=True,
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to run a step.

    side: "jax" or "torch".
    precision: of products and convolutions: "default" (only of jax), "tf32" or "fp32".
    scan: steps in one call. jax.
    compile: "none" or a mode of `torch.compile`. torch, as all below.
    graph: whether the whole step is captured as one CUDA graph.
    bf16: whether the networks run under autocast to bfloat16.
    channels_last: the memory format of images and kernels.
    """

    side: str
    precision: str
    scan: int = 1
    compile: str = "none"
    graph: bool = False
    bf16: bool = False
    channels_last: bool = True


_TORCH_WORDS: dict[str, dict[str, Any]] = {
    "compile": {"compile": "default"},
    "overhead": {"compile": "reduce-overhead"},
    "max": {"compile": "max-autotune-no-cudagraphs"},
    "graph": {"graph": True},
    "bf16": {"bf16": True},
    "nchw": {"channels_last": False},
    "fp32": {"precision": "fp32"},
}
_JAX_WORDS: dict[str, dict[str, Any]] = {
    "scan": {},
    "tf32": {"precision": "tf32"},
    "fp32": {"precision": "fp32"},
}


def variant(name: str, scan: int) -> Variant:
    """Return the variant of a name: a side, then words joined by "_".

    jax: scan, tf32, fp32. By default a step a call, at JAX's own precision, which is
    TF32 on a GPU that has it. torch: compile (default mode), overhead (reduce-overhead)
    or max (max-autotune-no-cudagraphs); graph; bf16; nchw; fp32. By default eager, in
    channels-last, with TF32.

    scan: steps in one call of a `scan`. Raises ValueError for an unknown word.
    """
    side, *words = name.split("_")
    known = {"jax": _JAX_WORDS, "torch": _TORCH_WORDS}.get(side)
    if known is None:
        raise ValueError(f"variant {name!r}: its name must begin with jax or torch")
    if unknown := set(words) - set(known):
        raise ValueError(
            f"variant {name!r}: unknown {sorted(unknown)}; known: {', '.join(known)}"
        )
    chosen = Variant(side, "default" if side == "jax" else "tf32")
    for word in words:
        chosen = dataclasses.replace(chosen, **known[word])
    return dataclasses.replace(chosen, scan=scan) if "scan" in words else chosen
