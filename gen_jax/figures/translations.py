"""Pictures to pictures: input, output and target, and what the dropout's noise varies.

Isola et al. (2016). Held-out pairs are judged by L1, the mean of |y - y_hat| in units
of [-1, 1], by LPIPS (Zhang et al. 2018) if the sides allow it, and by the measures of
the data source itself.
"""

import numpy as np

from gen_jax import images
from gen_jax.errors import UserError
from gen_jax.evaluation.paired_images import own_scores
from gen_jax.evaluation.subject import Subject
from gen_jax.figures.figure import Figure
from gen_jax.metrics.networks.lpips import SMALLEST_SIDE, lpips

MAX_IMAGES = 500  # pairs measured
SHOWN = 12
VARIED, DRAWS = 4, 7  # inputs, and translations of each


def translation(subject: Subject) -> Figure:
    """Triples, translations of one input, and the errors of held-out pairs."""
    x, y = subject.real(MAX_IMAGES)
    y = images.from_uint8(y)
    y_hat = subject.call("translate", x=x, keys=subject.keys(len(x)))
    numbers = {"pairs": len(x), "l1": float(np.abs(y - y_hat).mean())}
    numbers |= _perceptual(y, y_hat)
    own = own_scores(subject.dataset, x, y, y_hat)
    numbers |= {name: float(scores.mean()) for name, scores in own.items()}
    varied = np.stack(
        [
            subject.call("translate", x=x[:VARIED], keys=subject.keys(VARIED, 1 + n))
            for n in range(DRAWS)
        ],
        axis=1,
    )
    numbers["spread_of_translations_of_one_input"] = float(varied.std(1).mean())
    places = np.arange(min(SHOWN, len(x))) * len(x) // min(SHOWN, len(x))
    shown = (array[places] for array in (x, y_hat, y))  # evenly: files go by name
    pictures = {
        "translation": images.side_by_side(*shown),
        "translation_varied": images.side_by_side(
            x[:VARIED], *np.moveaxis(varied, 1, 0), per_row=1
        ),
    }
    return Figure(pictures, numbers)


def _perceptual(y: np.ndarray, y_hat: np.ndarray) -> dict:
    if min(y.shape[1:3]) < SMALLEST_SIDE:
        return {"lpips_left_out": f"pictures below {SMALLEST_SIDE} pixels"}
    try:
        distance = lpips("alex")
    except UserError as error:
        return {"lpips_left_out": str(error)}
    return {"lpips_alex": float(distance(y, y_hat).mean())}
