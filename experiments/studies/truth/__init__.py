"""Checks of estimates against exact values, on data with a known density.

for check in CHECKS:
    finding = check.run()  # or, in seconds, check.run(**check.short)
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from experiments.studies.truth import (
    coverage,
    ddpm,
    discriminator,
    frechet,
    parzen,
    sensitivity,
    vae,
)
from experiments.studies.truth.finding import Finding, Row

__all__ = ["CHECKS", "Check", "Finding", "Row"]


class Check(NamedTuple):
    """A comparison with the truth; `short` holds sizes with which it takes seconds."""

    name: str
    run: Callable[..., Finding]
    short: Mapping[str, Any]


CHECKS = (
    Check("vae", vae.check, {"stages": (50, 300), "images": 200, "draws": (1, 10)}),
    Check(
        "ddpm",
        ddpm.check,
        {"steps": 100, "timesteps": 25, "points": 128, "images": 32, "times": (0.5,)},
    ),
    Check(
        "discriminator",
        discriminator.check,
        {"gan_losses": ("minimax",), "steps": 200, "points": 1000},
    ),
    Check("parzen", parzen.check, {"dims": (2, 16), "numbers": (100, 1000)}),
    Check("frechet", frechet.check, {"numbers": (100, 1000), "repetitions": 4}),
    Check("coverage", coverage.check, {"number": 100, "repetitions": 10}),
    Check(
        "sensitivity",
        sensitivity.check,
        {
            "network": "pixels",
            "size": 120,
            "repetitions": 4,
            "strengths": {
                name: values[-1:] for name, values in sensitivity.STRENGTHS.items()
            },
        },
    ),
)
