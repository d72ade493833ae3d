"""What metrics take, checked: features [N, D], and images as the data holds them."""

import numpy as np

from gen_jax.errors import UserError

_ROUNDING = 1e-3  # by which images may leave [-1, 1]


def check_features(**sets: np.ndarray) -> None:
    """Sets of features, each by its name: numbers [N, D] of one D, all finite.

    Raises UserError for other shapes, none at all, other dtypes, NaN and infinity.
    """
    shapes = [np.shape(x) for x in sets.values()]
    if any(len(s) != 2 or 0 in s or s[1] != shapes[0][-1] for s in shapes):
        raise UserError(
            "features are [N, D] of one D, not "
            + " with ".join(str(list(shape)) for shape in shapes)
        )
    check_finite(**sets)


def check_finite(**sets: np.ndarray) -> None:
    """Raises UserError for what is no real number, and for NaN and infinity."""
    for name, x in sets.items():
        if x.dtype.kind not in "iuf":
            raise UserError(f"features of {name} images are numbers, not {x.dtype}")
        if not np.isfinite(x).all():
            raise UserError(f"features of {name} images are not all finite")


def check_images(**sets: np.ndarray) -> None:
    """Sets of images, each by its name: uint8, or floats in [-1, 1], [N, ...].

    Raises UserError for none at all, other dtypes, and values that lie elsewhere.
    """
    for name, x in sets.items():
        if not x.ndim or not x.size:
            raise UserError(f"there are no {name} images: they are {list(x.shape)}")
        if x.dtype == np.uint8:
            continue
        if x.dtype.kind != "f":
            raise UserError(
                f"{name} images are uint8, or floats in [-1, 1], not {x.dtype}"
            )
        low, high = float(x.min()), float(x.max())
        if not (low >= -1 - _ROUNDING and high <= 1 + _ROUNDING):  # NaN is neither
            raise UserError(
                f"{name} images lie in [-1, 1], not in [{low:.4g}, {high:.4g}]"
            )


def as_float(x: np.ndarray) -> np.ndarray:
    """float64; uint8 is taken to [-1, 1] as `prepare` does."""
    # By `asarray`: `astype` leaves JAX's arrays in float32.
    wide = np.asarray(x, np.float64)
    return wide / 127.5 - 1 if x.dtype == np.uint8 else wide
