"""Presets: how many images an evaluation uses, few for speed or as many as papers."""

from typing import NamedTuple


class Preset(NamedTuple):
    """Numbers of images. Each is a maximum: a smaller dataset gives fewer.

    samples: images sampled from the model; compared with as many training images, or
        with all of them if `whole_reference`.
    pairwise: images of each set in metrics that need all distances between two sets.
    bound_images: images of each split for a bound that takes one evaluation an image.
    diffusion_images: images of each split for a bound that takes T evaluations.
    importance_images: test images of the importance-weighted bound.
    importance_samples: k, the number of z for each of these.
    """

    name: str
    samples: int
    whole_reference: bool
    pairwise: int
    bound_images: int
    diffusion_images: int
    importance_images: int
    importance_samples: int


QUICK = Preset(
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
PRESETS = {preset.name: preset for preset in (QUICK, _PAPER)}
