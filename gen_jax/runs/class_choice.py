"""The classes of a run: which ones it draws, and which one a text names."""

import inspect

from gen_jax.data.class_names import class_names, find_class, listed
from gen_jax.data.summary import Summary
from gen_jax.errors import UserError
from gen_jax.game import Game
from gen_jax.runs.run import Run


def drawn_classes(game: Game, summary: Summary | None) -> list[int]:
    """Return the labels that a game draws in turn; [] if it takes no labels.

    summary: of its training data, whose empty classes are left out; None for all.
    """
    if summary is not None and len(summary.classes) == game.num_classes:
        return summary.drawn_classes
    return list(range(game.num_classes))


def label_of(run: Run, text: str, flag: str = "--label") -> int:
    """Return the label of a class that is given by its name or number; -1 for none.

    flag: the name of the text in errors.

    Raises UserError, with the names, for another text, and for -1 if the model was
    never trained without a label.
    """
    if not run.game.num_classes or run.info is None:
        raise UserError(f"{flag} does not apply: this model was trained without labels")
    names = class_names(run.info)
    if text != "-1" or text in names:
        return find_class(text, names, flag)
    if not _knows_no_label(run):
        raise UserError(
            f"{flag}=-1: this model was never trained without a label; choose one of "
            f"{listed(names)}"
        )
    return -1


def _knows_no_label(run: Run) -> bool:
    """Return whether a conditional model was also trained without labels.

    Guidance needs that; and some of the training examples may have had none.
    """
    unlabelled = run.summary.unlabelled if run.summary else None
    if unlabelled is not None and unlabelled.train:
        return True
    sample = run.game.ops.sample
    takes_guidance = sample and "guidance" in inspect.signature(sample).parameters
    return bool(takes_guidance) and getattr(run.config, "label_dropout", 1) > 0
