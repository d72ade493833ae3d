"""Let the processes of a run stop, and save, at the same step.

Each may be told to stop, and each has a clock of its own. To ask the others waits for
the devices, so they ask about once a second, not at every step.
"""

import math
import time

import jax
import numpy as np

_MILLISECONDS = 1000  # between two questions


class Agreement:
    """What the processes have told each other; all of them ask at the same steps.

    step: the one at which the run begins.
    """

    def __init__(self, step: int):
        self._next = self._step = step
        self._time = time.monotonic()
        # Of the last interval between two questions.
        self._steps, self._milliseconds = 0, 0

    def reached(self, step: int, told: int, due: bool) -> tuple[int, bool]:
        """Return the signal that stops the run, 0 for none, and whether a save is due.

        They are those of any process. told, due: of this process.
        """
        if jax.process_count() == 1:
            return told, due
        if step < self._next:
            return 0, False
        told, any_due, milliseconds = _largest(told, due, self._milliseconds)
        # The same in each process: it follows from steps, and from the slowest clock.
        interval = self._steps * _MILLISECONDS // max(milliseconds, 1)
        now, self._steps = time.monotonic(), step - self._step
        self._milliseconds = math.ceil(1000 * (now - self._time))
        self._next = step + max(1, min(interval, 2 * self._steps))
        self._step, self._time = step, now
        return told, bool(any_due)


def _largest(*values: int) -> list[int]:
    """Return the largest of the processes' values, each at most 2**31 - 1."""
    from jax.experimental import multihost_utils

    mine = np.asarray(np.minimum(values, 2**31 - 1), np.int32)
    return np.max(multihost_utils.process_allgather(mine), axis=0).tolist()
