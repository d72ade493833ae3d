"""What a discriminator says: of real images and of drawn ones, and of labels.

At the optimum D = 1/2 everywhere (Goodfellow et al. 2014, proposition 1), and so it is,
before the first step, when D knows nothing. That is a probability. Under other
losses (`losses/adversarial.py`) D gives a score: with least squares, whose labels are
0 and 1, it ends at 1/2 too; a Wasserstein critic and the hinge end at no particular
number.
"""

import json
from pathlib import Path

import jax
import numpy as np

from gen_jax.evaluation.subject import Subject
from gen_jax.figures import charts
from gen_jax.figures.figure import Figure
from gen_jax.losses import adversarial

MAX_IMAGES = 1000  # images judged
_OPTIMUM = {"minimax": 0.5, "non_saturating": 0.5, "least_squares": 0.5}
_SIDES = {"d_real": "of real images", "d_fake": "of generated images"}


def discriminator_outputs(subject: Subject) -> Figure:
    """What D said through training, and its mean output at the start and now.

    Both in the units of the run's loss: probabilities, or scores. The curves are what
    the run logged; the numbers are of held-out images and of samples.
    """
    x, y = subject.real(MAX_IMAGES)
    gan_loss = getattr(subject.run.config, "gan_loss", None)
    output, unit = _output_of(gan_loss)
    numbers = {"images": len(x), "unit": unit}
    boards = {"start": subject.first_state().players, "end": subject.players}
    for when, players in boards.items():
        keys = subject.keys(len(x))
        x_fake = subject.call("sample", players=players, keys=keys, y=y)
        for name, images in (("d_real", x), ("d_fake", x_fake)):
            logits = subject.call("score", players=players, x=images, y=y)
            numbers[f"{name}_at_{when}"] = float(output(logits).mean())
    pictures = {}
    if curves := logged(subject.folder, _SIDES):
        level = _OPTIMUM.get(gan_loss)
        name = f"D's mean {unit}"
        pictures["adversaries"] = charts.lines(curves, "step", name, level=level)
    return Figure(pictures, numbers)


def _output_of(gan_loss: str | None) -> tuple[adversarial.Term, str]:
    """What D's logits say, and its unit; of an unknown loss the logits themselves."""
    if gan_loss not in adversarial.GAN_LOSSES:
        return np.asarray, "score"
    output = adversarial.GAN_LOSSES[gan_loss].output
    return output, "probability" if output is jax.nn.sigmoid else "score"


def match(subject: Subject) -> Figure:
    """How often D prefers an image's true label to another: all of the others asked."""
    x, y = subject.real(MAX_IMAGES)
    classes = subject.game.num_classes
    logits = np.stack(
        [
            subject.call("score", x=x, y=np.full(len(x), label, np.int32))
            for label in range(classes)
        ],
        axis=1,
    )
    logits = logits.reshape(len(x), classes, -1).mean(-1)
    true = np.take_along_axis(logits, y[:, None], axis=1)
    wins = (true > logits).sum(1) / (classes - 1)
    per_class = {str(c): float(wins[y == c].mean()) for c in np.unique(y)}
    numbers = {
        "true_label_scores_above_a_wrong_one": float(wins.mean()),
        "true_label_scores_highest": float((logits.argmax(1) == y).mean()),
        "images": len(x),
    }
    chart = charts.bars(per_class, "true label above a wrong one", level=0.5)
    return Figure({"match": chart}, numbers)


def logged(folder: Path, names: dict[str, str]) -> dict:
    """Curves (steps, values) of metrics.jsonl, by the shown names; none without it."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return {}
    records = [json.loads(line) for line in path.read_text().splitlines()]
    curves = {}
    for metric in records[0] if records else ():
        player, _, kind = metric.partition("/")
        if kind in names:
            points = [(r["step"], r[metric]) for r in records if metric in r]
            # JSON has no NaN: what was not finite was logged as null.
            step, value = np.array(points, float).T
            curves[f"{player}: {names[kind]}"] = step, value
    return curves
