"""Pictures inside a page, as data URIs, of limited size."""

import base64
import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

LIMIT = 24_000_000  # bytes of all the pictures of a page
_MAX_PIXELS = 40_000_000
_TYPES = {"PNG": "image/png", "GIF": "image/gif"}


class Picture(NamedTuple):
    """A picture, shown `width` pixels wide.

    pixelated: its pixels are shown as squares.
    """

    uri: str
    width: int
    height: int
    pixelated: bool


class Album:
    """Embeds pictures until `limit` bytes are used; `left_out` lists the others."""

    def __init__(self, limit: int = LIMIT):
        self._left = limit
        self.left_out: list[str] = []

    def add(self, path: Path, name: str) -> Picture | None:
        """Return the picture of a PNG or GIF file; None if it is damaged or too large.

        name: its name in `left_out`.
        """
        try:
            kind, content, picture = _read(path)
        except FileNotFoundError:
            self.left_out.append(f"{name} is missing")
            return None
        except Exception:  # a damaged file raises errors of many classes
            self.left_out.append(f"{name} is damaged")
            return None
        if len(content) > self._left:
            size = f"{len(content) / 1e6:.1f} MB"
            self.left_out.append(f"{name} ({size}) would make this page too large")
            return None
        self._left -= len(content)
        uri = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        return picture._replace(uri=uri)


def _read(path: Path) -> tuple[str, bytes, Picture]:
    """Return the type and bytes of a file, and its picture without a URI."""
    from PIL import Image

    content = path.read_bytes()
    with warnings.catch_warnings():
        # PIL only warns of images that would fill the memory.
        warnings.simplefilter("error")
        with Image.open(io.BytesIO(content), formats=list(_TYPES)) as image:
            (width, height), kind = image.size, str(image.format)
            if width * height > _MAX_PIXELS:
                raise ValueError("too large")
            pixels = np.asarray(image)
    factor = _enlarged(pixels) if kind == "PNG" else 1
    if factor > 1:
        small = io.BytesIO()
        Image.fromarray(pixels[::factor, ::factor]).save(small, "PNG", optimize=True)
        content = small.getvalue()
    return _TYPES[kind], content, Picture("", width, height, factor > 1)


def _enlarged(pixels: np.ndarray) -> int:
    """Return the whole factor by which a picture [H, W, ...] was enlarged, or 1."""
    factor = math.gcd(*pixels.shape[:2])
    for x in (pixels, pixels.swapaxes(0, 1)):
        changes = (x[1:] != x[:-1]).reshape(len(x) - 1, -1).any(axis=1)
        factor = math.gcd(factor, *map(int, np.flatnonzero(changes) + 1))
    return factor


def spread(paths: Sequence[Path], number: int, limit: int) -> list[Path]:
    """Return files evenly spaced from the first to the last, of at most `limit` bytes.

    number: maximum number of files. If not even two fit, only the last is returned.
    """
    for count in range(min(number, len(paths)), 1, -1):
        chosen = [paths[round(i)] for i in np.linspace(0, len(paths) - 1, count)]
        if sum(path.stat().st_size for path in chosen) <= limit:
            return chosen
    return list(paths[-1:])
