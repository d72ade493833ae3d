"""The protocol of a comparison of families, a file of JSON."""

import dataclasses
from pathlib import Path
from typing import Any

from gen_jax import typed_json
from gen_jax.errors import UserError
from gen_jax.typed_json import at_least

_OF_PROTOCOL = {"steps", "seed", "learning_rate"}  # fields that a family may not set


@dataclasses.dataclass(frozen=True)
class Budget:
    """The cost of one training: the family takes as many steps as both allow."""

    seconds: float = at_least(0)
    gigaflops: float = at_least(0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trials:
    """The search for the learning rate.

    learning_rate: factors by which the recipe's rate is multiplied.
    """

    seed: int = at_least(0)
    learning_rate: list[float] = dataclasses.field(metadata={"minimum": 0})


@dataclasses.dataclass(frozen=True)
class Family:
    """An experiment of the comparison.

    config: its fields. The others are written by --calibrate: the costs of one step,
    and the number of steps in the budget.
    """

    config: dict[str, Any]
    milliseconds: float | None = at_least(0, default=None)
    gigaflops: float | None = at_least(0, default=None)
    steps: int | None = at_least(1, default=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """The conditions that are equal for all families.

    parameters: of all players, within the fraction `tolerance`.
    seeds: trainings with the best learning rate; an interval needs two.
    samples: of each evaluation. families: by the names of their experiments.
    calibrated_on: the machine on which costs were measured.
    """

    data: str
    parameters: int = at_least(1)
    tolerance: float = at_least(0)
    budget: Budget
    trials: Trials
    seeds: int = at_least(2)
    samples: int = at_least(1)
    families: dict[str, Family]
    calibrated_on: dict[str, Any] = dataclasses.field(default_factory=dict)

    def costs(self, name: str) -> tuple[float, float, int]:
        """Return milliseconds and gigaflops of a family's step, and its steps.

        Raises UserError if the protocol does not have them.
        """
        family = self.families[name]
        if not (family.milliseconds and family.gigaflops and family.steps):
            raise UserError(f"the protocol has no costs of {name}: --calibrate first")
        return family.milliseconds, family.gigaflops, family.steps


def read(path: Path) -> Protocol:
    """Read a protocol. Raises UserError for a file that is not one."""
    protocol = typed_json.load(Protocol, path)
    if not protocol.families:
        raise UserError(f"{path}: families is empty")
    factors = protocol.trials.learning_rate
    if not factors or len({f"{factor:g}" for factor in factors}) < len(factors):
        raise UserError(f"{path}: trials.learning_rate is empty, or has a number twice")
    for name, family in protocol.families.items():
        if taken := _OF_PROTOCOL & family.config.keys():
            raise UserError(
                f"{path}: the config of {name} sets {min(taken)}, which the protocol "
                "sets for all families; leave it out"
            )
    return protocol
