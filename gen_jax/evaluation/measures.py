"""The table of measures. To add a measure: write its file and its entry here.

    for measure in measures(evaluation):
        result = measure.run(evaluation)

A measure applies to every run of any family that has the capabilities it needs.
"""

import functools

from gen_jax.errors import UserError
from gen_jax.evaluation import bounds, by_class, distances, paired_images, parzen_window
from gen_jax.evaluation.measure import Measure
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result
from gen_jax.metrics.networks.features import FeatureNetwork

_SAMPLES = ("samples", "whole_reference", "pairwise")
_BOUND = ("bound_images", "diffusion_images")
_WEIGHTS = ("importance_images", "importance_samples", "bound_images")
_PAIRS = ("bound_images",)

MEASURES = (
    Measure(
        "by_class",
        by_class.by_class,
        ("sample", "images", "labels", "conditional"),
        _SAMPLES,
    ),
    Measure("copies", distances.copies, ("sample",), _SAMPLES),
    Measure("bound", bounds.bound, ("bound_terms",), _BOUND),
    Measure(
        "importance_bound", bounds.importance_bound, ("importance_weights",), _WEIGHTS
    ),
    Measure(
        "parzen", parzen_window.log_likelihood, ("sample", "score", "images"), _SAMPLES
    ),
    Measure(
        "reconstruction",
        paired_images.reconstruction,
        ("reconstruct", "images"),
        _PAIRS,
    ),
    Measure("translation", paired_images.translation, ("translate",), _PAIRS),
    Measure(
        "class_fractions",
        by_class.class_fractions,
        ("sample", "images", "labels", "unconditional"),
        _SAMPLES,
    ),
)


def on_network(network: FeatureNetwork) -> Measure:
    """Return the measure that compares samples on a network's features."""
    run = functools.partial(distances.on_network, network=network)
    return Measure(f"on_{network.name}", run, ("sample",), _SAMPLES, network)


def not_on_network(name: str, error: UserError) -> Measure:
    """Return a measure that fails because its network does not fit these data."""

    def fail(evaluation: Evaluation) -> Result:
        """Compare samples with real images on the features of a network."""
        raise error

    return Measure(f"on_{name}", fail, ("sample",), _SAMPLES)


def measures(evaluation: Evaluation) -> list[Measure]:
    """Return the measures that apply to an evaluation's run and data."""
    every = [*map(on_network, evaluation.networks), *MEASURES]
    capabilities = evaluation.capabilities
    return [measure for measure in every if capabilities.issuperset(measure.needs)]
