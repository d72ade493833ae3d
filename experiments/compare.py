"""Are the families created equal? Trains and measures all of them by one protocol.

  python -m experiments.compare --protocol=FILE --workdir=DIR [--jobs=N]
  python -m experiments.compare --protocol=FILE --calibrate

FILE: experiments/studies/protocols/digits.json, or one of your own after it.

After Lucic et al. (2018), who found that with equal tuning most GANs score alike. The
protocol says what is equal: the number of parameters, within a tolerance; the budget of
a training, in FLOPs and in seconds, of which a family takes as many steps as both
allow; the trials, at multiples of its learning rate, the best of which is trained from
several seeds. What a step costs is in the protocol too, so that a run of it can be
repeated step by step; --calibrate measures it on this machine and writes it there:
the bare step's seconds, which on a fast device are fewer than the host needs for a
small model.

Each training is a command of `experiments.train`, each measurement one of
`experiments.evaluate`; they are printed, and what is done already is not done again.
--jobs of them run at once, on a machine that has room for several. DIR gets
comparison.json, comparison.md and comparison.png.
"""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import jax
import numpy as np
import PIL.Image
from absl import flags

from experiments import flags as parsing
from experiments.studies.truth.finding import markdown
from experiments.timing import bare_step
from gen_jax import config as configs
from gen_jax import data, devices, experiment, images
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError
from gen_jax.game import parameter_counts
from gen_jax.runs import environment
from gen_jax.runs.manifest import write_json

_PROTOCOL = flags.DEFINE_string("protocol", None, "what is compared, and how: JSON")
_WORKDIR = flags.DEFINE_string("workdir", None, "the folder of all runs")
_CALIBRATE = flags.DEFINE_bool("calibrate", False, "write a step's costs, and end")
_DATA = flags.DEFINE_string("data", None, "where the protocol's data lie: a SPEC")
_JOBS = flags.DEFINE_integer("jobs", 1, "how many commands run at once", lower_bound=1)

_ROUNDS, _WARM = 5, 10
_TIMED_SECONDS = 1.0  # a round and family
_SHOWN = ("frechet_distance", "kernel_distance", "precision", "recall", "memorized")

# What files are held to (`_check`): every number is the least that may stand there.
_PROTOCOL_LIKE = {
    "data": "",
    "parameters": 1,
    "tolerance": 0.0,
    "budget": {"seconds": 0.0, "gigaflops": 0.0},
    "trials": {"seed": 0, "learning_rate": [0.0]},
    "seeds": 2,  # an interval over trainings needs as many
    "samples": 1,
    "families": {"*": {"config": {}}},
}
_COSTS_LIKE = {"steps": 1, "milliseconds": 0.0, "gigaflops": 0.0}
_VALUE_LIKE = dict.fromkeys(("value", "low", "high", "real_baseline"), -math.inf)
_RECORD_LIKE = {
    "protocol": "",
    "trials": {"*": {}},  # None: it diverged
    "families": {"*": {"factor": 0.0, "values": dict.fromkeys(_SHOWN, _VALUE_LIKE)}},
}
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
}

_running: set[subprocess.Popen] = set()  # commands, to be stopped where this is


def main(overrides: list[tuple[str, str]]) -> None:
    """Trains, measures and tabulates, or measures the costs of a step."""
    if overrides:
        raise UserError(f"--config.{overrides[0][0]} is for the protocol's file to say")
    if not _PROTOCOL.value:
        raise UserError("--protocol=FILE is needed: what is compared, and how")
    agreed = _read(Path(_PROTOCOL.value))
    protocol = {**agreed, "data": _DATA.value or agreed["data"]}
    if _CALIBRATE.value:
        calibrated = {**_calibrated(protocol), "data": agreed["data"]}
        write_json(Path(_PROTOCOL.value), calibrated)
        return
    if not _WORKDIR.value:
        raise UserError("--workdir=DIR is needed: the folder of all runs")
    for name, family in protocol["families"].items():
        if _COSTS_LIKE.keys() - family.keys():
            raise UserError(f"the protocol has no costs of {name}: --calibrate first")
        _check(family, _COSTS_LIKE, "families", name)
    # This process and its commands share a GPU: none may take the most of it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    counts = {name: _parameters(name, protocol) for name in protocol["families"]}
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    folder = Path(_WORKDIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    record = _record(folder, protocol)
    _try(folder, record, protocol)
    _train_seeds(folder, record, protocol)
    (folder / "comparison.md").write_text(_table(record, protocol, counts))
    images.save_png(folder / "comparison.png", _picture(folder, protocol))
    print((folder / "comparison.md").read_text())


def _read(path: Path) -> dict[str, Any]:
    """A protocol. Raises UserError where it is none."""
    protocol = _json(path, _PROTOCOL_LIKE)
    if not protocol["families"]:
        raise UserError(f"{path}: families is empty")
    factors = protocol["trials"]["learning_rate"]
    if not factors or len({f"{factor:g}" for factor in factors}) < len(factors):
        raise UserError(f"{path}: trials.learning_rate is empty, or says one twice")
    for name, family in protocol["families"].items():
        if taken := {"steps", "seed", "learning_rate"} & family["config"].keys():
            raise UserError(f"{path}: {name}'s {min(taken)} is for the protocol to say")
    return protocol


def _json(path: Path, like: dict[str, Any]) -> dict[str, Any]:
    """A file's content. Raises UserError where it is not JSON like this."""
    try:
        content = json.loads(path.read_text())
        _check(content, like)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    return content


def _check(x: Any, like: Any, *names: str) -> None:
    """Raises UserError where JSON is not like an example, or a number is below its.

    Of an object the example's names are needed, others allowed; "*" is whatever name.
    names: where it stands.
    """
    where = ".".join(names) or "it"
    kinds = (int, float) if isinstance(like, float) else (type(like),)
    if type(x) not in kinds:
        raise UserError(f"{where} is not {_KINDS[type(like)]}")
    if isinstance(like, (int, float)) and not like <= x < math.inf:
        raise UserError(f"{where} is {x}; it has to be finite, and {like:g} at least")
    if isinstance(like, list):
        x, like = {str(place): each for place, each in enumerate(x)}, {"*": like[0]}
    if isinstance(like, dict):
        like = dict.fromkeys(x, like["*"]) if "*" in like else like
        for name, each in like.items():
            if name not in x:
                raise UserError(f"{where} lacks {name}")
            _check(x[name], each, *names, name)


def _recipe(name: str, protocol: dict) -> tuple[experiment.Experiment, Any]:
    """A family's experiment, and its configuration by the protocol."""
    recipe = experiment.find(name)
    config = configs.override(recipe.config, "data.spec", protocol["data"])
    fields = protocol["families"][name]["config"].items()
    return recipe, configs.override_all(config, [(p, str(x)) for p, x in fields])


def _parameters(name: str, protocol: dict) -> int:
    """How many all players have. Raises UserError where it is not the protocol's."""
    recipe, config = _recipe(name, protocol)
    info = data.describe(config.data)
    game, batch = recipe.build(config, info), data.prepared_like(info, 1)
    count, wanted = sum(parameter_counts(game, batch).values()), protocol["parameters"]
    if abs(count - wanted) > protocol["tolerance"] * wanted:
        raise UserError(
            f"{name} has {count:,} parameters, but the protocol asks for {wanted:,} "
            f"within {100 * protocol['tolerance']:g} %"
        )
    return count


def _calibrated(protocol: dict) -> dict:
    """The protocol with what a step of each family costs, timed by turns, and steps."""
    devices.use_compilation_cache()
    timers = {}
    for name in protocol["families"]:
        recipe, config = _recipe(name, protocol)
        dataset = data.load(config.data)
        seconds, flops = bare_step(recipe.build(config, dataset.info), config, dataset)
        steps = max(1, round(_TIMED_SECONDS / (seconds(10, _WARM) / 10)))
        timers[name] = seconds, steps, flops
    milliseconds = {name: [] for name in timers}
    for _ in range(_ROUNDS):
        for name, (seconds, steps, _) in timers.items():
            milliseconds[name].append(1e3 * seconds(steps, _WARM) / steps)
    budget = protocol["budget"]
    for name, (_, _, flops) in timers.items():
        cost = statistics.median(milliseconds[name])
        by_time = 1e3 * budget["seconds"] / cost
        steps = int(min(by_time, 1e9 * budget["gigaflops"] / flops))
        protocol["families"][name] |= {
            "milliseconds": round(cost, 3),
            "gigaflops": round(flops / 1e9, 3),
            "steps": steps,
        }
        print(f"{name}: {cost:.3f} ms, {flops / 1e9:.3f} GFLOP, {steps} steps")
    about = environment.describe(jax.devices())
    protocol["calibrated_on"] = {key: about[key] for key in ("device", "cores", "jax")}
    return protocol


def _record(folder: Path, protocol: dict) -> dict:
    """What is known already. Raises UserError where it is not of this protocol."""
    digest, path = digest_of_value(protocol), folder / "comparison.json"
    if not path.exists():
        return {"protocol": digest, "trials": {}, "families": {}}
    record = _json(path, _RECORD_LIKE)
    if record["protocol"] != digest:
        raise UserError(
            f"{folder} is of another protocol or data: name another --workdir"
        )
    return record


def _try(folder: Path, record: dict, protocol: dict) -> None:
    """The Fréchet distances of all trials, by turns of the families."""
    factors, trials = protocol["trials"]["learning_rate"], record["trials"]
    todo = [(name, x) for x in factors for name in protocol["families"]]
    todo = [(name, x) for name, x in todo if str(x) not in trials.get(name, {})]

    def trial(name, factor):
        run, seed = folder / name / f"trial_{factor:g}", protocol["trials"]["seed"]
        try:
            return _trained(run, protocol, name, factor, seed)
        except UserError as error:
            if "no longer finite" not in str(error):
                raise
        return None  # it diverged, as trials do

    for (name, factor), measures in _at_once(trial, todo):
        found = measures and measures["on_classifier"]["values"]["frechet_distance"]
        trials.setdefault(name, {})[str(factor)] = found and found["value"]
        write_json(folder / "comparison.json", record)


def _train_seeds(folder: Path, record: dict, protocol: dict) -> None:
    """The trainings by each family's best trial, and what they measure together."""
    families = [x for x in protocol["families"] if x not in record["families"]]
    best = {name: _best(name, tried) for name, tried in record["trials"].items()}

    def train(seed, name):
        run = folder / name / "seeds" / f"seed_{seed}"
        return _trained(run, protocol, name, float(best[name]), seed)

    todo = [(seed, name) for seed in range(protocol["seeds"]) for name in families]
    for _ in _at_once(train, todo):
        pass
    for name in families:
        measures = _measured(folder / name / "seeds", protocol)
        values = measures["on_classifier"]["values"] | measures["copies"]["values"]
        values = {key: values[key] for key in _SHOWN}
        record["families"][name] = {"factor": float(best[name]), "values": values}
        write_json(folder / "comparison.json", record)


def _best(name: str, trials: dict[str, float | None]) -> str:
    """The factor of the least distance. Raises UserError where all trials diverged."""
    ended = {factor: x for factor, x in trials.items() if x is not None}
    if not ended:
        raise UserError(
            f"every trial of {name} diverged: the protocol needs lower rates"
        )
    return min(ended, key=ended.get)


def _at_once(function: Callable, todo: list[tuple]) -> Iterator[tuple[tuple, Any]]:
    """Each of `todo` and what the function gives of it, --jobs at a time."""
    with ThreadPoolExecutor(_JOBS.value) as pool:
        running = {pool.submit(function, *each): each for each in todo}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        finally:  # at an error or a signal some are left, and a training saves first
            pool.shutdown(wait=False, cancel_futures=True)
            for process in tuple(_running):
                process.terminate()


def _trained(folder: Path, protocol: dict, name: str, factor: float, seed: int) -> dict:
    """Trains at a multiple of the family's rate; what `_measured` gives."""
    family, (_, config) = protocol["families"][name], _recipe(name, protocol)
    given = {**family["config"], "learning_rate": factor * config.learning_rate}
    _command(
        "train",
        f"--experiment={name}",
        f"--workdir={folder}",
        f"--data={protocol['data']}",
        f"--steps={family['steps']}",
        f"--seed={seed}",
        *(f"--config.{path}={value}" for path, value in given.items()),
    )
    return _measured(folder, protocol)


def _measured(folder: Path, protocol: dict) -> dict:
    """The evaluation.json of a run, or of several seeds, by its command."""
    _command(
        "evaluate",
        f"--workdir={folder}",
        f"--samples={protocol['samples']}",
        "--only=on_classifier,copies",
    )
    return json.loads((folder / "evaluation.json").read_text())["measures"]


def _command(name: str, *arguments: str) -> None:
    line = " ".join((f"python -m experiments.{name}", *arguments))
    print(line + "\n", end="", file=sys.stderr, flush=True)  # in one piece
    with subprocess.Popen(
        [sys.executable, "-m", f"experiments.{name}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _running.add(process)
        _, errors = process.communicate()
        _running.discard(process)
    if process.returncode:
        last = errors.strip().rpartition("\n")[2]
        raise UserError(f"experiments.{name} ended with {process.returncode}: {last}")


def _table(record: dict, protocol: dict, counts: dict[str, int]) -> str:
    """The comparison in Markdown, a row a family and one of real images."""
    described = ("", "parameters", "GFLOP", "steps", "seconds", "rate x")
    table = [(*described, *(name.replace("_", " ") for name in _SHOWN))]
    for name, family in protocol["families"].items():
        found, steps = record["families"][name], family["steps"]
        seconds = family["milliseconds"] * steps / 1e3  # by the protocol's calibration
        table.append(
            (
                f"`{name}`",
                f"{counts[name]:,}",
                f"{family['gigaflops'] * steps:,.0f}",
                f"{steps:,}",
                f"{seconds:.0f}",
                f"{found['factor']:g}",
                *(_with_interval(found["values"][key]) for key in _SHOWN),
            )
        )
    real_baselines = (f"{found['values'][key]['real_baseline']:.3g}" for key in _SHOWN)
    table.append(("real images", *[""] * (len(described) - 1), *real_baselines))
    return markdown(table)


def _with_interval(value: dict) -> str:
    low, high = f"{value['low']:.3g}", f"{value['high']:.3g}"
    return f"{value['value']:.3g} [{low}, {high}]"


def _picture(folder: Path, protocol: dict):
    """The last samples of each family's first seed, beside each other."""
    pictures = {}
    for name, family in protocol["families"].items():
        path = folder / name / "seeds" / "seed_0" / "samples" / f"{family['steps']}.png"
        pictures[name] = np.atleast_3d(PIL.Image.open(path))
    return images.beside(pictures)


if __name__ == "__main__":
    parsing.run(main)
