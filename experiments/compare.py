"""Are the families created equal? Trains and measures all of them by one protocol.

  python -m experiments.compare --protocol=FILE --workdir=DIR
  python -m experiments.compare --protocol=FILE --calibrate

FILE: experiments/protocols/digits.json, or one of your own after it.

After Lucic et al. (2018), who found that with equal tuning most GANs score alike. The
protocol says what is equal: the number of parameters, within a tolerance; the budget of
a training, in FLOPs and in seconds, of which a family takes as many steps as both
allow; the trials, at multiples of its learning rate, the best of which is trained from
several seeds. What a step costs is in the protocol too, so that a run of it can be
repeated step by step; --calibrate measures it on this machine and writes it there.

Each training is a command of `experiments.train`, each measurement one of
`experiments.evaluate`; they are printed, and what is done already is not done again.
DIR gets comparison.json, comparison.md and comparison.png.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import PIL.Image
from absl import flags

from experiments import flags as parsing
from experiments.timing import bare_step
from gen_jax import config as configs
from gen_jax import data, devices, environment, experiment, images
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import UserError
from gen_jax.game import parameter_counts
from gen_jax.manifest import write_json

_PROTOCOL = flags.DEFINE_string("protocol", None, "what is compared, and how: JSON")
_WORKDIR = flags.DEFINE_string("workdir", None, "the folder of all runs")
_CALIBRATE = flags.DEFINE_bool("calibrate", False, "write a step's costs, and end")

_ROUNDS, _WARM = 5, 10
_TIMED_SECONDS = 2.0  # a round and family
_FIELDS = ("data", "parameters", "tolerance", "budget", "trials", "seeds", "families")
_SHOWN = ("frechet_distance", "kernel_distance", "precision", "recall", "copied")


def main(overrides: list[tuple[str, str]]) -> None:
    """Trains, measures and tabulates, or measures the costs of a step."""
    if overrides:
        raise UserError(f"--config.{overrides[0][0]} is for the protocol's file to say")
    if not _PROTOCOL.value:
        raise UserError("--protocol=FILE is needed: what is compared, and how")
    protocol = _read(Path(_PROTOCOL.value))
    if _CALIBRATE.value:
        write_json(Path(_PROTOCOL.value), _calibrated(protocol))
        return
    if not _WORKDIR.value:
        raise UserError("--workdir=DIR is needed: the folder of all runs")
    for name, family in protocol["families"].items():
        if "steps" not in family:
            raise UserError(f"the protocol has no steps of {name}: --calibrate first")
    counts = {name: _parameters(name, protocol) for name in protocol["families"]}
    folder = Path(_WORKDIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    record = _record(folder, protocol)
    for factor in protocol["trials"]["learning_rate"]:  # by turns: noise is shared
        for name in protocol["families"]:
            _try(folder, record, protocol, name, factor)
    for name in protocol["families"]:
        _train_seeds(folder, record, protocol, name, counts[name])
    (folder / "comparison.md").write_text(_table(record, protocol))
    images.save_png(folder / "comparison.png", _picture(folder, protocol))
    print((folder / "comparison.md").read_text())


def _read(path: Path) -> dict[str, Any]:
    """A protocol. Raises UserError where it cannot be read or lacks a field."""
    try:
        protocol = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(protocol, dict) or (missing := set(_FIELDS) - set(protocol)):
        lacking = min(missing) if isinstance(protocol, dict) else "every field"
        raise UserError(f"{path} is no protocol: it lacks {lacking}")
    return protocol


def _recipe(name: str, protocol: dict) -> tuple[experiment.Experiment, Any]:
    """A family's experiment, and its configuration by the protocol."""
    recipe = experiment.find(name)
    config = configs.override(recipe.config, "data.spec", protocol["data"])
    for path, value in protocol["families"][name]["config"].items():
        config = configs.override(config, path, str(value))
    return recipe, config


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
    """What is known already. Raises UserError where it is of another protocol."""
    digest, path = digest_of_value(protocol), folder / "comparison.json"
    if not path.exists():
        return {"protocol": digest, "trials": {}, "families": {}}
    record = json.loads(path.read_text())
    if record["protocol"] != digest:
        raise UserError(f"{folder} is of another protocol: name another --workdir")
    return record


def _train(folder: Path, protocol: dict, name: str, factor: float, *more: str) -> None:
    """A command of `experiments.train`, at a multiple of the family's rate."""
    family, (_, config) = protocol["families"][name], _recipe(name, protocol)
    given = {**family["config"], "learning_rate": factor * config.learning_rate}
    _command(
        "train",
        f"--experiment={name}",
        f"--workdir={folder}",
        f"--data={protocol['data']}",
        f"--steps={family['steps']}",
        *(f"--config.{path}={value}" for path, value in given.items()),
        *more,
    )


def _measured(folder: Path) -> dict:
    """The evaluation.json of a run, or of several seeds, by its command."""
    _command("evaluate", f"--workdir={folder}", "--only=on_classifier,copies")
    return json.loads((folder / "evaluation.json").read_text())["measures"]


def _command(name: str, *arguments: str) -> None:
    print(f"python -m experiments.{name}", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise UserError(f"experiments.{name} ended with {done.returncode}: {last}")


def _try(folder: Path, record: dict, protocol: dict, name: str, factor: float) -> None:
    """One trial: its Fréchet distance, and how long its training took."""
    trials = record["trials"].setdefault(name, {})
    if str(factor) in trials:
        return
    run = folder / name / f"trial_{factor:g}"
    _train(run, protocol, name, factor, f"--seed={protocol['trials']['seed']}")
    distance = _measured(run)["on_classifier"]["values"]["frechet_distance"]["value"]
    last = (run / "metrics.jsonl").read_text().splitlines()[-1]
    trials[str(factor)] = {"distance": distance, "seconds": json.loads(last)["seconds"]}
    write_json(folder / "comparison.json", record)


def _train_seeds(
    folder: Path, record: dict, protocol: dict, name: str, parameters: int
) -> None:
    """The trainings by the best trial, and the means of what they measure."""
    if name in record["families"]:
        return
    trials = record["trials"][name]
    best = min(trials, key=lambda factor: trials[factor]["distance"])
    run = folder / name / "seeds"
    _train(run, protocol, name, float(best), f"--seeds={protocol['seeds']}")
    measures = _measured(run)
    values = measures["on_classifier"]["values"] | measures["copies"]["values"]
    record["families"][name] = {
        "parameters": parameters,
        "factor": float(best),
        "seconds": statistics.median(trial["seconds"] for trial in trials.values()),
        "values": {key: values[key] for key in _SHOWN},
    }
    write_json(folder / "comparison.json", record)


def _table(record: dict, protocol: dict) -> str:
    """The comparison in Markdown, a row a family and one of real images."""
    rows = [
        ("", "parameters", "GFLOP", "steps", "seconds", "rate x", *_SHOWN),
        ("---",) * (6 + len(_SHOWN)),
    ]
    for name, found in record["families"].items():
        family = protocol["families"][name]
        steps, gigaflops = family["steps"], family["gigaflops"]
        seconds = family["milliseconds"] * steps / 1e3  # by the protocol's calibration
        described = (
            f"{found['parameters']:,}",
            f"{gigaflops * steps:,.0f}",
            f"{steps:,}",
            f"{seconds:.0f}",
        )
        values = [_with_interval(found["values"][key]) for key in _SHOWN]
        rows.append((f"`{name}`", *described, f"{found['factor']:g}", *values))
    floors = [f"{found['values'][key]['floor']:.3g}" for key in _SHOWN]
    rows.append(("real images", *[""] * 5, *floors))
    return "\n".join("| " + " | ".join(row).replace("_", " ") + " |" for row in rows)


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
