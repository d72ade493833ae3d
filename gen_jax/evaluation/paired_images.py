"""Errors of images that have a target: translations, and reconstructions.

A source of pairs may add measures of its own (`gen_jax.data.PairMeasure`).
"""

import numpy as np

from gen_jax import images
from gen_jax.data import Dataset
from gen_jax.errors import UserError
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, mean_of
from gen_jax.metrics import pixels
from gen_jax.metrics.networks.lpips import SMALLEST_SIDE, lpips

_SHOWN = 16  # images in the picture


def translation(evaluation: Evaluation) -> Result:
    """Measure L1, PSNR, SSIM and LPIPS of translations of test images against targets.

    The measures of the data source itself are added.
    """
    x, y = evaluation.real(evaluation.preset.bound_images)
    y = images.from_uint8(y)
    y_hat = evaluation.apply("translate", x=x, keys=evaluation.keys(len(x)))
    result = _compared(y, y_hat)
    own = _own_scores(evaluation.dataset, x, y, y_hat)
    values = {name: mean_of(scores) for name, scores in own.items()}
    context = dict(result.context)
    for measure in evaluation.dataset.measures:
        context |= measure.context
    return result._replace(values={**result.values, **values}, context=context)


def _own_scores(
    dataset: Dataset, x: np.ndarray, y: np.ndarray, y_hat: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the scores by the measures of a dataset: float [M] by name.

    x, y, y_hat: inputs, targets and translations, float32 [N, H, W, C] in [-1, 1].
    Undefined scores are left out, so that M <= N, and a name without any other too.
    """
    found = {}
    for measure in dataset.measures:
        for name, scores in measure.score(x, y, y_hat).items():
            if len(defined := scores[~np.isnan(scores)]):
                found[name] = defined
    return found


def reconstruction(evaluation: Evaluation) -> Result:
    """Measure L1, PSNR, SSIM and LPIPS of test images against reconstructions.

    The picture shows test images, each next to its reconstruction.
    """
    x, y = evaluation.real(evaluation.preset.bound_images)
    x_hat = evaluation.apply("reconstruct", x=x, y=y)
    pictures = {"reconstructions": images.side_by_side(x[:_SHOWN], x_hat[:_SHOWN])}
    return _compared(x, x_hat)._replace(pictures=pictures)


def _compared(y: np.ndarray, y_hat: np.ndarray) -> Result:
    values = {"l1": mean_of(pixels.l1(y, y_hat), unit="of [-1, 1]")}
    values["psnr"] = mean_of(pixels.psnr(y, y_hat), unit="dB")
    notes, side = [], min(y.shape[1:3])
    if side >= pixels.WINDOW:
        values["ssim"] = mean_of(pixels.ssim(y, y_hat))
    else:
        notes.append(
            f"SSIM needs images of at least {pixels.WINDOW} pixels a side, LPIPS of "
            f"{SMALLEST_SIDE}"
        )
    if side >= SMALLEST_SIDE:
        try:
            for net in ("alex", "vgg"):
                values[f"lpips_{net}"] = mean_of(lpips(net)(y, y_hat))
        except UserError as error:
            notes.append(str(error))
    context = {"test": f"{len(y)} images"}
    return Result(values, context, note="; ".join(notes) or None)
