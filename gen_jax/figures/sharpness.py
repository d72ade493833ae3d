"""Blur: how much fine detail samples have beside real images.

Fine is what changes faster than a quarter of a cycle a pixel, half of what pixels can
hold. The energy there of an image X [H, W] is the sum of |F(X)|^2 over those
frequencies, F being the discrete Fourier transform.
"""

import numpy as np

from gen_jax import images
from gen_jax.evaluation.subject import Subject
from gen_jax.figures.figure import Figure

MAX_IMAGES = 1000
SHOWN = 24


def sharpness(subject: Subject) -> Figure:
    """Samples above real images, and the ratio of their energies in fine detail."""
    (x, _), (x_real, _) = subject.samples, subject.real(MAX_IMAGES)
    ratio = fine_energy(x).mean() / fine_energy(x_real).mean()
    numbers = {
        "samples": len(x),
        "held_out_images": len(x_real),
        "fine_energy_relative_to_real": float(ratio),
    }
    columns = SHOWN // 3
    rows = images.grid(np.concatenate([x[:SHOWN], x_real[:SHOWN]]), columns=columns)
    return Figure({"sharpness": rows}, numbers)


def fine_energy(x: np.ndarray) -> np.ndarray:
    """The energy of fine detail in images [N, H, W, C]: float64 [N]."""
    height, width = x.shape[1:3]
    across = np.fft.fftfreq(width)[None, :]
    down = np.fft.fftfreq(height)[:, None]
    is_fine = np.hypot(across, down) > 0.25
    power = np.abs(np.fft.fft2(x.astype(np.float64), axes=(1, 2))) ** 2
    return power[:, is_fine].sum((1, 2)) / is_fine.size
