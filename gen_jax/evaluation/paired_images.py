"""Errors of images that have a target: translations, and reconstructions.

Pictures of trees behind leaves also get the scores of `metrics/branch_scores.py`.
"""

import numpy as np

from gen_jax import images
from gen_jax.data import branches
from gen_jax.errors import UserError
from gen_jax.evaluation.request import Evaluation
from gen_jax.evaluation.result import Result, mean_of
from gen_jax.metrics import branch_scores, pixels
from gen_jax.metrics.networks.lpips import SMALLEST_SIDE, lpips


def translation(evaluation: Evaluation) -> Result:
    """L1, PSNR, SSIM and LPIPS of translations of test images against their targets."""
    x, y = evaluation.real(evaluation.preset.bound_images)
    y = images.from_uint8(y)
    y_hat = evaluation.apply("translate", x=x, keys=evaluation.keys(len(x)))
    result = _compared(y, y_hat)
    if evaluation.spec != "branches":
        return result
    truth, behind = branches.branch_mask(y), branches.leaf_mask(x)
    drawn = {"": branches.branch_mask(y_hat), "memorized_": branches.shown_mask(x)}
    found = {
        f"{prefix}{name}": mean_of(each[~np.isnan(each)])
        for prefix, mask in drawn.items()
        for name, each in branch_scores.of_each(truth, mask, behind).items()
        if not np.isnan(each).all()
    }
    about = {**result.context, "memorized": "the branches that show, and nothing else"}
    return result._replace(values={**result.values, **found}, context=about)


def reconstruction(evaluation: Evaluation) -> Result:
    """L1, PSNR, SSIM and LPIPS of test images against their reconstructions."""
    x, y = evaluation.real(evaluation.preset.bound_images)
    x_hat = evaluation.apply("reconstruct", x=x, y=y)
    return _compared(x, x_hat)


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
