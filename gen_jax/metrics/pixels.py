"""Distances between the pixels of two images: pairs [N, H, W, C] to float64 [N].

Images are uint8, or floats in [-1, 1], a range of L = 2:

    L1 = mean |x - y|
    PSNR = 10 log10(L^2 / mean (x - y)^2)
    SSIM = mean over pixels of
        (2 m_x m_y + c_1) (2 s_xy + c_2)
        / ((m_x^2 + m_y^2 + c_1) (s_x^2 + s_y^2 + c_2))

Wang et al. (2004), "Image quality assessment: from error visibility to structural
similarity", equation 13. Means m, variances s^2 and covariance s_xy are those under a
Gaussian window of 11 x 11 pixels and deviation 1.5. The constants are c_1 = (0.01 L)^2
and c_2 = (0.03 L)^2. Windows lie within the image. The value is the mean over channels.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from gen_jax.errors import UserError
from gen_jax.metrics.checks import as_float, check_images

WINDOW = 11  # pixels
_RANGE = 2.0
_SIGMA = 1.5  # pixels
_C1, _C2 = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2
_BLOCK = 2**21  # numbers in the images that are compared at a time


def l1(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference of each pair [N, H, W, C]: [N], 0 to 2.

    Raises UserError if shapes differ, or dtypes or values are invalid.
    """
    return _of_pairs(lambda a, b: abs(a - b).mean((1, 2, 3)), x, y)


def psnr(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the peak signal-to-noise ratio of each pair [N, H, W, C] in dB: [N].

    It is infinite for equal images. Raises UserError if shapes differ, or dtypes or
    values are invalid.
    """
    squared = _of_pairs(lambda a, b: ((a - b) ** 2).mean((1, 2, 3)), x, y)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(_RANGE**2 / squared)


def ssim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the structural similarity of each pair [N, H, W, C]: [N], -1 to 1.

    It is 1 for equal images. Raises UserError if shapes differ, dtypes or values are
    invalid, or a side is below 11 pixels, too small for a window.
    """
    if x.ndim == 4 and min(x.shape[1:3]) < WINDOW:
        raise UserError(
            f"images of {x.shape[1]}x{x.shape[2]} are too small for SSIM: both sides "
            f"must be at least {WINDOW} pixels; use psnr or l1 instead"
        )
    return _of_pairs(_ssim, x, y)


def _ssim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x = _blurred(x**2) - mean_x**2
    var_y = _blurred(y**2) - mean_y**2
    cov = _blurred(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * cov + _C2)
    maximum = (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    return (alike / maximum).mean((1, 2, 3))


def _blurred(x: np.ndarray) -> np.ndarray:
    """Average over each window within the image: [N, H - 10, W - 10, C]."""
    edge = WINDOW // 2
    blurred = gaussian_filter(x, _SIGMA, radius=edge, axes=(1, 2))
    return blurred[:, edge:-edge, edge:-edge]


def _of_pairs(function: Callable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return function(x, y) of images as float64, computed in parts."""
    if x.shape != y.shape or x.ndim != 4:
        raise UserError(
            f"images are compared in pairs of one shape, [N, H, W, C], not "
            f"{list(x.shape)} with {list(y.shape)}: resize one of them"
        )
    check_images(first=x, second=y)
    rows = max(1, _BLOCK // x[0].size)
    parts = (slice(start, start + rows) for start in range(0, len(x), rows))
    return np.concatenate([function(as_float(x[p]), as_float(y[p])) for p in parts])
