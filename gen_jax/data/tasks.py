"""Pairs made of any images: the target is the image, the input is made of it.

An input is a function of its own image's pixels alone, made anew on each reading; it
depends neither on the order nor on other images.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from gen_jax.data.dataset import (
    Batch,
    DataConfig,
    Dataset,
    Indices,
    Info,
    Source,
    Split,
    digest,
)
from gen_jax.errors import UserError

_FACTOR = 2  # by which low_resolution reduces
_HOLE = 128  # the grey of a hole

Make = Callable[[np.ndarray], np.ndarray]


def low_resolution(images: np.ndarray) -> np.ndarray:
    """Images uint8 [B, H, W, C] at half their resolution, enlarged back in squares.

    Each square of 2x2 pixels becomes its rounded mean; H and W are even.
    """
    count, height, width, channels = images.shape
    squares = images.reshape(
        count, height // _FACTOR, _FACTOR, width // _FACTOR, _FACTOR, channels
    )
    means = np.rint(squares.mean((2, 4))).astype(np.uint8)
    return means.repeat(_FACTOR, 1).repeat(_FACTOR, 2)


def grey(images: np.ndarray) -> np.ndarray:
    """The luma (ITU-R 601) of images uint8 [B, H, W, 1 or 3]: uint8 [B, H, W, 1].

    In integers, as Pillow's convert("L") has it.
    """
    if images.shape[3] == 1:
        return images
    weights = np.array([19595, 38470, 7471], np.uint32)  # of 2^16
    luma = images.astype(np.uint32) @ weights + 2**15 >> 16
    return luma.astype(np.uint8)[..., None]


def edges(images: np.ndarray) -> np.ndarray:
    """Dark lines on white, uint8 [B, H, W, 1], where images [B, H, W, 1 or 3] change.

    255 less half the magnitude of Sobel's gradient of the luma; the border is repeated.
    """
    luma = np.pad(
        grey(images)[..., 0].astype(np.int32), ((0, 0), (1, 1), (1, 1)), "edge"
    )
    rows = luma[:, :-2] + 2 * luma[:, 1:-1] + luma[:, 2:]
    columns = luma[:, :, :-2] + 2 * luma[:, :, 1:-1] + luma[:, :, 2:]
    across = rows[:, :, 2:] - rows[:, :, :-2]
    down = columns[:, 2:] - columns[:, :-2]
    magnitude = np.sqrt(across**2 + down**2, dtype=np.float64)
    lines = 255 - np.rint(np.minimum(magnitude / 2, 255))
    return lines.astype(np.uint8)[..., None]


def holes(images: np.ndarray) -> np.ndarray:
    """Images uint8 [B, H, W, C] with a grey square of half their shorter side.

    Its place is drawn from a hash of the image's pixels.
    """
    _, height, width, _ = images.shape
    side = min(height, width) // 2
    out = images.copy()
    for image in out:
        down, across = divmod(digest(image.tobytes()), width - side + 1)
        top, left = down % (height - side + 1), across
        image[top : top + side, left : left + side] = _HOLE
    return out


_TASKS: dict[str, Make] = {
    "low_resolution": low_resolution,
    "edges": edges,
    "grey": grey,
    "holes": holes,
}


def with_task(source: Source, config: DataConfig) -> Source:
    """The images y of a source, paired with x made of them as config.task says.

    What holds pairs already is left as it is. Raises UserError where the source holds
    points, or images that do not fit.
    """
    if not config.task or source.info.target_shape:
        return source
    _check(source.info, config)
    make, shape = _TASKS[config.task], source.info.shape
    [made] = make(np.zeros((1, *shape), np.uint8))
    info = Info(made.shape, 0, shape)

    def load() -> Dataset:
        found = source.load()
        splits = _Made(found.train, make), _Made(found.test, make)
        return Dataset(info, *splits, found.digest)

    return Source(info, load)


@dataclasses.dataclass(frozen=True, eq=False)
class _Made:
    """A split of images as pairs."""

    split: Split
    make: Make

    @property
    def in_memory(self) -> bool:
        return self.split.in_memory

    def __len__(self) -> int:
        return len(self.split)

    def read(self, indices: Indices) -> Batch:
        images = self.split.read(indices)["x"]
        return {"x": self.make(images), "y": images}


def _check(info: Info, config: DataConfig) -> None:
    task = f"--config.data.task={config.task}"
    if len(info.shape) != 3:
        raise UserError(f"{config.spec} holds points, {task} takes images")
    height, width, channels = info.shape
    if config.task == "low_resolution" and (height % _FACTOR or width % _FACTOR):
        raise UserError(
            f"{config.spec} holds images of {height}x{width}, {task} takes even sides: "
            "set --config.data.image_size"
        )
    if config.task == "holes" and min(height, width) < 2:
        raise UserError(
            f"{config.spec} holds images of {height}x{width}, too small for {task}"
        )
    allowed = {"edges": (1, 3), "grey": (3,)}.get(config.task, (channels,))
    if channels not in allowed:
        raise UserError(
            f"{config.spec} holds images of {channels} channels, {task} takes "
            f"{' or '.join(map(str, allowed))}"
        )
