"""Train steps of gen_jax and of PyTorch, timed by turns on one device.

  python -m experiments.studies.speed.side_by_side [--rows=vae,ddpm32] [--rounds=5]
      [--seconds=2] [--variants=jax,jax_scan,torch,torch_overhead] [--out=FILE.json]

Each variant of a row runs in a process of its own that stays alive. A round times every
variant once, and the next round in the opposite order. A variant that fails costs one
line, and the others continue. The file is written after each row. `rows.variant`
explains the variants' names. A ratio is PyTorch's time over gen_jax's: above 1 if
gen_jax is faster.
"""

import dataclasses
import json
import os
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from absl import app, flags

from experiments.studies.speed import summary
from experiments.studies.speed.processes import Clock, FailedError, Worker
from experiments.studies.speed.rows import ROWS, Row, variant

_ROWS = flags.DEFINE_list("rows", list(ROWS), f"rows, of {', '.join(ROWS)}")
_VARIANTS = flags.DEFINE_list(
    "variants",
    ["jax", "jax_scan", "torch", "torch_overhead", "torch_overhead_bf16"],
    "variants to time, see rows.py",
)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "rounds", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "seconds of a variant in a round")
_SCAN = flags.DEFINE_integer("scan", 20, "steps a call of jax_scan", lower_bound=2)
_OUT = flags.DEFINE_string("out", "", "JSON file for the results")
_LIMIT = flags.DEFINE_float("limit_s", 3600.0, "seconds after which no row begins")
_FIRST = flags.DEFINE_float("first_s", 90.0, "seconds that a first call may take")
_BATCH = flags.DEFINE_integer("batch", 0, "batch size of all rows; 0: their own")
_MINIATURE = flags.DEFINE_bool("miniature", False, "tiny networks and batches")
_DEVICE = flags.DEFINE_enum("device", "", ["", "cpu"], "cpu hides every GPU")
_TOGETHER = flags.DEFINE_bool(
    "start_together",
    False,
    "compile PyTorch's variants at the same time, next to one of JAX; the seconds of "
    "a first call then depend on the others",
)
_CACHE = flags.DEFINE_string("cache", "", "folder for compiled programs; none if empty")

_BUILD_S = 120.0  # seconds for imports and first weights
_LEAST_S = 20.0  # of a first call in a row that began before the time was over
_SLACK_S = 60.0  # seconds that a request may take beyond its own duration


def main(arguments: list[str]) -> None:
    """Time each row and print its table; write the JSON file after each row."""
    del arguments
    # So that `timeout` ends the workers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    clock, results = Clock(_LIMIT.value), []
    if unknown := set(_ROWS.value) - set(ROWS):
        raise app.UsageError(
            f"unknown rows {sorted(unknown)}; known: {', '.join(ROWS)}"
        )
    for name in _VARIANTS.value:
        variant(name, _SCAN.value)  # raises for an unknown name
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # they share a GPU
    if _DEVICE.value == "cpu":
        os.environ |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if _CACHE.value:
        folder = Path(_CACHE.value).resolve()
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "jax")
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "inductor")
        os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    for name in _ROWS.value:
        if clock.left() <= 0:
            print(f"{name}: skipped, the {_LIMIT.value:.0f} s are over", flush=True)
            continue
        row = ROWS[name].miniature() if _MINIATURE.value else ROWS[name]
        if _BATCH.value:
            row = dataclasses.replace(row, batch=_BATCH.value)
        print(f"{name}: {row.shape}, batch {row.batch}", flush=True)
        results.append(_time_row(row, clock))
        print("\n".join(summary.lines(results[-1])), flush=True)
        _write(results)


def _time_row(row: Row, clock: Clock) -> dict[str, Any]:
    """Return the results of one row, of all variants that did not fail."""
    result: dict[str, Any] = {
        "row": row.name,
        "shape": row.shape,
        "batch": row.batch,
        "miniature": _MINIATURE.value,
        "variants": {name: {"ms": []} for name in _VARIANTS.value},
    }
    with tempfile.TemporaryDirectory() as folder:
        workers = {
            name: Worker(row, variant(name, _SCAN.value), Path(folder, f"{name}.log"))
            for name in _VARIANTS.value
        }
        try:
            _start(workers, result, clock)
            _check_counts(result)
            steps = _plan(workers, result)
            _rounds(workers, steps, result, clock)
            _finish(workers, result, clock)
        finally:
            for worker in workers.values():
                worker.stop()
    summary.add_numbers(result, row.batch)
    return result


def _start(workers: dict[str, Worker], result: dict, clock: Clock) -> None:
    """Wait until all are built; take the first step of each, which compiles it."""

    def first(names):
        for name in names:
            limit = max(_LEAST_S, clock.left(_FIRST.value))
            if reply := _try(workers, name, result, limit, "first"):
                result["variants"][name]["first_call_seconds"] = reply["seconds"]

    for name in list(workers):
        if reply := _try(workers, name, result, max(_LEAST_S, clock.left(_BUILD_S))):
            result["variants"][name] |= reply
    lanes = [list(workers)]
    if _TOGETHER.value:
        ours = [name for name in workers if name.startswith("jax")]
        lanes = [ours, *([name] for name in workers if name not in ours)]
    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(first, lanes))


def _check_counts(result: dict) -> None:
    """Print and keep the parameter counts, and say so if the sides differ."""
    counts = {
        name: numbers["parameters"]
        for name, numbers in result["variants"].items()
        if "parameters" in numbers
    }
    if not counts:
        return
    different = [name for name in counts if counts[name] != next(iter(counts.values()))]
    result["parameters"] = next(iter(counts.values()))
    result["equal_parameters"] = not different
    verdict = f"NOT EQUAL in {different}: {counts}" if different else "on both sides"
    print(f"  parameters {result['parameters']} {verdict}", flush=True)


def _plan(workers: dict[str, Worker], result: dict) -> dict[str, int]:
    """Return each variant's number of steps a round."""
    steps, limit = {}, _SLACK_S + 10 * _SECONDS.value
    for name in list(workers):
        if reply := _try(workers, name, result, limit, "plan", _SECONDS.value):
            steps[name] = reply["steps"]
            result["variants"][name]["steps_per_round"] = reply["steps"]
    return steps


def _rounds(
    workers: dict[str, Worker], steps: dict[str, int], result: dict, clock: Clock
) -> None:
    """Time every variant once a round; later rounds are left out if time is over."""
    for number in range(_ROUNDS.value):
        if number and clock.left() <= 0:
            print(f"  {number} rounds, the time is over", flush=True)
            break
        for name in list(workers)[:: -1 if number % 2 else 1]:
            limit = _SLACK_S + 10 * _SECONDS.value
            if reply := _try(workers, name, result, limit, "time", steps[name]):
                ms = 1e3 * reply["seconds"] / steps[name]
                result["variants"][name]["ms"].append(ms)


def _finish(workers: dict[str, Worker], result: dict, clock: Clock) -> None:
    """Ask for memory, and for the operations of the plain variants."""
    for name in list(workers):
        numbers = result["variants"][name]
        if reply := _try(workers, name, result, _SLACK_S, "end"):
            numbers |= reply
            if not reply["finite"]:
                print(f"  {name}: its parameters are not finite", flush=True)
        plain = name in ("jax", "torch") and name in workers and clock.left() > 30
        if plain:
            try:
                reply = workers[name].ask(_SLACK_S, "operations")
                numbers["operations"] = reply["operations"]
                print(f"  {name}: {reply['operations']:.4g} operations", flush=True)
            except FailedError as failure:
                print(f"  {name}: operations not counted: {failure}", flush=True)


def _try(
    workers: dict[str, Worker], name: str, result: dict, limit_s: float, *request: Any
) -> dict[str, Any] | None:
    """Return the answer to a request, or to none; if it fails, drop the variant."""
    worker = workers[name]
    try:
        return worker.ask(limit_s, *request) if request else worker.answer(limit_s)
    except FailedError as failure:
        during = request[0] if request else "build"
        print(f"  {name}: failed ({during}): {failure}", flush=True)
        result["variants"][name]["error"] = f"{during}: {failure}"
        worker.stop()
        del workers[name]
        return None


def _write(results: list[dict[str, Any]]) -> None:
    if not _OUT.value:
        return
    settings = {
        "command": " ".join(sys.argv),
        "rounds": _ROUNDS.value,
        "seconds": _SECONDS.value,
        "scan": _SCAN.value,
        "started_together": _TOGETHER.value,
        "cache": _CACHE.value,
        "cpus": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }
    path = Path(_OUT.value)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps({"settings": settings, "rows": results}, indent=1))
    partial.replace(path)


if __name__ == "__main__":
    app.run(main)
