"""One variant of one row in a process of its own, which answers on stdin and stdout.

Each line read is a request, each line written its answer, both JSON:

    {"ask": "first"}                -> {"seconds": 12.3}, with compilation
    {"ask": "plan", "seconds": 2}   -> {"steps": 340}, after a warm-up
    {"ask": "time", "steps": 340}   -> {"seconds": 2.01}
    {"ask": "end"}                  -> memory, and whether the parameters are finite
    {"ask": "operations"}           -> {"operations": 1.2e9}

The first line written says that the networks are built. A failure is answered with
{"error": "..."}. Everything else that is printed goes to stderr.
"""

import json
import math
import os
import sys
import time
from typing import Any, TextIO

from experiments.studies.speed.rows import Row, Variant

_LONGEST_TRIAL = 1.0  # seconds of steps from which their duration is estimated


def main() -> None:
    """Build the side that argv[1] describes, then answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print on stdout too
    spec = json.loads(sys.argv[1])
    started = time.perf_counter()
    try:
        side = _build(spec)
        hello = {"parameters": side.parameters, **side.about()}
        _say(answers, {**hello, "build_seconds": time.perf_counter() - started})
    except Exception as error:
        _say(answers, {"error": _line(error)})
        return
    for line in sys.stdin:
        try:
            _say(answers, _answer(side, json.loads(line)))
        except Exception as error:
            _say(answers, {"error": _line(error)})


def _build(spec: dict) -> Any:
    fields: dict[str, Any]
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in spec["row"].items()}
    row, variant = Row(**fields), Variant(**spec["variant"])
    if variant.side == "jax":
        from experiments.studies.speed import jax_side

        return jax_side.Side(row, variant)
    from experiments.studies.speed import torch_side

    return torch_side.Side(row, variant)


def _answer(side: Any, request: dict) -> dict:
    ask = request["ask"]
    if ask == "first":
        return {"seconds": side.seconds(side.steps_per_call)}
    if ask == "plan":
        return {"steps": _plan(side, request["seconds"])}
    if ask == "time":
        return {"seconds": side.seconds(request["steps"])}
    if ask == "operations":
        return {"operations": side.operations()}
    if ask == "end":
        return {"memory": side.memory(), "finite": side.finite()}
    raise ValueError(f"unknown request {ask!r}")


def _plan(side: Any, seconds: float) -> int:
    """Return a number of steps that take about `seconds`, after a warm-up."""
    unit = side.steps_per_call
    side.seconds(2 * unit)
    calls, enough = 1, min(_LONGEST_TRIAL, seconds / 2)
    while True:
        taken = side.seconds(calls * unit)
        if taken >= enough:
            return unit * max(1, round(seconds * calls / taken))
        calls = min(10 * calls, math.ceil(1.2 * enough * calls / max(taken, 1e-6)))


def _line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".split("\n")
    return " | ".join(text)[:400]


def _say(answers: TextIO, answer: dict) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
