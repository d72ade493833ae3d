"""Pictures inside a page: data URIs, small and no more than a page can bear."""

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
    """An image to show `width` pixels wide.

    pixelated: its pixels are to be seen as squares.
    """

    uri: str
    width: int
    height: int
    pixelated: bool


class Album:
    """Embeds pictures until `limit` bytes are used; `left_out` says what is not in."""

    def __init__(self, limit: int = LIMIT):
        self._left, self.left_out = limit, []

    def add(self, path: Path, name: str) -> Picture | None:
        """The picture of a PNG or GIF file; None where it is damaged or too much.

        name: what to call it where it is left out.
        """
        try:
            kind, content, picture = _read(path)
        except FileNotFoundError:
            self.left_out.append(f"{name} is missing")
            return None
        except Exception:  # a damaged image raises whatever its format's reader does
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
    """Type, bytes and, without its uri, picture of a file."""
    from PIL import Image

    content = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PIL only warns of images that fill the memory
        with Image.open(io.BytesIO(content), formats=list(_TYPES)) as image:
            (width, height), kind = image.size, image.format
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
    """The whole factor by which a picture [H, W, ...] was enlarged: 1 for none."""
    factor = math.gcd(*pixels.shape[:2])
    for x in (pixels, pixels.swapaxes(0, 1)):
        changes = (x[1:] != x[:-1]).reshape(len(x) - 1, -1).any(axis=1)
        factor = math.gcd(factor, *map(int, np.flatnonzero(changes) + 1))
    return factor


def spread(paths: Sequence[Path], most: int, limit: int) -> list[Path]:
    """At most so many files of so many bytes, evenly apart from the first to the last.

    Where not even two fit, the last alone.
    """
    for number in range(min(most, len(paths)), 1, -1):
        chosen = [paths[round(i)] for i in np.linspace(0, len(paths) - 1, number)]
        if sum(path.stat().st_size for path in chosen) <= limit:
            return chosen
    return list(paths[-1:])
