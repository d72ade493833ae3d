"""The table of figures: each shows a claim about a family by a picture and a number.

    for claim in claims(evaluation):
        figure = claim.show(evaluation)

To add a figure: write its file and its entry here. A figure applies to every run that
has the capabilities it needs, of any family.
"""

from collections.abc import Callable
from typing import NamedTuple

from gen_jax.evaluation.request import Evaluation
from gen_jax.figures import (
    adversaries,
    classes,
    denoising,
    latent_space,
    learning,
    sharpness,
    translations,
)
from gen_jax.figures.figure import Figure


class Claim(NamedTuple):
    """A statement about a family, and the function that shows it.

    show: draws the figure; the first line of its docstring describes the picture.
    needs: capabilities that a run must have (`Evaluation.capabilities`).
    """

    name: str
    show: Callable[[Evaluation], Figure]
    needs: tuple[str, ...]

    @property
    def description(self) -> str:
        """Return one line that describes the picture."""
        return (self.show.__doc__ or "").partition("\n")[0]


CLAIMS = (
    Claim("learning", learning.learning, ()),
    Claim("interpolation", latent_space.interpolation, ("prior", "decode")),
    Claim("adversaries", adversaries.discriminator_outputs, ("score", "sample")),
    Claim("match", adversaries.match, ("score", "conditional")),
    Claim("classes", classes.classes, ("sample", "images", "conditional")),
    Claim("diversity", classes.class_fractions, ("sample", "images", "labels")),
    Claim("between", latent_space.between, ("encode", "decode", "images")),
    Claim("latents", latent_space.scatter, ("encode", "labels")),
    Claim("plane", latent_space.plane, ("encode", "decode", "prior")),
    Claim("gaps", latent_space.gaps, ("encode", "decode", "images", "labels")),
    Claim("style", latent_space.style, ("prior", "decode", "conditional", "labels")),
    Claim("sharpness", sharpness.sharpness, ("sample", "images")),
    Claim("dissolving", denoising.dissolving, ("diffuse", "predict_x0")),
    Claim(
        "restoring",
        denoising.restoring,
        ("diffuse", "denoise_between", "predict_x0", "prior"),
    ),
    Claim(
        "shared_noise",
        denoising.shared_noise,
        ("diffuse", "denoise_between", "random_denoising"),
    ),
    Claim("translation", translations.translation, ("translate",)),
)


def claims(evaluation: Evaluation) -> list[Claim]:
    """Return the claims that apply to an evaluation's run and data."""
    capabilities = evaluation.capabilities
    return [claim for claim in CLAIMS if capabilities.issuperset(claim.needs)]
