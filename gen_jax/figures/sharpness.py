"""Sharpness: how much fine detail samples have, compared with real images.

Fine detail has frequencies above a quarter of a cycle per pixel, half of the highest
that pixels can hold. Its energy in an image X [H, W] is the sum of |F(X)|^2 over these
frequencies, F being the discrete Fourier transform.
"""

import numpy as np

from gen_jax import images
from gen_jax.evaluation.request import Evaluation
from gen_jax.figures.figure import Figure

_MAX_IMAGES = 1000
_SHOWN, _ROWS = 24, 3


def sharpness(evaluation: Evaluation) -> Figure:
    """Show samples above real images; compare their energies of fine detail."""
    x = evaluation.samples.first_float(_MAX_IMAGES)
    x_real = images.from_uint8(evaluation.held_out(_MAX_IMAGES))
    ratio = fine_energy(x).mean() / fine_energy(x_real).mean()
    numbers = {
        "samples": len(x),
        "test_images": len(x_real),
        "fine_energy_relative_to_real": float(ratio),
    }
    both = np.concatenate([x[:_SHOWN], x_real[:_SHOWN]])
    return Figure({"sharpness": images.grid(both, columns=_SHOWN // _ROWS)}, numbers)


def fine_energy(x: np.ndarray) -> np.ndarray:
    """Return the energy of fine detail of images [N, H, W, C]: float64 [N]."""
    height, width = x.shape[1:3]
    across = np.fft.fftfreq(width)[None, :]
    down = np.fft.fftfreq(height)[:, None]
    is_fine = np.hypot(across, down) > 0.25
    power = np.abs(np.fft.fft2(x.astype(np.float64), axes=(1, 2))) ** 2
    return power[:, is_fine].sum((1, 2)) / is_fine.size
