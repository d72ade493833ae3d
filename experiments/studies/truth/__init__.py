"""Checks of estimates against exact values, on data with a known density.

for check in CHECKS:
    finding = check.run()  # or, in seconds, check.run(**check.short)
"""

from collections.abc import Callable, Mapping
from types import ModuleType
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


def _of(module: ModuleType, **short: Any) -> Check:
    return Check(module.__name__.rpartition(".")[2], module.check, short)


CHECKS = (
    _of(vae, stages=(50, 300), images=200, draws=(1, 10)),
    _of(ddpm, steps=100, timesteps=25, points=128, images=32, times=(0.5,)),
    _of(discriminator, gan_losses=("minimax",), steps=200, points=1000),
    _of(parzen, dims=(2, 16), numbers=(100, 1000)),
    _of(frechet, numbers=(100, 1000), repetitions=4),
    _of(coverage, number=100, repetitions=10),
    _of(
        sensitivity,
        network="pixels",
        size=120,
        repetitions=4,
        strengths={fault: x[-1:] for fault, x in sensitivity.STRENGTHS.items()},
    ),
)
