"""Figures of trained runs: each shows a claim about a family, in pictures and numbers.

    draw_game(game, state, dataset, out="runs/mine/figures", folder="runs/mine")

`python -m experiments.figures` does the same for a run's folder.
"""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen_jax import console, images, typed_json
from gen_jax.errors import UserError, hint, why
from gen_jax.figures.figure import DrawnClaim, Figure, FiguresRecord
from gen_jax.files import locked, try_to_write, write_json

if TYPE_CHECKING:
    from gen_jax.data import Dataset
    from gen_jax.evaluation.request import Evaluation
    from gen_jax.figures.claims import Claim
    from gen_jax.game import Game, State

__all__ = ["Figure", "FiguresRecord", "draw", "draw_game", "paths"]

NAME = "figures.json"


def draw_game(
    game: "Game",
    state: "State",
    dataset: "Dataset",
    out: str | Path,
    *,
    folder: str | Path | None = None,
    only: Sequence[str] = (),
    **fields: Any,
) -> list[Path]:
    """Draw the figures of a trained game, yours or an experiment's, into a folder.

    folder: the run's folder; None if it has none. fields: seed and raw of `Evaluation`.
    only: see `draw`. Returns the paths of the files.
    """
    from gen_jax.evaluation.request import of_game

    with of_game(game, state, dataset, folder, **fields) as evaluation:
        return paths(draw([evaluation], Path(out), only), Path(out))


def draw(
    evaluations: Sequence["Evaluation"], out: Path, only: Sequence[str] = ()
) -> FiguresRecord:
    """Draw the figures that apply to one or several runs, next to each other.

    out: a folder, which gets PNG and GIF files and figures.json. Earlier figures of
        the same runs stay there; several processes may draw at once.
    only: names of figures; by default all that apply to any of the runs.

    Returns the record of these figures. A figure that cannot be drawn does not stop the
    others: its `left_out` says why. Raises UserError for an unknown name or one that
    applies to none of the runs, and OSError if `out` cannot be written.
    """
    from gen_jax.figures.claims import claims

    applying = [claims(each) for each in evaluations]
    chosen = _chosen(applying, only)
    try_to_write(out / NAME)
    runs, drawn = list(map(_described, evaluations)), {}
    for claim in chosen:
        console.tell(f"drawing {claim.name}")
        applies = [claim in mine for mine in applying]
        drawn[claim.name] = _drawn(claim, evaluations, applies, out)
        for line in drawn[claim.name].left_out:
            console.tell(f"{claim.name}: {line}")
        _merge(FiguresRecord(runs, drawn), out)
    return FiguresRecord(runs, drawn)


def paths(record: FiguresRecord, out: Path) -> list[Path]:
    """Return the paths of a record's pictures and films in the folder `out`."""
    return [out / name for each in record.claims.values() for name in each.pictures]


def _drawn(
    claim: "Claim", evaluations: Sequence["Evaluation"], applies: list[bool], out: Path
) -> DrawnClaim:
    """Draw one claim about the runs to which it applies, and write its pictures."""
    started, left_out = time.monotonic(), []
    figures: list[Figure | None] = []
    for each, is_meant in zip(evaluations, applies, strict=True):
        figures.append(None)
        try:
            if is_meant:
                figures[-1] = claim.show(each)
        except Exception as error:  # a game or a source may raise anything
            of = f"{each.name}: " if len(evaluations) > 1 else ""
            left_out.append(f"{of}{why(error)}")
    names: list[str] = []
    try:
        names = _save(out, evaluations, figures)
    except (ValueError, TypeError) as error:  # pictures that do not fit together
        left_out.append(why(error))
    numbers = [figure.numbers if figure else None for figure in figures]
    left_out += [line for figure in figures if figure for line in figure.left_out]
    return DrawnClaim(
        claim.description,
        names,
        numbers if len(numbers) > 1 else numbers[0],
        round(time.monotonic() - started, 1),
        left_out,
    )


def _merge(record: FiguresRecord, out: Path) -> None:
    """Add claims to those in figures.json, if these are about the same runs.

    A claim that could not be drawn does not replace one that was.
    """
    with locked(out):
        try:
            content = json.loads((out / NAME).read_text())
        except (FileNotFoundError, ValueError, RecursionError):
            content = None
        before = typed_json.read(FiguresRecord, content, []) or FiguresRecord()
        earlier = before.claims if before.runs == record.runs else {}
        rest = {n: x for n, x in earlier.items() if n not in record.claims}
        kept = {
            n: earlier[n] if n in earlier and x.left_out and not x.numbers else x
            for n, x in record.claims.items()
        }
        write_json(
            out / NAME, dataclasses.asdict(FiguresRecord(record.runs, kept | rest))
        )


def _chosen(applying: Sequence[Sequence], only: Sequence[str]) -> list:
    """Return the claims that apply to any run, or those of `only`."""
    from gen_jax.figures.claims import CLAIMS

    known = [claim.name for claim in CLAIMS]
    found = [c for c in CLAIMS if any(c in mine for mine in applying)]
    for name in only:
        if name not in known:
            raise UserError(f"no figure {name!r}.{hint(name, known)}")
        if name not in [claim.name for claim in found]:
            raise UserError(f"the figure {name!r} does not apply to this run")
    return [claim for claim in found if not only or claim.name in only]


def _described(evaluation: "Evaluation") -> dict[str, Any]:
    return {
        **evaluation.about_run,
        "step": evaluation.run.step,
        "weights": evaluation.which_weights,
        "seed": evaluation.seed,
    }


def _save(
    out: Path, evaluations: Sequence["Evaluation"], figures: Sequence[Figure | None]
) -> list[str]:
    """Write the pictures of one claim, those of several runs next to each other.

    Returns the names of the files.
    """
    written, several = [], len(evaluations) > 1
    runs = zip(_titles(evaluations), evaluations, figures, strict=True)
    drawn = [(title, each, figure) for title, each, figure in runs if figure]
    for name in dict.fromkeys(name for *_, figure in drawn for name in figure.pictures):
        titled = {
            title: figure.pictures[name]
            for title, _, figure in drawn
            if name in figure.pictures
        }
        first = next(iter(titled.values()))
        picture = images.titled_row(titled) if several else first
        images.save_png(out / f"{name}.png", picture)
        written.append(f"{name}.png")
    for number, (_, each, figure) in enumerate(drawn, 1):
        for name, frames in figure.films.items():
            suffix = f"_{number}_{each.name}" if several else ""
            if frames:
                images.save_gif(out / f"{name}{suffix}.gif", frames)
                written.append(f"{name}{suffix}.gif")
    return written


def _titles(evaluations: Sequence["Evaluation"]) -> list[str]:
    """Return the runs' titles, numbered if two are equal."""
    titles = [f"{each.name}, step {each.run.step}" for each in evaluations]
    if len(set(titles)) < len(titles):
        return [f"{number}: {title}" for number, title in enumerate(titles, 1)]
    return titles
