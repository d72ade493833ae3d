"""Pairs from single images: the target is the image, the input is made from it.

An input is a function of its own image's pixels alone, computed on each reading. It
depends neither on the order nor on other images.
"""

import functools
from collections.abc import Callable

import numpy as np

from gen_jax.data.dataset import (
    Batch,
    Changed,
    DataConfig,
    Dataset,
    Info,
    digest,
)
from gen_jax.errors import UserError

_FACTOR = 2  # of low_resolution
_HOLE = 128  # the grey of a hole

Make = Callable[[np.ndarray], np.ndarray]


def low_resolution(images: np.ndarray) -> np.ndarray:
    """Return images uint8 [B, H, W, C] at half their resolution, enlarged back.

    Each square of 2x2 pixels becomes its rounded mean; H and W are even.
    """
    count, height, width, channels = images.shape
    squares = images.reshape(
        count, height // _FACTOR, _FACTOR, width // _FACTOR, _FACTOR, channels
    )
    means = np.rint(squares.mean((2, 4))).astype(np.uint8)
    return means.repeat(_FACTOR, 1).repeat(_FACTOR, 2)


def grey(images: np.ndarray) -> np.ndarray:
    """Return the luma (ITU-R 601) of images uint8 [B, H, W, 1 or 3]: [B, H, W, 1].

    Computed in integers, with the same result as Pillow's convert("L").
    """
    if images.shape[3] == 1:
        return images
    weights = np.array([19595, 38470, 7471], np.uint32)  # of 2^16
    luma = images.astype(np.uint32) @ weights + 2**15 >> 16
    return luma.astype(np.uint8)[..., None]


def edges(images: np.ndarray) -> np.ndarray:
    """Return dark lines on white, uint8 [B, H, W, 1], at the edges of images.

    images: uint8 [B, H, W, 1 or 3]. A pixel is 255 less half the magnitude of Sobel's
    gradient of the luma; the border is repeated.
    """
    import scipy.ndimage

    luma = grey(images)[..., 0].astype(np.int32)
    # One image at a time: on [B, H, W] the filter would smooth along B too.
    out = np.empty((*luma.shape, 1), np.uint8)
    for image, lines in zip(luma, out[..., 0], strict=True):
        down, across = (scipy.ndimage.sobel(image, i, mode="nearest") for i in (0, 1))
        magnitude = np.sqrt(across**2 + down**2, dtype=np.float64)
        lines[:] = 255 - np.rint(np.minimum(magnitude / 2, 255))
    return out


def holes(images: np.ndarray) -> np.ndarray:
    """Return images uint8 [B, H, W, C] with a grey square of half their shorter side.

    A hash of the image's pixels decides its place.
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


def described_with_task(info: Info, config: DataConfig) -> Info:
    """Return the facts about the pairs that config.task makes; pairs stay as they are.

    Raises UserError if the examples are points, or images that do not suit the task.
    """
    if not config.task or info.target_shape:
        return info
    _check(info, config)
    [made] = _TASKS[config.task](np.zeros((1, *info.shape), np.uint8))
    return Info(made.shape, 0, info.shape)


def loaded_with_task(dataset: Dataset, config: DataConfig) -> Dataset:
    """Return the dataset of the pairs that config.task makes; pairs stay as they are.

    A task that is dropped is told, for a recipe may have one that nobody asked for.

    Raises UserError as `described_with_task`.
    """
    info = described_with_task(dataset.info, config)
    if info is dataset.info:
        task = f"the task {config.task}: these data are pairs already"
        told = (*dataset.left_out, *([task] if config.task else []))
        return dataset._replace(left_out=told)
    change = functools.partial(_pairs, _TASKS[config.task])
    train, test = Changed(dataset.train, change), Changed(dataset.test, change)
    return dataset._replace(info=info, train=train, test=test, measures=())


def _pairs(make: Make, batch: Batch) -> Batch:
    """Return images [B, H, W, C] as targets y, and the inputs x made of them."""
    images = batch["x"]
    return {"x": make(images), "y": images}


def _check(info: Info, config: DataConfig) -> None:
    task = f"--config.data.task={config.task}"
    if len(info.shape) != 3:
        raise UserError(f"{config.spec} holds points, {task} takes images")
    if config.value_range:
        raise UserError(
            f"{task} takes images of 8 bits: set --config.data.value_range=()"
        )
    height, width, channels = info.shape
    if config.task == "low_resolution" and (height % _FACTOR or width % _FACTOR):
        raise UserError(
            f"{config.spec} holds images of {height}x{width}, {task} takes even sides: "
            "set --config.data.image_size"
        )
    if config.task == "holes" and min(height, width) < 2:
        raise UserError(
            f"{config.spec} holds images of {height}x{width}, too small for {task}: it "
            "needs sides of at least 2 pixels; use another dataset or raise "
            "--config.data.image_size"
        )
    allowed = {"edges": (1, 3), "grey": (3,)}.get(config.task, (channels,))
    if channels not in allowed:
        raise UserError(
            f"{config.spec} holds images of {channels} channels, {task} takes "
            f"{' or '.join(map(str, allowed))}"
        )
