"""Compare families by one protocol: train, measure and tabulate all of them.

  python -m experiments.compare --protocol=FILE --workdir=DIR [--jobs=N]
  python -m experiments.compare --protocol=FILE --calibrate

FILE: experiments/studies/protocols/digits.json, or one of your own like it.

The protocol sets the number of parameters, within a tolerance. It sets two budgets for
each training, one in FLOPs and one in seconds. A family trains until the first of them
is spent. Short trials try several multiples of the family's learning rate. The best one
is trained from several seeds. The protocol also holds the cost of a step of each
family, so that everyone trains the same number of steps. --calibrate measures these
costs on this machine and writes them into the file. They are costs of the bare step: in
a whole training of a small model on a fast device, the host needs longer.

Each training is a command of `experiments.train`, and each measurement one of
`experiments.evaluate`. The commands are printed. Run it again to resume. --jobs of them
run at once, on a machine that has room for several. DIR gets comparison.json,
comparison.md and comparison.png. A seed or a family that fails does not stop the
others: a line says why, and the exit code is then 2.
"""

import dataclasses
from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax.errors import UserError
from gen_jax.files import try_to_write, write_json

_PROTOCOL = flags.DEFINE_string("protocol", None, "the protocol's file, JSON")
_WORKDIR = flags.DEFINE_string("workdir", None, "the folder of all runs")
_CALIBRATE = flags.DEFINE_bool("calibrate", False, "measure a step's costs, then exit")
_DATA = flags.DEFINE_string("data", None, "SPEC of the data; default: the protocol's")
_JOBS = flags.DEFINE_integer("jobs", 1, "number of commands at once", lower_bound=1)


def main(overrides: list[tuple[str, str]]) -> None:
    """Run a comparison, or measure the costs of a step."""
    parsing.refuse(overrides, "set it in the protocol's file")
    if not _PROTOCOL.value:
        raise UserError("--protocol=FILE is needed: the file of the protocol")
    from experiments.studies import compare, protocol

    agreed = protocol.read(Path(_PROTOCOL.value))
    used = dataclasses.replace(agreed, data=_DATA.value or agreed.data)
    if _CALIBRATE.value:
        calibrated = dataclasses.replace(compare.calibrated(used), data=agreed.data)
        write_json(Path(_PROTOCOL.value), dataclasses.asdict(calibrated))
        return
    if not _WORKDIR.value:
        raise UserError("--workdir=DIR is needed: the folder of all runs")
    folder = Path(_WORKDIR.value)
    try_to_write(folder / "comparison.json")
    table, failed = compare.Comparison(used, folder, _JOBS.value).run()
    print(table)
    if failed:
        raise UserError(f"left out: {'; '.join(failed)}")


if __name__ == "__main__":
    parsing.run(main)
