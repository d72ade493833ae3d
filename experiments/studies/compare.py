"""A comparison of families by one protocol (`protocol.py`).

After Lucic et al. (2018), who found that most GANs score alike if they are tuned alike.
"""

import dataclasses
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

from experiments.studies.protocol import Family, Protocol
from experiments.studies.timing import BareStep
from experiments.studies.truth.finding import markdown
from gen_jax import config as configs
from gen_jax import console, data, devices, experiment, images, typed_json
from gen_jax.data.dataset import digest_of_value
from gen_jax.errors import DivergedError, UserError
from gen_jax.evaluation import result
from gen_jax.evaluation.result import Measured, Value
from gen_jax.files import locked, write_json, written_whole
from gen_jax.game import parameter_counts
from gen_jax.runs import environment

_ROUNDS, _WARM = 5, 10
_TIMED_SECONDS = 1.0  # for each round and family
_SHOWN = ("frechet_distance", "kernel_distance", "precision", "recall", "memorized")

_running: set[subprocess.Popen] = set()  # commands that end when the comparison does


@dataclasses.dataclass(frozen=True)
class FamilyResult:
    """A family's best multiple of its learning rate, and the values of its seeds."""

    factor: float
    values: dict[str, Value]


@dataclasses.dataclass(frozen=True)
class Record:
    """The content of comparison.json.

    protocol: a hash of it. trials: family -> multiple of the learning rate -> Frechet
    distance, None if the training diverged.
    """

    protocol: str
    trials: dict[str, dict[str, float | None]]
    families: dict[str, FamilyResult]

    def write(self, folder: Path) -> None:
        """Write comparison.json."""
        write_json(folder / "comparison.json", dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison in a folder. jobs: number of commands that run at once."""

    protocol: Protocol
    folder: Path
    jobs: int = 1

    def run(self) -> tuple[str, list[str]]:
        """Train and measure everything not done yet.

        A seed that fails does not stop the others, and neither does a family. Returns
        the table in Markdown, and a line for everything that failed.

        Raises UserError if no family could be measured, or if another process compares
        in the folder.
        """
        for name in self.protocol.families:
            self.protocol.costs(name)  # raises if they are not known
        # This process and its commands share a GPU: none may take most of it.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        counts = {n: parameters(n, self.protocol) for n in self.protocol.families}
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        busy = f"another process compares in {self.folder}: wait until it ends"
        with locked(self.folder, busy):
            record = read_record(self.folder, self.protocol)
            failed = self._try(record)
            failed = {**failed, **self._train_seeds(record)}
            if not record.families:
                raise UserError("; ".join(failed.values()))
            table = _table(record, self.protocol, counts)
            with written_whole(self.folder / "comparison.md") as unfinished:
                unfinished.write_text(table)
            picture = self._picture(list(record.families))
            images.save_png(self.folder / "comparison.png", picture)
        return table, list(failed.values())

    def _try(self, record: Record) -> dict[str, str]:
        """Measure the Frechet distances of all trials, families by turns.

        Returns a line for each family of which a trial failed; a later run of the
        command tries it again.
        """
        trials = self.protocol.trials
        todo = [
            (name, factor)
            for factor in trials.learning_rate
            for name in self.protocol.families
            if str(factor) not in record.trials.get(name, {})
        ]

        def distance(name: str, factor: float) -> float | None:
            run = self.folder / name / f"trial_{factor:g}"
            try:
                measures = self._trained(run, name, factor, trials.seed)
            except DivergedError:
                return None
            return measures["on_classifier"].values["frechet_distance"].value

        failed = {}
        for (name, factor), found in self._at_once(distance, todo):
            if isinstance(found, UserError):
                failed[name] = f"{name}: trial {factor:g} failed: {found}"
                console.tell(failed[name])
                continue
            record.trials.setdefault(name, {})[str(factor)] = found
            record.write(self.folder)
        return failed

    def _train_seeds(self, record: Record) -> dict[str, str]:
        """Train each family's best trial from several seeds, and measure them.

        Returns a line for each seed and each family that failed.
        """
        lines: dict[str, str] = {}
        families = [x for x in self.protocol.families if x not in record.families]
        factors = {}
        for name in families:
            try:
                factors[name] = float(best(name, record.trials.get(name, {})))
            except UserError as error:
                lines[name] = str(error)

        def train(seed: int, name: str) -> None:
            run = self.folder / name / "seeds" / f"seed_{seed}"
            self._trained(run, name, factors[name], seed)

        seeds = range(self.protocol.seeds)
        todo = [(seed, name) for seed in seeds for name in factors]
        for (seed, name), found in self._at_once(train, todo):
            if isinstance(found, UserError):
                lines[f"{name} {seed}"] = f"{name}: seed {seed} failed: {found}"
                console.tell(lines[f"{name} {seed}"])
        for name, factor in factors.items():
            try:
                measures = self._measured(self.folder / name / "seeds", name)
            except UserError as error:
                lines[name] = f"{name}: {error}"
                continue
            values = measures["on_classifier"].values | measures["copies"].values
            values = {key: values[key] for key in _SHOWN}
            record.families[name] = FamilyResult(factor, values)
            record.write(self.folder)
        return lines

    def _at_once(self, function: Callable, todo: list[tuple]) -> Iterator[tuple]:
        """Yield each of `todo` with the function's result, `jobs` of them at a time.

        The result is the UserError if it raised one.
        """
        with ThreadPoolExecutor(self.jobs) as pool:
            running = {pool.submit(function, *each): each for each in todo}
            try:
                for done in as_completed(running):
                    error = done.exception()
                    is_own = isinstance(error, UserError)
                    yield running[done], error if is_own else done.result()
            finally:  # after an error or a signal; a training saves before it ends
                pool.shutdown(wait=False, cancel_futures=True)
                for process in tuple(_running):
                    process.terminate()

    def _trained(
        self, run: Path, name: str, factor: float, seed: int
    ) -> dict[str, Measured]:
        """Train at a multiple of the family's learning rate, and measure."""
        family = self.protocol.families[name]
        _, config = recipe_of(name, self.protocol)
        given = {**family.config, "learning_rate": factor * config.learning_rate}
        _command(
            "train",
            f"--experiment={name}",
            f"--workdir={run}",
            f"--data={self.protocol.data}",
            f"--steps={family.steps}",
            f"--seed={seed}",
            *(f"--config.{path}={value}" for path, value in given.items()),
        )
        return self._measured(run, name)

    def _measured(self, run: Path, name: str) -> dict[str, Measured]:
        """Measure a run, or several seeds together, by the command.

        Raises UserError if a number of the table is missing.
        """
        failed: UserError | None = None
        try:
            _command(
                "evaluate",
                f"--workdir={run}",
                f"--samples={self.protocol.samples}",
                "--only=on_classifier,copies",
            )
        except UserError as error:  # something was left out, maybe a single seed
            failed = error
        found = result.read(run / "evaluation.json").measures
        steps = self.protocol.families[name].steps
        now = [x for x in found.values() if x.context.get("step") == steps]
        if missing := {*_SHOWN} - {key for each in now for key in each.values}:
            raise failed or UserError(f"{run} has no {', '.join(sorted(missing))}")
        if failed:
            console.tell(f"{name}: {failed}")
        return found

    def _picture(self, names: list[str]) -> np.ndarray:
        """Return the last samples of a seed of each family, next to each other."""
        pictures = {}
        for name in names:
            pattern = f"seed_*/samples/{self.protocol.families[name].steps}.png"
            path = min((self.folder / name / "seeds").glob(pattern))
            pictures[name] = np.atleast_3d(np.asarray(PIL.Image.open(path)))
        return images.titled_row(pictures)


def recipe_of(name: str, protocol: Protocol) -> tuple[experiment.Experiment, Any]:
    """Return a family's experiment, and its configuration by the protocol."""
    recipe = experiment.find(name)
    config = configs.override(recipe.config, "data.spec", protocol.data)
    fields = protocol.families[name].config.items()
    return recipe, configs.override_all(config, [(p, str(x)) for p, x in fields])


def parameters(name: str, protocol: Protocol) -> int:
    """Return the number of parameters of a family's players.

    Raises UserError if it is not the protocol's, within the tolerance.
    """
    recipe, config = recipe_of(name, protocol)
    info = data.describe(config.data) or data.load(config.data).info
    game, batch = recipe.build(config, info), data.prepared_like(info, 1)
    count, wanted = sum(parameter_counts(game, batch).values()), protocol.parameters
    if abs(count - wanted) > protocol.tolerance * wanted:
        raise UserError(
            f"{name} has {count:,} parameters, but the protocol asks for {wanted:,} "
            f"within {100 * protocol.tolerance:g} %: change its config"
        )
    return count


def calibrated(protocol: Protocol) -> Protocol:
    """Return the protocol with each family's costs of a step on this machine.

    The families are timed by turns. Prints the costs.
    """
    devices.use_compilation_cache()
    timers = {}
    for name in protocol.families:
        recipe, config = recipe_of(name, protocol)
        dataset = data.load(config.data)
        step = BareStep(recipe.build(config, dataset.info), config, dataset)
        steps = max(1, round(_TIMED_SECONDS / (step.seconds(10, _WARM) / 10)))
        timers[name] = step, steps
    milliseconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(_ROUNDS):
        for name, (step, steps) in timers.items():
            milliseconds[name].append(1e3 * step.seconds(steps, _WARM) / steps)
    families = {}
    for name, (step, _) in timers.items():
        cost, flops = statistics.median(milliseconds[name]), step.flops()
        by_time = 1e3 * protocol.budget.seconds / cost
        steps = int(min(by_time, 1e9 * protocol.budget.gigaflops / flops))
        config = protocol.families[name].config
        costs = round(cost, 3), round(flops / 1e9, 3), steps
        families[name] = Family(config, *costs)
        print(f"{name}: {cost:.3f} ms, {flops / 1e9:.3f} GFLOP, {steps} steps")
    about = environment.describe(jax.devices())
    machine = {key: about[key] for key in ("device", "cores", "jax")}
    return dataclasses.replace(protocol, families=families, calibrated_on=machine)


def read_record(folder: Path, protocol: Protocol) -> Record:
    """Return comparison.json, or an empty record if there is none.

    Raises UserError if it is damaged, or of another protocol.
    """
    digest = digest_of_value(dataclasses.asdict(protocol))
    path = folder / "comparison.json"
    if not path.exists():
        return Record(digest, {}, {})
    record = typed_json.load(Record, path)
    if record.protocol != digest:
        raise UserError(
            f"{folder} is of another protocol or data: give another --workdir"
        )
    return record


def best(name: str, trials: dict[str, float | None]) -> str:
    """Return the factor with the smallest distance.

    Raises UserError if all trials diverged.
    """
    ended = {factor: x for factor, x in trials.items() if x is not None}
    if not ended:
        raise UserError(
            f"every trial of {name} diverged: give the protocol lower learning rates"
        )
    return min(ended, key=ended.__getitem__)


def _command(name: str, *arguments: str) -> None:
    """Run a command of `experiments` to its end.

    Raises DivergedError if a training diverged, UserError for any other failure.
    """
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
    if code := process.returncode:
        kind = DivergedError if code == DivergedError.exit_code else UserError
        last = errors.strip().rpartition("\n")[2]
        raise kind(f"experiments.{name} ended with exit code {code}: {last}")


def _table(record: Record, protocol: Protocol, counts: dict[str, int]) -> str:
    """Return the comparison in Markdown: a row per family, and one of real images."""
    described = ("", "parameters", "GFLOP", "steps", "seconds", "rate x")
    table = [(*described, *(name.replace("_", " ") for name in _SHOWN))]
    for name in record.families:
        found, (milliseconds, gigaflops, steps) = (
            record.families[name],
            protocol.costs(name),
        )
        table.append(
            (
                f"`{name}`",
                f"{counts[name]:,}",
                f"{gigaflops * steps:,.0f}",
                f"{steps:,}",
                f"{milliseconds * steps / 1e3:.0f}",  # by the protocol's calibration
                f"{found.factor:g}",
                *(_with_interval(found.values[key]) for key in _SHOWN),
            )
        )
    real_baselines = (f"{found.values[key].real_baseline:.3g}" for key in _SHOWN)
    table.append(("real images", *[""] * (len(described) - 1), *real_baselines))
    return markdown(table)


def _with_interval(value: Value) -> str:
    return f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]"
