"""Checks of metrics' inputs: features [N, D], and images as the data holds them."""

import numpy as np

from gen_jax.errors import UserError

_ROUNDING = 1e-3  # images may exceed [-1, 1] by this much


def check_features(**sets: np.ndarray) -> None:
    """Check sets of features, by their names: finite numbers [N, D] of one D, N >= 1.

    Raises UserError for other shapes, empty sets, other dtypes, NaN and infinity.
    """
    shapes = [np.shape(x) for x in sets.values()]
    if any(len(s) != 2 or 0 in s or s[1] != shapes[0][-1] for s in shapes):
        raise UserError(
            "features must be [N, D] of one D, not "
            + " with ".join(str(list(shape)) for shape in shapes)
        )
    check_finite(**sets)


def check_finite(**sets: np.ndarray) -> None:
    """Check that sets [...] hold real numbers, all finite; UserError if not."""
    for name, x in sets.items():
        if x.dtype.kind not in "iuf":
            raise UserError(
                f"features of {name} images must be real numbers, not {x.dtype}"
            )
        if not np.isfinite(x).all():
            raise UserError(
                f"features of {name} images contain NaN or infinity: check images and "
                "weights"
            )


def check_images(**sets: np.ndarray) -> None:
    """Check sets of images [N, ...], by their names: uint8, or floats in [-1, 1].

    Raises UserError for empty sets, other dtypes and values outside the range.
    """
    for name, x in sets.items():
        if not x.ndim or not x.size:
            raise UserError(
                f"there are no {name} images: their shape is {list(x.shape)}; give at "
                "least one"
            )
        if x.dtype == np.uint8:
            continue
        if x.dtype.kind != "f":
            raise UserError(
                f"{name} images must be uint8, or floats in [-1, 1], not {x.dtype}"
            )
        low, high = float(x.min()), float(x.max())
        if not (low >= -1 - _ROUNDING and high <= 1 + _ROUNDING):  # NaN is neither
            raise UserError(
                f"{name} images must lie in [-1, 1], not in [{low:.4g}, {high:.4g}]"
            )


def as_float(x: np.ndarray) -> np.ndarray:
    """Convert [...] to float64; uint8 is mapped to [-1, 1] as `prepare` does."""
    # Not `astype`, which leaves JAX's arrays in float32.
    wide = np.asarray(x, np.float64)
    return wide / 127.5 - 1 if x.dtype == np.uint8 else wide
