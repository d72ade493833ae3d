"""Pictures of samples: grids of images, scatter plots of points, PNG and GIF files.

Small images are enlarged with nearest neighbour and separated by gaps, since 8x8 digits
that touch each other cannot be read.
"""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gen_jax.errors import UserError
from gen_jax.files import written_whole

_GAP = 128  # grey contrasts with black and with white images


def to_uint8(x: np.ndarray) -> np.ndarray:
    """Convert images of any shape from [-1, 1] to uint8, rounded and clipped.

    uint8 is returned unchanged; `from_uint8` is the inverse. NaN becomes 0, so that a
    run that diverged can still show its samples.
    """
    x = np.asarray(x)
    if x.dtype == np.uint8:
        return x
    x = np.nan_to_num(x.astype(np.float32), nan=-1.0, posinf=1.0, neginf=-1.0)
    return np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8)


def from_uint8(x: np.ndarray) -> np.ndarray:
    """Convert uint8 images of any shape to float32 in [-1, 1].

    Any other type is returned unchanged, such as points or images that are converted.
    """
    return x.astype(np.float32) / 127.5 - 1 if x.dtype == np.uint8 else x


def grid(x: np.ndarray, columns: int | None = None, min_side: int = 512) -> np.ndarray:
    """Arrange images [N, H, W, C] in one picture, uint8 [H', W', 1 or 3].

    x: images in [-1, 1] or uint8. With two channels the first is shown, with four or
        more the first three, as RGB.
    columns: images in a row; None for a picture that is about square.
    min_side: minimum side of the picture in pixels. The picture is enlarged by a whole
        factor until both sides reach it.

    Raises ValueError for another shape, or if there are no images.
    """
    x = to_uint8(x)
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(
            f"a grid needs images [N, H, W, C], N at least 1, not {list(x.shape)}"
        )
    x = x[..., : 1 if x.shape[-1] < 3 else 3]
    number, height, width, channels = x.shape
    gap = max(1, height // 16)
    if columns is None:
        columns = math.ceil(math.sqrt(number * height / width))
    columns = max(1, min(columns, number))
    rows = math.ceil(number / columns)
    tiles = np.full(
        (rows * columns, height + gap, width + gap, channels), _GAP, np.uint8
    )
    tiles[:number, :height, :width] = x
    picture = (
        tiles.reshape(rows, columns, height + gap, width + gap, channels)
        .swapaxes(1, 2)
        .reshape(rows * (height + gap), columns * (width + gap), channels)
    )
    picture = np.pad(picture, ((gap, 0), (gap, 0), (0, 0)), constant_values=_GAP)
    factor = math.ceil(min_side / min(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def side_by_side(*columns: np.ndarray, per_row: int = 2) -> np.ndarray:
    """Arrange the images [N, H, W, C_i] of several columns next to each other.

    per_row: number of examples in a row.

    Returns one picture, uint8 [H', W', 1 or 3]. Grey columns become RGB if any column
    is RGB.
    """
    shown = [to_uint8(x) for x in columns]
    shown = [x[..., : 1 if x.shape[-1] < 3 else 3] for x in shown]
    channels = max(x.shape[-1] for x in shown)
    shown = [np.broadcast_to(x, (*x.shape[:3], channels)) for x in shown]
    together = np.stack(shown, axis=1).reshape(-1, *shown[0].shape[1:])
    return grid(together, columns=per_row * len(shown))


def scatter(points: np.ndarray, limit: float = 1.5, side: int = 512) -> np.ndarray:
    """Draw points [N, 2] in [-limit, limit]^2 as a picture, uint8 [side, side, 3].

    x runs to the right and y upwards; the range is written in the corner. Overlapping
    points make darker ink. Points outside are drawn at the frame, and points that are
    not finite are left out.

    Raises ValueError if the points have another shape.
    """
    points = np.asarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(
            f"an array of shape {list(points.shape)} does not make a scatter plot: "
            "give points [N, 2]"
        )
    points = points[np.isfinite(points).all(axis=1)].clip(-limit, limit)
    radius = max(1, side // 170)
    margin = radius + 2  # a point on the frame is drawn whole
    scale = (side - 1 - 2 * margin) / (2 * limit)
    centre = np.rint((points * (1, -1) + limit) * scale).astype(int) + margin

    ink = np.zeros((side, side), np.float32)
    for dx in range(-radius, radius + 1):
        for dy in range(-radius, radius + 1):
            if dx**2 + dy**2 <= radius**2:
                np.add.at(ink, (centre[:, 1] + dy, centre[:, 0] + dx), 1)
    paper, blue = np.full(3, 255.0), np.array([20.0, 60.0, 140.0])
    picture = blue + (paper - blue) * np.exp(-0.6 * ink)[..., None]
    picture[[0, -1]] = picture[:, [0, -1]] = _GAP
    return _labelled(
        np.rint(picture).astype(np.uint8), f"x, y in [-{limit:g}, {limit:g}]"
    )


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    """Return the picture with a line of small text in its upper left corner."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    ImageDraw.Draw(image).text((8, 6), text, fill=(90, 90, 90))
    return np.asarray(image)


def picture(x: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Draw samples as a picture, uint8 [H, W, 1 or 3]: a grid or a scatter plot.

    x: images [N, H, W, C] in [-1, 1], or points [N, 2].
    columns: images in a row of the grid; None for a square picture.

    Raises UserError for any other shape.
    """
    check_picture(np.shape(x))
    return grid(x, columns) if np.ndim(x) == 4 else scatter(x)


def check_picture(shape: tuple[int, ...]) -> None:
    """Raise UserError unless `shape` is one of images or points that can be drawn."""
    if len(shape) != 4 and (len(shape), *shape[1:]) != (2, 2):
        raise UserError(
            f"samples of the shape {list(shape)} cannot be drawn: give images [N, H, "
            "W, C] or points [N, 2]"
        )


def encode_png(x: np.ndarray) -> bytes:
    """Encode a picture, uint8 [H, W, 1 or 3], as the bytes of a PNG file."""
    from PIL import Image

    png = io.BytesIO()
    Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x).save(png, "PNG")
    return png.getvalue()


def titled_row(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """Arrange pictures with their titles next to each other, uint8 [H, W, 3] on white.

    pictures: title -> uint8 [H_i, W_i, 1 or 3]; aligned at the top.
    """
    title, gap = 24, 16  # pixels
    height = title + max(len(picture) for picture in pictures.values())
    columns = []
    for text, picture in pictures.items():
        column = np.full((height, picture.shape[1] + gap, 3), 255, np.uint8)
        column[title : title + len(picture), : picture.shape[1]] = _rgb(picture)
        columns.append(_labelled(column, text))
    return np.concatenate(columns, axis=1)


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.broadcast_to(picture, (*picture.shape[:2], 3))


def save_png(path: str | os.PathLike, x: np.ndarray) -> None:
    """Write a picture, uint8 [H, W, 1 or 3], to `path`, completely or not at all.

    Makes the folder if it is missing. Raises OSError if that, or writing, fails.
    """
    _save(Path(path), encode_png(x))


def save_gif(path: str | os.PathLike, frames: Sequence[np.ndarray]) -> None:
    """Write pictures of one size, uint8 [H, W, 1 or 3], to `path` as a GIF that loops.

    The last picture stays for 1.6 seconds, the others for 0.4.
    """
    from PIL import Image

    first, *rest = (Image.fromarray(_rgb(frame)) for frame in frames)
    gif = io.BytesIO()
    first.save(
        gif,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=[400] * len(rest) + [1600],
        loop=0,
        optimize=False,
    )
    _save(Path(path), gif.getvalue())


def _save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content)
