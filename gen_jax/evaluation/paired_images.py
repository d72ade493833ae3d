"""Pictures that should be like others: translations and their targets, an autoencoder's
images and what it makes of them.

Of trees behind leaves also the scores of `metrics/branch_scores.py`.
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
    """L1, PSNR, SSIM, LPIPS of held-out translations against targets; of trees more."""
    subject = evaluation.subject
    x, y = subject.real(evaluation.preset.bound_images)
    y = images.from_uint8(y)
    y_hat = subject.call("translate", x=x, keys=subject.keys(len(x)))
    result = _compared(y, y_hat)
    if subject.run.config.data.spec != "branches":
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
    """L1, PSNR, SSIM and LPIPS of held-out images against their reconstructions."""
    x, y = evaluation.subject.real(evaluation.preset.bound_images)
    x_hat = evaluation.subject.call("reconstruct", x=x, y=y)
    return _compared(x, x_hat)


def _compared(y: np.ndarray, y_hat: np.ndarray) -> Result:
    values = {"l1": mean_of(pixels.l1(y, y_hat), unit="of [-1, 1]")}
    values["psnr"] = mean_of(pixels.psnr(y, y_hat), unit="dB")
    notes, side = [], min(y.shape[1:3])
    if side >= pixels.WINDOW:
        values["ssim"] = mean_of(pixels.ssim(y, y_hat))
    else:
        notes.append(f"SSIM needs {pixels.WINDOW} pixels a side, LPIPS {SMALLEST_SIDE}")
    if side >= SMALLEST_SIDE:
        try:
            for net in ("alex", "vgg"):
                values[f"lpips_{net}"] = mean_of(lpips(net)(y, y_hat))
        except UserError as error:
            notes.append(str(error))
    context = {"test": f"{len(y)} images"}
    return Result(values, context, note="; ".join(notes) or None)
