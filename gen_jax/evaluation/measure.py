"""Measure: an entry of the table of measures (`gen_jax.evaluation.measures`)."""

from collections.abc import Callable
from typing import NamedTuple

from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result
from gen_jax.metrics.networks.features import FeatureNetwork


class Measure(NamedTuple):
    """A metric, or several computed together, of a trained run.

    name: its name in evaluation.json.
    run: computes the result; the first line of its docstring describes the measure.
    needs: capabilities that a run must have (`Evaluation.capabilities`).
    reads: fields of the preset that the numbers depend on.
    network: the network on whose features samples are compared, if any.
    version: to be raised when the numbers change, so that stored ones are computed
        again.
    """

    name: str
    run: Callable[[Evaluation], Result]
    needs: tuple[str, ...]
    reads: tuple[str, ...]
    network: FeatureNetwork | None = None
    version: int = 1

    @property
    def description(self) -> str:
        """Return one line that describes the measure."""
        function = getattr(self.run, "func", self.run)
        return (function.__doc__ or "").partition("\n")[0]
