"""Draws what a run's family is known for, each claim as a picture and a number.

  python -m experiments.figures --workdir=DIR [--against=DIR] [--out=DIR] [FLAGS]

Pictures are PNG files, films GIF files; the numbers are in figures.json beside them.
What is drawn goes by what the trained game can do. --against draws a second run's
beside it: a VAE's and an autoencoder's, a CVAE's and a VAE's, a VAE's and a GAN's.
"""

import time
from pathlib import Path

from absl import flags

from experiments import flags as parsing
from gen_jax import devices, images
from gen_jax.errors import UserError, hint
from gen_jax.runs.manifest import write_json

_WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder")
_AGAINST = flags.DEFINE_string("against", None, "another run's, drawn beside it")
_OUT = flags.DEFINE_string("out", None, "where to; default: WORKDIR/figures")
_SEED = flags.DEFINE_integer("seed", 0, "of what is drawn", 0, 2**32 - 1)
_RAW = flags.DEFINE_bool("raw", False, "the last weights instead of the averaged ones")
_ONLY = flags.DEFINE_list("only", [], "names of claims; by default all that apply")


def main(overrides: list[tuple[str, str]]) -> None:
    """Draws every claim that applies and prints where its pictures are."""
    parsing.check_of_a_run("figures", overrides, _WORKDIR.value)
    devices.use_compilation_cache()
    from gen_jax import figures

    folders = [_WORKDIR.value, *([_AGAINST.value] if _AGAINST.value else [])]
    subjects = [
        figures.load(folder, raw=_RAW.value, seed=_SEED.value) for folder in folders
    ]
    chosen = _chosen(subjects)
    out = Path(_OUT.value or Path(_WORKDIR.value) / "figures")
    out.mkdir(parents=True, exist_ok=True)
    report = {"runs": [_described(subject) for subject in subjects], "claims": {}}
    for claim in chosen:
        started = time.monotonic()
        shown = [
            claim.show(each) if claim in figures.claims(each) else None
            for each in subjects
        ]
        pictures = _save(out, subjects, shown)
        numbers = [figure.numbers if figure else None for figure in shown]
        report["claims"][claim.name] = {
            "what": claim.show.__doc__.splitlines()[0],
            "pictures": pictures,
            "numbers": numbers if len(numbers) > 1 else numbers[0],
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(out / "figures.json", report)
    print(out / "figures.json")


def _chosen(subjects):
    """The claims that apply to any of the runs, those of --only where it is given."""
    from gen_jax import figures

    applying = [figures.claims(subject) for subject in subjects]
    known = [claim.name for claim in figures.CLAIMS]
    for name in _ONLY.value:
        if name not in known:
            raise UserError(f"no claim {name!r}.{hint(name, known)}")
        if not any(claim.name == name for mine in applying for claim in mine):
            raise UserError(f"{name} does not apply to this run")
    return [
        claim
        for claim in figures.CLAIMS
        if any(claim in mine for mine in applying)
        and (not _ONLY.value or claim.name in _ONLY.value)
    ]


def _described(subject) -> dict:
    """What the numbers of a run depend on."""
    return {
        "folder": str(subject.folder),
        "experiment": subject.name,
        "step": subject.run.step,
        "weights": subject.which_weights,
        "data": subject.run.config.data.spec,
        "seed": subject.seed,
    }


def _save(out: Path, subjects, shown) -> list[str]:
    """Writes the pictures of one claim, those of two runs beside each other.

    Returns the names of the files.
    """
    written = []
    drawn = [(s, figure) for s, figure in zip(subjects, shown, strict=True) if figure]
    names = {name: None for _, figure in drawn for name in figure.pictures}
    for name in names:
        titled = {
            f"{subject.name}, step {subject.run.step}": figure.pictures[name]
            for subject, figure in drawn
            if name in figure.pictures
        }
        pictures = list(titled.values())
        both = images.beside(titled) if len(subjects) > 1 else pictures[0]
        images.save_png(out / f"{name}.png", both)
        written.append(f"{name}.png")
    for number, (subject, figure) in enumerate(drawn):
        for name, frames in figure.films.items():
            suffix = f"_{number + 1}_{subject.name}" if len(subjects) > 1 else ""
            if frames:
                images.save_gif(out / f"{name}{suffix}.gif", frames)
                written.append(f"{name}{suffix}.gif")
    print(*(out / name for name in written), sep="\n")
    return written


if __name__ == "__main__":
    parsing.run(main)
