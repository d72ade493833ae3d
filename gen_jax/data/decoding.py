"""Images to arrays: decoded, oriented, flattened onto white, cropped and resized."""

import dataclasses
import functools
import importlib
import io
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gen_jax.data.dataset import DataConfig
from gen_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

_GREY_MODES = ("1", "L", "LA", "La")
_PLAIN = b"\xff\xd8"  # JPEG: always 8 bits, and one image but for its previews
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, of red, green and blue

# Formats that Pillow knows and cannot decode without a program or handler of others.
_FOREIGN = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")

# Packages that add a format to Pillow: the module, and its function to call, if any.
_PLUGINS = {
    "pillow_heif": "register_heif_opener",
    "pillow_avif": "",
    "pillow_jxl": "",
}


class UnsuitedImageError(ValueError):
    """An image that is whole, and that `config` does not allow; with a remedy."""

    def __init__(self, fault: str, remedy: str):
        super().__init__(fault)
        self.remedy = remedy


@functools.cache
def pillow() -> Any:
    """Return the module PIL.Image, with the formats of all plugins registered.

    Pillow's warnings of odd metadata are for programmers, and are switched off.
    """
    from PIL import Image

    Image.init()
    for name, function in _PLUGINS.items():
        try:
            plugin = importlib.import_module(name)
            getattr(plugin, function, lambda: None)()
        except Exception:  # absent or broken: its files count as files of no reader
            continue
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


def endings() -> frozenset[str]:
    """Return the endings of files, such as ".png", that can be decoded here."""
    image = pillow()
    return frozenset(
        ending.lower()
        for ending, form in image.registered_extensions().items()
        if form in image.OPEN and form not in _FOREIGN
    )


def open_image(content: bytes, config: DataConfig) -> "Image.Image":
    """Return an encoded image as a PIL image, upright, in mode L or RGB.

    Transparent pixels become white. Greys of more than 8 bits have mode F if
    config.value_range is set; otherwise the upper 8 of their 16 bits are kept.

    Raises ValueError for an unknown format; Pillow's errors if the image is broken;
    UnsuitedImageError if it is too large, or its values have another range.
    """
    from PIL import ImageOps

    file = _opened(content, config)
    is_deep = _is_deep_colour(file)
    file.load()
    image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16") and not config.value_range:
        return pillow().fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode.startswith(("I", "F")):
        image = pillow().fromarray(np.asarray(image).astype(np.float32))
        check_range(np.asarray(image), config)
        return image
    if config.value_range and is_deep:
        raise UnsuitedImageError(
            "has colours of 16 bits, of which Pillow decodes 8",
            "set no value_range, or store the images as npz",
        )
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pillow().new("RGBA", image.size, "white")
        image = pillow().alpha_composite(white, image)
    image = image if image.mode == mode else image.convert(mode)
    if config.value_range:
        check_range(np.asarray(image), config)
    return image


def _opened(content: bytes, config: DataConfig) -> "Image.Image":
    """Return a PIL image whose header is read; its size is checked."""
    image = pillow()
    # Pillow refuses images of twice this, and those inside others, by their headers.
    image.MAX_IMAGE_PIXELS = max(image.MAX_IMAGE_PIXELS or 0, config.max_pixels)
    try:
        file = image.open(io.BytesIO(content))
    except image.UnidentifiedImageError:
        raise ValueError("not in a format that Pillow reads") from None
    except image.DecompressionBombError:
        raise _too_large("has more pixels", config) from None
    if file.format in _FOREIGN:  # whatever the file is called
        raise ValueError(f"{file.format} is not a format that Pillow decodes by itself")
    width, height = file.size
    if width * height > config.max_pixels:
        raise _too_large(f"is {height}x{width} pixels, more", config)
    return file


def _too_large(fault: str, config: DataConfig) -> UnsuitedImageError:
    return UnsuitedImageError(
        f"{fault} than --config.data.max_pixels={config.max_pixels}",
        "raise that if the image is meant to be so large, or remove it",
    )


def _is_deep_colour(file: "Image.Image") -> bool:
    """Return whether a PIL image that is not loaded yet has colours of 16 bits."""
    tiles = str(getattr(file, "tile", ""))  # rawmodes such as RGB;16B
    return file.mode in ("RGB", "RGBA", "LA") and bool(re.search(";16[BLN]", tiles))


def unread_parts(content: bytes, config: DataConfig) -> list[str]:
    """Return texts that name what `open_image` does not keep of an encoded image."""
    if content.startswith(_PLAIN):
        return []
    file, parts = _opened(content, config), []
    if not config.value_range and file.mode.startswith("I;16"):
        parts.append(
            "the lower 8 bits of greys of 16 bits (--config.data.value_range=0,65535 "
            "keeps them)"
        )
    if _is_deep_colour(file):
        parts.append("the lower 8 bits of colours of 16 bits")
    if getattr(file, "n_frames", 1) > 1:
        parts.append("all frames but the first")
    return parts


def check_range(x: np.ndarray, config: DataConfig) -> None:
    """Raise UnsuitedImageError if values [...] lie outside config.value_range."""
    if not config.value_range:
        raise UnsuitedImageError(
            "has pixels whose range is not known",
            "state it by --config.data.value_range=LOW,HIGH",
        )
    low, high = config.value_range
    smallest, largest = x.min(), x.max()  # NaN if there is one
    if not low <= smallest <= largest <= high:
        raise UnsuitedImageError(
            f"has values from {smallest:g} to {largest:g}, outside "
            f"--config.data.value_range={low:g},{high:g}",
            "state the range of all images",
        )


def to_array(image: "Image.Image", config: DataConfig, channels: int) -> np.ndarray:
    """Return a PIL image as an array [H, W, C], resized if image_size is set.

    image: of mode L, RGB or F.
    channels: 1 or 3; 0 keeps the image's own.

    The array is uint8, or float32 in [-1, 1] if config.value_range is set.
    """
    if config.value_range:
        bands = [np.asarray(band, np.float32) for band in image.split()]
        return _of_bands(bands, config, channels)
    mode = {0: image.mode, 1: "L", 3: "RGB"}[channels]
    if image.mode != mode:
        image = image.convert(mode)
    if config.image_size:
        image = _resized(image, config.size, config.crop)
    array = np.asarray(image)
    return array if array.ndim == 3 else array[:, :, None]


def to_shape(
    image: "Image.Image", shape: tuple[int, ...], config: DataConfig
) -> np.ndarray:
    """Return a PIL image as an array of `shape`, [H, W, 1 or 3], as `to_array` does.

    Raises UserError if the shape has another number of channels.
    """
    height, width, channels = shape
    if channels not in (1, 3):
        raise UserError(
            f"inputs have {channels} channels, which no image file holds: translate "
            "arrays in Python"
        )
    config = dataclasses.replace(config, image_size=f"{height}x{width}")
    return to_array(image, config, channels)


def _resized(image: "Image.Image", size: tuple[int, int], crop: str) -> "Image.Image":
    """Return a PIL image at (height, width), with antialiasing."""
    from PIL import ImageOps

    height, width = size
    bicubic = pillow().Resampling.BICUBIC
    if crop == "none":
        return image.resize((width, height), bicubic)
    return ImageOps.fit(image, (width, height), bicubic)


def _of_bands(
    bands: Sequence[np.ndarray], config: DataConfig, channels: int
) -> np.ndarray:
    """Return bands [H, W], numbers or uint8, as an image of `to_array`'s kind."""
    if channels == 1 and len(bands) == 3:
        bands = [np.tensordot(np.array(_LUMA, np.float32), np.stack(bands), 1)]
    if channels == 3 and len(bands) == 1:
        bands = [*bands] * 3
    if config.image_size:
        bands = [
            np.asarray(_resized(pillow().fromarray(band), config.size, config.crop))
            for band in bands
        ]
    x = np.stack(bands, axis=-1)
    if not config.value_range:
        return x
    low, high = config.value_range
    return np.clip((x - low) * (2 / (high - low)) - 1, -1, 1).astype(np.float32)


def fitted_shape(
    shape: tuple[int, ...], config: DataConfig, where: str
) -> tuple[int, int, int]:
    """Return the shape (H, W, C) that `fitted` gives to images of `shape`.

    Raises UserError that names `where` if images of other than 1 or 3 channels are to
    change their channels.
    """
    height, width, own = shape
    if config.channels and own not in (1, 3):
        raise UserError(
            f"{where}: images of {own} channels can be neither grey nor RGB; set "
            "--config.data.channels=0"
        )
    rows, columns = config.size
    return (rows or height, columns or width, config.channels or own)


def fitted(x: np.ndarray, config: DataConfig) -> np.ndarray:
    """Return images [N, H, W, C], each converted as `to_array` does.

    x: uint8, or of any type of numbers if config.value_range is set.
    """
    own, asked = x.shape[1:3], config.size if config.image_size else x.shape[1:3]
    is_changed = asked != own or config.channels not in (0, x.shape[3])
    if not is_changed and not config.value_range:
        return x
    kind = np.float32 if config.value_range else np.uint8
    shape = (*asked, config.channels or x.shape[3])
    out = np.empty((len(x), *shape), kind)
    for image, place in zip(x, out, strict=True):
        if x.shape[3] in (1, 3) and not config.value_range:
            whole = pillow().fromarray(image[:, :, 0] if x.shape[3] == 1 else image)
            place[:] = to_array(whole, config, config.channels)
        else:
            bands = list(np.ascontiguousarray(np.moveaxis(image, -1, 0), kind))
            place[:] = _of_bands(bands, config, config.channels)
    return out
