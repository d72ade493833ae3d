"""FID's Inception compared with plain PyTorch, and the files of its weights.

PyTorch's results are stored (`tests/vectors/make_inception.py`). They are computed
again if PyTorch is installed. The published weights are in no package. So their files
are made here of random weights, in both layouts, and read without a check of sha256.
"""

import functools
import hashlib
import io
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vectors import torch_files, torch_layout

from gen_jax import devices
from gen_jax.errors import UserError
from gen_jax.metrics.networks import inception, inception_weights

NO_TORCH = "PyTorch is not installed: pip install torch==2.13.0 repeats the comparison"
LAYERS = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1"]
LAYERS += ["Conv2d_4a_3x3", *(f"Mixed_5{c}" for c in "bcd")]
LAYERS += [*(f"Mixed_6{c}" for c in "abcde"), *(f"Mixed_7{c}" for c in "abc")]


@pytest.fixture(autouse=True)
def _full_precision():
    """As in `features.inception`; otherwise a GPU would round to 10 bits."""
    with jax.default_matmul_precision("highest"):
        yield


@functools.cache
def stored():
    """PyTorch's results."""
    with np.load(Path(torch_layout.__file__).with_name("inception.npz")) as arrays:
        return dict(arrays)


@functools.cache
def drawn():
    """The random weights by PyTorch's names."""
    layout = torch_layout.read_layout(stored()["layout"])
    return torch_layout.draw_deep(layout, int(stored()["seed"]))


@functools.cache
def weights():
    """The same as our network takes them, through PyTorch's file."""
    return from_torch(torch_files.streamed(drawn()))


def from_torch(content, sha256=""):
    """The weights in PyTorch's file, whose sha256 is not checked."""
    return inception_weights._weights(inception_weights._from_torch(content), sha256)


def from_flax(content, sha256=""):
    """The weights in jax-fid's file, whose sha256 is not checked."""
    return inception_weights._weights(inception_weights._from_flax(content), sha256)


def as_jax_fid(arrays):
    """The weights in the layout of jax-fid's file."""
    tree = {}
    for name, array in arrays.items():
        *layers, kind = name.split(".")
        place = tree
        for layer in layers:
            place = place.setdefault(layer, {})
        if kind == "weight" and array.ndim > 1:
            kind = "kernel"
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        renamed = {"weight": "scale", "running_mean": "mean", "running_var": "var"}
        place[renamed.get(kind, kind)] = array
    return tree


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_agrees_with_pytorch(layer):
    x = maps()[layer]
    mean, corner = stored()[f"mean_{layer}"], stored()[f"corner_{layer}"]
    assert corner.std() > 0.3
    np.testing.assert_allclose(x.mean((1, 2)), mean, atol=3e-5, rtol=0)
    np.testing.assert_allclose(x[:, -1, 0, ::4], corner, atol=3e-5, rtol=0)


@functools.cache
def maps():
    """Our layers' maps of the image that is not resized."""
    capture = functools.partial(
        inception.Inception().apply,
        capture_intermediates=lambda module, _: module.name in LAYERS,
        mutable=["intermediates"],
    )
    x = (stored()["image_large"].astype(np.float32) - 128) / 128
    features, found = devices.jit(capture)(weights().variables, x)
    found = {k: np.asarray(x["__call__"][0]) for k, x in found["intermediates"].items()}
    np.testing.assert_allclose(features, found["Mixed_7c"].mean((1, 2)), atol=1e-5)
    return found


@pytest.mark.parametrize("name", ["grey", "colour"])
def test_features_of_images_agree_with_pytorch(name):
    x = stored()[f"image_{name}"]
    features = devices.jit(
        lambda v, x: inception.Inception().apply(v, inception.preprocessed(x))
    )(weights().variables, x)
    assert features.dtype == jnp.float32
    close = functools.partial(np.testing.assert_allclose, atol=1e-4, rtol=0)
    close(features, stored()[f"features_{name}"])
    close(features @ weights().head, stored()[f"logits_{name}"])


def test_the_stored_vectors_are_those_of_the_script():
    pytest.importorskip("torch", reason=NO_TORCH)
    from vectors import make_inception

    torch_layout.check_same(stored(), make_inception.vectors())


@pytest.mark.parametrize(
    ("height", "width"), [(8, 8), (28, 41), (299, 299), (310, 512)]
)
def test_resizing_is_tensorflows(height, width):
    """Pixel by pixel, from where i * before / after lies."""
    side = 299
    x = np.random.RandomState(0).uniform(0, 255, (1, height, width, 2))
    expected = np.empty((1, side, side, 2))
    for i in range(side):
        for j in range(side):
            (k, s), (m, t) = divmod(i * height / side, 1), divmod(j * width / side, 1)
            k, m = int(k), int(m)
            below, right = min(k + 1, height - 1), min(m + 1, width - 1)
            top = (1 - t) * x[0, k, m] + t * x[0, k, right]
            bottom = (1 - t) * x[0, below, m] + t * x[0, below, right]
            expected[0, i, j] = (1 - s) * top + s * bottom
    ours = inception.resized(jnp.asarray(x, jnp.float32), side)
    # A place is a float32: near its whole numbers, steps of 3e-5 of a pixel.
    np.testing.assert_allclose(ours, expected, atol=0.02)


def test_preprocessing_repeats_grey_and_centres():
    x = np.array([0, 128, 255], np.uint8)[:, None, None, None]
    ours = inception.preprocessed(np.broadcast_to(x, (3, 4, 5, 1)))
    assert ours.shape == (3, 299, 299, 3)
    expected = np.array([-1, 0, 127 / 128], np.float32)[:, None, None, None]
    np.testing.assert_array_equal(ours, np.broadcast_to(expected, ours.shape))


def arrays_as_pytorch_counts():
    """The weights with the counts of batches that trained BatchNorms have."""
    counts = {
        name.replace("running_mean", "num_batches_tracked"): np.array(7, np.int64)
        for name in drawn()
        if name.endswith("running_mean")
    }
    return drawn() | counts


def parameters():
    """PyTorch's file of trainable tensors."""
    return torch_files.streamed(drawn(), torch_files.pickled(drawn(), parameters=True))


def as_pickle(protocol):
    """The file of jax-fid, by a protocol of pickle."""
    return pickle.dumps(as_jax_fid(drawn()), protocol)


def same(found):
    """Compare weights with those of the plain file."""
    jax.tree.map(np.testing.assert_array_equal, found.variables, weights().variables)
    np.testing.assert_array_equal(found.head, drawn()["fc.weight"].T)


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (from_torch, lambda: torch_files.streamed(arrays_as_pytorch_counts())),
        (from_torch, parameters),
        *((from_flax, functools.partial(as_pickle, p)) for p in (3, 4, 5)),
    ],
    ids=["counts", "parameters", "jax3", "jax4", "jax5"],
)
def test_both_layouts_give_the_same_weights(read, content):
    found = read(content(), "its sum")
    assert found.sha256 == "its sum"
    same(found)


def test_the_weights_are_those_that_the_network_has():
    x = jax.ShapeDtypeStruct((1, 75, 75, 3), jnp.float32)
    own = jax.eval_shape(inception.Inception().init, jax.random.key(0), x)
    assert jax.eval_shape(lambda: weights().variables) == own
    head = weights().head
    assert (head.shape, head.dtype) == ((2048, 1008), np.float32)


def test_weights_written_by_pytorch_itself_are_read():
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from vectors import make_inception

    net = make_inception.drawn()
    parameters = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in drawn().items()}
    for state in (net.state_dict(), parameters):
        file = io.BytesIO()
        torch.save(state, file, _use_new_zipfile_serialization=False)
        same(from_torch(file.getvalue()))


def test_the_published_files_are_known_by_their_sha256(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"abc")
    of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    said = rf"weights.pth has sha256 {of_abc}: .*6726825d\.pth \(6726825d.*4e030efa"
    with pytest.raises(UserError, match=said):
        inception_weights.read(path)
    with pytest.raises(UserError, match=r"none\.pth cannot be read: No such file"):
        inception_weights.read(tmp_path / "none.pth")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        inception_weights.read(tmp_path)


def test_a_file_of_a_known_sha256_is_read(tmp_path, monkeypatch):
    content = pickle.dumps(as_jax_fid(drawn()))
    sha256 = hashlib.sha256(content).hexdigest()
    reader = "made here", inception_weights._from_flax
    monkeypatch.setitem(inception_weights._FILES, sha256, reader)
    path = tmp_path / "weights.pickle"
    path.write_bytes(content)
    assert inception_weights.read(path).sha256 == sha256


class _Calls:
    def __reduce__(self):
        return print, ("called",)


def test_a_file_that_calls_something_is_refused(capsys):
    calls = pickle.dumps({"fc.bias": _Calls()}, 2)
    system = b"cos\nsystem\n(Vecho called\ntR."
    for read, content, name in [
        (from_flax, calls, r".*\.print is not a numpy array"),
        (from_torch, torch_files.streamed({}, calls), r".*\.print is not a tensor"),
        (from_flax, system, r"os\.system is not a numpy array"),
        (from_torch, torch_files.streamed({}, system), r"os\.system is not a tensor"),
        (from_torch, system, r"os\.system is not a numpy array"),
    ]:
        with pytest.raises(pickle.UnpicklingError, match=name):
            read(content)
    assert capsys.readouterr().out == ""
