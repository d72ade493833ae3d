"""Translations: input, output and target, and their variation with the noise.

Isola et al. (2016). Their errors are a measure (`evaluation/paired_images.py`).
"""

import numpy as np

from gen_jax import images
from gen_jax.evaluation.request import Evaluation
from gen_jax.figures.figure import Figure

_MAX_IMAGES = 500  # test images among which examples are chosen
_SHOWN = 12
_INPUTS, _TIMES = 4, 7  # inputs that are translated several times


def translation(evaluation: Evaluation) -> Figure:
    """Show inputs, translations and targets; and several translations of an input.

    The number is the standard deviation among translations of one input, in units of
    [-1, 1], averaged over pixels and inputs.
    """
    x, y = evaluation.real(_MAX_IMAGES)
    places = np.arange(min(_SHOWN, len(x))) * len(x) // min(_SHOWN, len(x))
    keys = evaluation.keys(len(x))[places]
    y_hat = evaluation.apply("translate", x=x[places], keys=keys)
    few = x[:_INPUTS]
    varied = np.stack(
        [
            evaluation.apply("translate", x=few, keys=evaluation.keys(len(few), 1 + n))
            for n in range(_TIMES)
        ],
        axis=1,
    )
    pictures = {
        "translation": images.side_by_side(x[places], y_hat, y[places]),
        "translation_varied": images.side_by_side(
            few, *np.moveaxis(varied, 1, 0), per_row=1
        ),
    }
    spread = float(varied.std(1).mean())
    return Figure(pictures, {"spread_of_translations_of_one_input": spread})
