"""Text in pictures: in a font that has its letters, and cut to the room there is."""

import contextlib
import functools
import itertools
import math
import re
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gen_jax.data.class_names import shown

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# Files in the system's font folders, where Pillow looks for them: many alphabets, then
# Chinese, Japanese and Korean on Linux, macOS and Windows.
_FILES = (
    *("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf"),
    *("ipag.ttf", "ipaexg.ttf", "TakaoGothic.ttf", "wqy-microhei.ttc"),
    *("Hiragino Sans GB.ttc", "Arial Unicode.ttf"),
    *("YuGothM.ttc", "msgothic.ttc", "msyh.ttc", "malgun.ttf"),
)
_IN_NO_FONT = "\U0010fffd"


def head(label: int, name: str, fonts: int | None = None) -> str:
    """Return the name of a class as a picture shows it.

    It is "label 3" if a letter of the name is in no font here, and "no label" for -1.

    fonts: how many of the fonts to consider; None for all. The first is matplotlib's.
    """
    name, found = shown(name), _fonts(12)[:fonts]
    if label < 0:
        return "no label"
    is_drawable = all(any(_has(font, x) for font in found) for x in set(name))
    return name if is_drawable else f"label {label}"


def length(text: str, size: int) -> int:
    """Return the width of a text in pixels, rounded up."""
    return math.ceil(sum(font.getlength(part) for font, part in _runs(text, size)))


def cut(text: str, width: int, size: int) -> str:
    """Return a text, cut so that it is at most `width` pixels wide."""
    if length(text, size) <= width:
        return text
    while text and length(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"


def wrapped(text: str, width: int, size: int) -> list[str]:
    """Return a text as lines of at most `width` pixels, broken between words."""
    lines = [""]
    for word in re.split(r"(?<!\+)\s+(?!\+)", text):  # counts, "3 + 1", stay together
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and length(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [cut(line, width, size) for line in lines]


def draw(
    page: "Image.Image",
    at: tuple[int, int],
    text: str,
    size: int = 14,
    grey: int = 30,
    width: int | None = None,
) -> None:
    """Draw a line of text on an RGB page, its upper left corner `at` (x, y).

    width: at most, in pixels; None for no limit.
    """
    x, baseline = at[0], at[1] + size
    for font, part in _runs(text if width is None else cut(text, width, size), size):
        ink = (grey, grey, grey)
        ImageDraw.Draw(page).text((x, baseline), part, ink, font, anchor="ls")
        x += math.ceil(font.getlength(part))


def with_column_heads(picture: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return a grid, uint8 [H, W, 1 or 3], with a name above each of its columns.

    names: one for each column of equal width.

    Returns uint8 [H + 22, W, 3].
    """
    page, size = _page(picture, top=22), 13
    step = picture.shape[1] / len(names)
    for column, name in enumerate(names):
        room = round(step) - 4
        text = cut(name, room, size)
        left = round(column * step) + 2 + (room - length(text, size)) // 2
        draw(page, (left, 3), text, size)
    return np.asarray(page)


def with_row_heads(picture: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return a grid, uint8 [H, W, 1 or 3], with a name to the left of each of its rows.

    names: one for each row of equal height.

    Returns uint8 [H, W + w, 3], w at most 140.
    """
    size = 13
    short = [cut(name, 128, size) for name in names]
    page = _page(picture, left=12 + max(length(name, size) for name in short))
    step = picture.shape[0] / len(names)
    for row, name in enumerate(short):
        draw(page, (6, int((row + 0.5) * step - 0.6 * size)), name, size)
    return np.asarray(page)


def _page(picture: np.ndarray, top: int = 0, left: int = 0) -> "Image.Image":
    """Return a picture on a white page, with margins above and to the left."""
    height, width = picture.shape[:2]
    page = np.full((height + top, width + left, 3), 255, np.uint8)
    page[top:, left:] = picture
    return Image.fromarray(page)


@functools.cache
def _fonts(size: int) -> tuple[Font, ...]:
    """Return the fonts that are here; the last one comes with Pillow."""
    files, found = list(_FILES), list[Font]()
    with contextlib.suppress(ImportError):
        import matplotlib

        files.insert(0, f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf")
    for file in files:
        with contextlib.suppress(OSError, ImportError):  # absent, or no FreeType here
            found.append(ImageFont.truetype(file, size))
    return (*found, ImageFont.load_default(size))


def _runs(text: str, size: int) -> list[tuple[Font, str]]:
    """Return a text in pieces, each with the first font that has its letters.

    Letters that are in no font get the first, which draws boxes.
    """
    found = _fonts(size)

    def font_of(letter: str) -> Font:
        return next((font for font in found if _has(font, letter)), found[0])

    each = itertools.groupby(text, font_of)
    return [(font, "".join(letters)) for font, letters in each]


@functools.lru_cache(4096)
def _has(font: Font, letter: str) -> bool:
    """Return whether a font has a letter."""
    missing, mask = font.getmask(_IN_NO_FONT), font.getmask(letter)
    return letter.isspace() or bytes(mask) != bytes(missing)
