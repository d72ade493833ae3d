"""What a trained run is worth, in numbers: by what its game can do.

    for measure in measures(evaluation):
        result = measure.run(evaluation)

A measure applies wherever the ops that it needs are there, whatever the family.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

from gen_jax.evaluation import bounds, by_class, distances, paired_images, parzen_window
from gen_jax.evaluation.preset import PRESETS, Preset, preset
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, Value
from gen_jax.metrics.networks.features import FeatureNetwork

__all__ = [
    "PRESETS",
    "Evaluation",
    "Measure",
    "Preset",
    "Result",
    "Value",
    "measures",
    "preset",
]


class Measure(NamedTuple):
    """Something that is measured of a run.

    needs: as a claim's (`gen_jax.figures`). reads: the protocol's numbers that it goes
        by. network: the one on whose features samples are compared, if any.
    """

    name: str
    run: Callable[[Evaluation], Result]
    needs: tuple[str, ...]
    reads: tuple[str, ...]
    network: FeatureNetwork | None = None

    @property
    def what(self) -> str:
        """One line of what is measured."""
        function = getattr(self.run, "func", self.run)
        return function.__doc__.splitlines()[0]


_DRAWN = ("samples", "whole_reference", "pairwise")
_BOUND = ("bound_images", "diffusion_images")
_WEIGHTS = ("importance_images", "importance_samples", "bound_images")
_PAIRS = ("bound_images",)
_MEASURES = (
    Measure("by_class", by_class.by_class, ("sample", "images", "conditional"), _DRAWN),
    Measure("copies", distances.copies, ("sample",), _DRAWN),
    Measure("bound", bounds.bound, ("bound_terms",), _BOUND),
    Measure(
        "importance_bound", bounds.importance_bound, ("importance_weights",), _WEIGHTS
    ),
    Measure(
        "parzen", parzen_window.log_likelihood, ("sample", "score", "images"), _DRAWN
    ),
    Measure(
        "reconstruction",
        paired_images.reconstruction,
        ("reconstruct", "images"),
        _PAIRS,
    ),
    Measure("translation", paired_images.translation, ("translate",), _PAIRS),
)
_SHARES = Measure(
    "class_fractions",
    by_class.fraction_of_classes,
    ("sample", "images", "labels"),
    _DRAWN,
)


def measures(evaluation: Evaluation) -> list[Measure]:
    """Those that this run's game and data can be asked about."""
    has = evaluation.subject.has
    found = [
        Measure(
            f"on_{network.name}",
            functools.partial(distances.on_network, network=network),
            ("sample",),
            _DRAWN,
            network,
        )
        for network in evaluation.networks
    ]
    found += _MEASURES
    if "conditional" not in has:
        found.append(_SHARES)
    return [measure for measure in found if has.issuperset(measure.needs)]
