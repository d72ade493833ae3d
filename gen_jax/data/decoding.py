"""Encoded images to arrays: oriented, flattened onto white, cropped and resized."""

import io
from typing import TYPE_CHECKING

import numpy as np

from gen_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

_GREY_MODES = ("1", "L", "LA", "La")


def open_image(content: bytes) -> "Image.Image":
    """Return an encoded image as a PIL image, upright, in mode L or RGB.

    Sixteen-bit greys keep their upper eight bits. Transparent pixels become white.

    Raises ValueError for an unknown format; Pillow's errors if the image is broken.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        file = Image.open(io.BytesIO(content))
    except UnidentifiedImageError:
        raise ValueError("not in a format that Pillow reads") from None
    file.load()
    image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known range")
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == mode else image.convert(mode)


def to_array(image: "Image.Image", size: int, channels: int) -> np.ndarray:
    """Return a PIL image of mode L or RGB as uint8 [H, W, C].

    size: pixels a side; the centred square is kept and resized, with antialiasing. 0
        leaves the image as it is.
    channels: 1 or 3; 0 keeps the image's own.
    """
    from PIL import Image, ImageOps

    mode = {0: image.mode, 1: "L", 3: "RGB"}[channels]
    if image.mode != mode:
        image = image.convert(mode)
    if size:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array if array.ndim == 3 else array[:, :, None]


def to_shape(image: "Image.Image", shape: tuple[int, ...]) -> np.ndarray:
    """Return a PIL image as uint8 [H, W, 1 or 3] of `shape`, cropped to fit it."""
    from PIL import Image, ImageOps

    height, width, channels = shape
    image = image.convert("L" if channels == 1 else "RGB")
    resized = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized).reshape(shape)


def fitted_shape(
    shape: tuple[int, ...], size: int, channels: int, where: str
) -> tuple[int, int, int]:
    """Return the shape (H, W, C) that `fitted` gives to images of `shape`.

    Raises UserError that names `where` if images of other than 1 or 3 channels are to
    change.
    """
    height, width, own = shape
    if (size or channels) and own not in (1, 3):
        raise UserError(
            f"{where}: images of {own} channels can be neither resized nor recoloured; "
            "set --config.data.image_size=0 and channels=0"
        )
    return (size or height, size or width, channels or own)


def fitted(x: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Return images uint8 [N, H, W, C], each converted by `to_array`."""
    from PIL import Image

    if (not size or x.shape[1:3] == (size, size)) and channels in (0, x.shape[3]):
        return x
    images = (
        Image.fromarray(image[:, :, 0] if x.shape[3] == 1 else image) for image in x
    )
    return np.stack([to_array(image, size, channels) for image in images])
