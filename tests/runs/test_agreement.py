"""Several processes stop, and save, at the same step: about once a second they ask."""

import threading
import types

import numpy as np
import pytest

from gen_jax.runs import agreement
from gen_jax.runs.agreement import Agreement


class Together:
    """Processes in threads with clocks of their own; `seconds` a step, by process."""

    def __init__(self, monkeypatch, count):
        self.count, self.now = count, threading.local()
        self.said, self.barrier = [None] * count, threading.Barrier(count, timeout=10)
        self.asked = [0] * count
        clock = types.SimpleNamespace(monotonic=lambda: self.now.seconds)
        monkeypatch.setattr(agreement, "time", clock)
        monkeypatch.setattr("jax.process_count", lambda: count)
        place = "jax.experimental.multihost_utils.process_allgather"
        monkeypatch.setattr(place, self.gather)

    def gather(self, mine):
        """Wait for all; the clock of a fast process goes on while it waits."""
        self.asked[self.now.number] += 1
        self.said[self.now.number] = (self.now.seconds, mine)
        self.barrier.wait()
        self.now.seconds = max(seconds for seconds, _ in self.said)
        found = np.stack([mine for _, mine in self.said])
        self.barrier.wait()
        return found

    def run(self, seconds, until, *, first=0, per_call=1, told=(0, 0), due=(0, 0)):
        """Return (step, seconds, signal) at which each ends, and when saves were due.

        seconds: (process, step) -> of a step. told: (process, time in seconds) of a
        signal 15. due: (process, time) from which a save is due.
        """
        ends, saves = [None] * self.count, [[] for _ in range(self.count)]

        def process(number):
            self.now.seconds, self.now.number, step = 10.0 * number, number, first
            together = Agreement(first)
            while step < until:
                now = self.now.seconds
                has = [number == n and now >= t > 0 for n, t in (told, due)]
                stop, save = together.reached(step, 15 * has[0], has[1])
                ends[number] = (step, self.now.seconds, stop)
                saves[number] += [step] if save else []
                if stop:
                    break
                step += per_call
                self.now.seconds += sum(
                    seconds(number, s) for s in range(step - per_call, step)
                )

        threads = [
            threading.Thread(target=process, args=(n,)) for n in range(self.count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ends, saves


def compiling(rest):
    """The first step takes 30 s more."""
    return lambda number, step: rest(number, step) + 30 * (step == 0)


@pytest.mark.parametrize(
    ("seconds", "per_call", "first"),
    [
        (lambda n, s: 0.001, 1, 0),
        (lambda n, s: 0.001, 7, 0),  # no multiple of 7 is a round number soon
        (lambda n, s: 0.6, 1, 5000),  # resumed
        (lambda n, s: 5.0, 1, 0),
        (lambda n, s: (0.01, 0.05, 0.002)[n], 1, 0),  # one is slower
        (lambda n, s: 0.002 if s < 4000 else 0.004, 1, 0),  # slower later
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_one_told_to_stop_stops_all_at_one_step_soon(
    seconds, per_call, first, number, monkeypatch
):
    at = 60.0
    ends, _ = Together(monkeypatch, 3).run(
        compiling(seconds), 10**6, per_call=per_call, first=first, told=(number, at)
    )
    assert len({step for step, _, _ in ends}) == 1
    assert {stop for _, _, stop in ends} == {15}
    longest = max(seconds(n, 10**6) for n in range(3)) * per_call
    waited = max(now for _, now, _ in ends) - at
    assert waited <= 2.1 + longest


def test_fast_steps_are_asked_about_once_a_second(monkeypatch):
    together = Together(monkeypatch, 2)
    (ends, _) = together.run(compiling(lambda n, s: (0.001, 0.0012)[n]), 9_000)
    seconds = max(now for _, now, _ in ends) - 40
    assert 0.9 * seconds < together.asked[0] < 1.3 * seconds + 15
    assert ends[0][0] == ends[1][0] == 8_999


def test_a_save_that_is_due_in_one_is_made_by_all_at_the_same_steps(monkeypatch):
    _, saves = Together(monkeypatch, 3).run(lambda n, s: 0.1, 400, due=(1, 30.0))
    assert saves[0] == saves[1] == saves[2] != []


def test_a_process_alone_is_told_at_every_step():
    alone = Agreement(0)
    assert [alone.reached(step, 2 * (step > 1), step == 0) for step in range(3)] == [
        *((0, True), (0, False)),
        (2, False),
    ]
