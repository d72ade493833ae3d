"""How much is measured: quickly by default, or as the papers do it."""

from typing import NamedTuple

from gen_jax.errors import choose


class Preset(NamedTuple):
    """Numbers of images. Every one is a most, where the data has less.

    samples: drawn of the model, and compared with as many real ones; with all of the
        training images where `whole_reference`.
    pairwise: of each set where every distance between two sets is needed.
    bound_images, diffusion_images: of each split, for a bound by one evaluation and by
        T of them.
    importance_images: of the test split. importance_samples: k, of z for each of them.
    """

    name: str
    samples: int
    whole_reference: bool
    pairwise: int
    bound_images: int
    diffusion_images: int
    importance_images: int
    importance_samples: int


_QUICK = Preset(
    "quick",
    samples=1000,
    whole_reference=False,
    pairwise=1000,
    bound_images=1000,
    diffusion_images=32,
    importance_images=200,
    importance_samples=200,
)
# 50,000 samples against the training images: Ho et al. (2020); k = 5000: Burda et al.
# (2016); 10,000 samples: Goodfellow et al. (2014), Kynkaanniemi et al. (2019).
_PAPER = Preset(
    "paper",
    samples=50_000,
    whole_reference=True,
    pairwise=10_000,
    bound_images=60_000,
    diffusion_images=10_000,
    importance_images=10_000,
    importance_samples=5000,
)
PRESETS = {preset.name: preset for preset in (_QUICK, _PAPER)}


def preset(name: str) -> Preset:
    """One of `PRESETS`. Raises UserError for another name."""
    return choose("preset", name, PRESETS)
