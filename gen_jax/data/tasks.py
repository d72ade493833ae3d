"""Pairs from single images: the target is the image, the input is made from it.

An input is a function of its own image's pixels alone, computed on each reading. It
depends neither on the order nor on other images.
"""

import numpy as np

from gen_jax.data.dataset import Batch, Changed, DataConfig, Dataset, Info
from gen_jax.errors import UserError

_FACTOR = 2  # of low_resolution


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


def described_with_task(info: Info, config: DataConfig) -> Info:
    """Return the facts about the pairs that config.task makes; pairs stay as they are.

    Raises UserError if the examples are points, or images that do not suit the task.
    """
    if not config.task or info.target_shape:
        return info
    _check(info, config)
    return Info(info.shape, 0, info.shape)


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
    train, test = Changed(dataset.train, _pairs), Changed(dataset.test, _pairs)
    return dataset._replace(info=info, train=train, test=test, measures=())


def _pairs(batch: Batch) -> Batch:
    """Return images [B, H, W, C] as targets y, and the inputs x made of them."""
    return {"x": low_resolution(batch["x"]), "y": batch["x"]}


def _check(info: Info, config: DataConfig) -> None:
    task = f"--config.data.task={config.task}"
    if len(info.shape) != 3:
        raise UserError(f"{config.spec} holds points, {task} takes images")
    if config.value_range:
        raise UserError(
            f"{task} takes images of 8 bits: set --config.data.value_range=()"
        )
    height, width, _ = info.shape
    if height % _FACTOR or width % _FACTOR:
        raise UserError(
            f"{config.spec} holds images of {height}x{width}, {task} takes even sides: "
            "set --config.data.image_size"
        )
