"""What each family is known for: a picture and a number, by what its game can do.

    for claim in claims(subject):
        figure = claim.show(subject)  # pictures, films and numbers

A claim applies wherever the ops that it needs are there, whatever the family.
"""

from collections.abc import Callable
from typing import NamedTuple

from gen_jax.evaluation.subject import Subject, load
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

__all__ = ["CLAIMS", "Claim", "Figure", "Subject", "claims", "load"]


class Claim(NamedTuple):
    """Something that a picture shows and a number says.

    needs: ops of the game; "images" and "labels" are asked of its data, "conditional"
        of the game, that it is told labels, and "chance", that it restores by noise.
    """

    name: str
    show: Callable[[Subject], Figure]
    needs: tuple[str, ...]


CLAIMS = (
    Claim("learning", learning.learning, ()),
    Claim("interpolation", latent_space.interpolation, ("prior", "decode")),
    Claim("adversaries", adversaries.discriminator_outputs, ("score", "sample")),
    Claim("match", adversaries.match, ("score", "conditional")),
    Claim("classes", classes.asked_for, ("sample", "images", "conditional")),
    Claim("diversity", classes.drawn, ("sample", "images", "labels")),
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
        "shared_noise", denoising.shared_noise, ("diffuse", "denoise_between", "chance")
    ),
    Claim("translation", translations.translation, ("translate",)),
)


def claims(subject: Subject) -> list[Claim]:
    """Those that this run's game and data can be asked about."""
    has = subject.has
    return [claim for claim in CLAIMS if has.issuperset(claim.needs)]
