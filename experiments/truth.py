"""Compare the repository's estimates with exact values, on data of known density.

  python -m experiments.truth [--short] [--out=runs/truth] [--only=CHECK,CHECK]

The checks are vae, ddpm, discriminator, parzen, frechet, coverage and sensitivity
(`studies/truth`). Their table is printed and written to truth.md, the plots to
truth.png and the numbers to truth.json. It takes minutes on two cores. --short shrinks
every check to seconds, enough to see that it works but not to measure anything.
"""

import shlex
import sys
import time
from pathlib import Path

import jax
from absl import flags

from experiments import flags as parsing
from gen_jax import devices, images
from gen_jax.errors import UserError, hint
from gen_jax.files import write_json, written_whole
from gen_jax.runs import environment

_OUT = flags.DEFINE_string("out", "runs/truth", "the folder to write to")
_SHORT = flags.DEFINE_bool("short", False, "shrink every check to seconds")
_ONLY = flags.DEFINE_list("only", [], "names of the checks to run; by default all")


def main(overrides: list[tuple[str, str]]) -> None:
    """Run the checks; print and write their findings."""
    parsing.refuse(overrides, "truth has fixed settings; --short shrinks them")
    devices.use_compilation_cache()
    from experiments.studies.truth import page

    out, findings, seconds = Path(_OUT.value), {}, {}
    checks = _chosen()
    out.mkdir(parents=True, exist_ok=True)
    for check in checks:
        print(f"checking {check.name}", file=sys.stderr, flush=True)
        started = time.monotonic()
        findings[check.name] = check.run(**(check.short if _SHORT.value else {}))
        seconds[check.name] = round(time.monotonic() - started, 1)
    table = page.text(findings)
    write_json(out / "truth.json", _content(findings, seconds))
    with written_whole(out / "truth.md") as unfinished:
        unfinished.write_text(_described(seconds) + table)
    images.save_png(out / "truth.png", page.picture(list(findings.values())))
    print(table)
    print(*(out / f"truth.{kind}" for kind in ("md", "png", "json")), sep="\n")


def _chosen() -> list:
    """Return the checks of --only, or all if it is not given."""
    from experiments.studies.truth import CHECKS

    known = [check.name for check in CHECKS]
    for name in _ONLY.value:
        if name not in known:
            raise UserError(f"--only: unknown check {name!r}.{hint(name, known)}")
    return [c for c in CHECKS if not _ONLY.value or c.name in _ONLY.value]


def _content(findings: dict, seconds: dict[str, float]) -> dict:
    """Return the content of truth.json."""
    return {
        "short": _SHORT.value,
        "environment": environment.describe(jax.devices()),
        "checks": {
            name: {
                "rows": [row.as_json() for row in finding.rows],
                "text": finding.text,
                "seconds": seconds[name],
            }
            for name, finding in findings.items()
        },
    }


def _described(seconds: dict[str, float]) -> str:
    """Return the head of truth.md: command, duration and machine."""
    place = environment.describe(jax.devices())
    command = shlex.join(["python", "-m", "experiments.truth", *sys.argv[1:]])
    took = (
        f"{sum(seconds.values()):.0f} s, {time.process_time():.0f} s of processor time"
    )
    where = f"{place['cores']} cores ({place['system']}, {place['device']})"
    return (
        f"# Truth\n\n    {command}\n\n{took}, on {where}, jax {place['jax']}. Plots: "
        "truth.png.\n\n"
    )


if __name__ == "__main__":
    parsing.run(main)
