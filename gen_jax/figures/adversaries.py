"""Adversaries: a discriminator's outputs for real images, for samples and for labels.

At the optimum D = 1/2 everywhere (Goodfellow et al. 2014, proposition 1). An untrained
D also gives 1/2, as it knows nothing. This holds for probabilities. With other losses
(`losses/adversarial.py`) D gives a score. With least squares, whose targets are 0 and
1, it ends at 1/2 too. A Wasserstein critic and the hinge end at no particular number.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gen_jax.data.class_names import class_names
from gen_jax.evaluation.request import Evaluation
from gen_jax.figures import charts
from gen_jax.figures.figure import Figure
from gen_jax.losses import adversarial
from gen_jax.runs import metrics_log

_MAX_IMAGES = 1000
_CURVES = {"d_real": "of real images", "d_fake": "of generated images"}


def discriminator_outputs(evaluation: Evaluation) -> Figure:
    """Show D's mean output through training, for real images and for samples.

    Outputs are in the units of the run's loss: probabilities, or scores. The curves are
    from the run's log. The numbers come from test images and samples, before and after
    training.
    """
    x, y = evaluation.real(_MAX_IMAGES)
    gan_loss = getattr(evaluation.run.config, "gan_loss", "")
    output, unit = _output_of(gan_loss)
    numbers: dict[str, Any] = {"images": len(x), "unit": unit}
    players_at = {
        "start": evaluation.first_state().players,
        "end": evaluation.players,
    }
    for when, players in players_at.items():
        keys = evaluation.keys(len(x))
        x_fake = evaluation.apply("sample", players=players, keys=keys, y=y)
        for name, images in (("d_real", x), ("d_fake", x_fake)):
            logits = evaluation.apply("score", players=players, x=images, y=y)
            numbers[f"{name}_at_{when}"] = float(output(logits).mean())
    pictures = {}
    if curves := _logged(evaluation.run.folder):
        known = adversarial.GAN_LOSSES.get(gan_loss)
        level, label = known and known.optimum, f"D's mean {unit}"
        pictures["adversaries"] = charts.lines(curves, "step", label, level=level)
    return Figure(pictures, numbers)


def _output_of(gan_loss: str) -> tuple[Callable[[Any], Any], str]:
    """Return the function from D's logits to its output, and the output's unit.

    For an unknown loss the output is the logits.
    """
    if gan_loss not in adversarial.GAN_LOSSES:
        return np.asarray, "score"
    output = adversarial.GAN_LOSSES[gan_loss].output
    return output, "probability" if output is jax.nn.sigmoid else "score"


def match(evaluation: Evaluation) -> Figure:
    """Show how often D scores an image's true label above other labels, by class."""
    x, y = evaluation.real(_MAX_IMAGES)
    classes = evaluation.game.num_classes
    logits = np.stack(
        [
            evaluation.apply("score", x=x, y=np.full(len(x), label, np.int32))
            for label in range(classes)
        ],
        axis=1,
    )
    logits = logits.reshape(len(x), classes, -1).mean(-1)
    true = np.take_along_axis(logits, y[:, None], axis=1)
    wins = (true > logits).sum(1) / (classes - 1)
    names = class_names(evaluation.dataset.info)
    per_class = {names[c]: float(wins[y == c].mean()) for c in np.unique(y)}
    numbers = {
        "true_label_scores_above_a_wrong_one": float(wins.mean()),
        "true_label_scores_highest": float((logits.argmax(1) == y).mean()),
        "images": len(x),
    }
    chart = charts.bars(per_class, "fraction of wrong labels scored lower", level=0.5)
    return Figure({"match": chart}, numbers)


def _logged(folder: Path | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return D's curves (steps [N], values [N]) of metrics.jsonl, by "player: name".

    Returns no curves without a folder or a log.
    """
    path = folder / "metrics.jsonl" if folder else None
    if path is None or not path.exists():
        return {}
    lines = path.read_text(errors="replace").splitlines()
    records = [found for line in lines if (found := metrics_log.record(line))]
    curves = {}
    for metric in dict.fromkeys(name for record in records for name in record):
        player, _, kind = metric.partition("/")
        if kind in _CURVES:
            points = [(r["step"], r[metric]) for r in records if metric in r]
            # null, a value that was not finite, becomes NaN.
            step, value = np.array(points, float).T
            curves[f"{player}: {_CURVES[kind]}"] = step, value
    return curves
