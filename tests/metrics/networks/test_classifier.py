"""The classifier: its accuracy, its cache, and what it refuses."""

import functools
import io

import jax
import numpy as np
import pytest

from gen_jax.data import Dataset, Info, MemorySplit
from gen_jax.errors import UserError
from gen_jax.images import from_uint8
from gen_jax.metrics.networks import classifier, features
from gen_jax.metrics.networks.classifier import Recipe, trained

QUICK = Recipe(hidden=16, epochs=1)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own: the folder of the classifiers in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gen_jax" / "classifiers"


def images(count, shape=(8, 8, 1), num_classes=3, seed=0):
    """Images of noise with one bright half: the left, right or upper one."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % num_classes).astype(np.int32)
    x = rng.integers(0, 100, (count, *shape)).astype(np.uint8)
    halves = np.s_[:, :, : shape[1] // 2], np.s_[:, :, shape[1] // 2 :]
    for label, half in enumerate((*halves, np.s_[:, : shape[0] // 2])):
        x[half] += np.where(y == label, 150, 0).astype(np.uint8)[:, None, None, None]
    return MemorySplit(x, y)


def points(count, seed=0):
    """Three clusters about a centre."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % 3).astype(np.int32)
    mean = np.array([[0.8, 0], [-0.4, 0.7], [-0.4, -0.7]])[y]
    return MemorySplit(
        (mean + 0.05 * rng.standard_normal((count, 2))).astype(np.float32), y
    )


def dataset():
    """Points: nothing else compiles as fast."""
    return Dataset(Info((2,), 3), points(256), points(40, seed=1))


def normalised(split):
    return split.x.astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3)])
def test_any_shape_of_images(shape):
    splits = images(256, shape, 3), images(40, shape, 3, seed=1)
    data = Dataset(Info(shape, 3), *splits)
    classifier = trained(data, recipe=Recipe(width=8, hidden=16, epochs=12))
    x, y = normalised(data.test), data.test.y
    p, features = classifier.probabilities(x), classifier.features(x)
    assert (p.shape, p.dtype) == ((40, 3), np.float32)
    assert (features.shape, features.dtype) == ((40, 16), np.float32)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert classifier.num_test == 40
    assert classifier.accuracy == np.mean(p.argmax(1) == y) >= 0.9
    # One image alone gets the same numbers as among many.
    np.testing.assert_allclose(classifier.probabilities(x[3:4]), p[3:4], atol=1e-5)


def test_points():
    classifier = trained(dataset(), recipe=Recipe(epochs=20))
    assert (classifier.accuracy, classifier.num_test) == (1, 40)
    assert classifier.features(np.zeros((5, 2), np.float32)).shape == (5, 128)


def test_the_same_seed_gives_the_same_classifier_and_another_another(cache):
    x = points(20, seed=2).x
    fitted = trained(dataset(), recipe=QUICK)
    first = fitted.probabilities(x)
    (file,) = cache.iterdir()
    kept = trained(dataset(), recipe=QUICK)  # from the cache
    np.testing.assert_array_equal(kept.probabilities(x), first)
    assert kept.sha256 == fitted.sha256
    assert len(kept.sha256) == 64
    file.unlink()
    np.testing.assert_array_equal(
        trained(dataset(), recipe=QUICK).probabilities(x), first
    )
    assert [file] == list(cache.iterdir())
    other = trained(dataset(), seed=1, recipe=QUICK)
    assert np.abs(other.probabilities(x) - first).max() > 1e-3
    assert other.sha256 != fitted.sha256
    assert len(list(cache.iterdir())) == 2


def test_other_data_is_another_classifier(cache):
    data = dataset()
    trained(data, recipe=QUICK)
    changed = data.train.x.copy()
    changed[0, 0] += 1e-3
    trained(data._replace(train=MemorySplit(changed, data.train.y)), recipe=QUICK)
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_cache_is_made_again(cache, monkeypatch):
    data, fits = dataset(), []

    def fit(game, train, *_):
        fits.append(game)
        return game.players["model"].init(jax.random.key(0), train.read([0]))

    monkeypatch.setattr(classifier, "_fit", fit)
    trained(data, recipe=QUICK)
    (file,) = cache.iterdir()
    good = file.read_bytes()
    middle = len(good) // 2
    wrong = io.BytesIO()
    np.savez(wrong, accuracy=np.float64(1), **{"params/x": np.zeros(3)})
    flipped = bytes([255 - good[middle]])
    for damaged in [
        b"",
        good[:middle],
        good[:middle] + flipped + good[middle + 1 :],
        b"x" * 1000,
        wrong.getvalue(),
    ]:
        file.write_bytes(damaged)
        fits.clear()
        trained(data, recipe=QUICK)
        assert len(fits) == 1
        assert [file] == list(cache.iterdir())
        trained(data, recipe=QUICK)
        assert len(fits) == 1


def test_a_cache_that_cannot_be_written_is_done_without(cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert trained(dataset(), recipe=QUICK).num_test == 40


def test_examples_without_a_label_are_left_out(cache):
    data = dataset()
    y = data.train.y.copy()
    y[::3] = -1
    test = MemorySplit(data.test.x, np.full(40, -1, np.int32))
    classifier = trained(
        Dataset(data.info, MemorySplit(data.train.x, y), test), recipe=QUICK
    )
    assert classifier.num_test == 0
    assert classifier.accuracy is None


def test_data_without_two_classes_are_refused():
    none, one = images(20), images(20)
    none.y[:] = -1
    one.y[:] = 1
    pairs = MemorySplit(one.x, one.x)
    for info, split, said in [
        (Info((8, 8, 1), 0), none, "labels of two classes"),
        (Info((8, 8, 1), 1), one, "labels of two classes"),
        (Info((8, 8, 1), 3), none, "have 0"),
        (Info((8, 8, 1), 3), one, "have 1"),
        (Info((8, 8, 1), 0, (8, 8, 1)), pairs, "images for labels"),
    ]:
        with pytest.raises(UserError, match=said):
            trained(Dataset(info, split, split))


def test_examples_of_another_shape_are_refused():
    classifier = trained(dataset(), recipe=QUICK)
    with pytest.raises(UserError, match=r"\[N, 2\], not \[5, 3\]"):
        classifier.probabilities(np.zeros((5, 3), np.float32))
    with pytest.raises(UserError, match=r"not \[0, 2\]"):
        classifier.features(np.zeros((0, 2), np.float32))


def test_the_classifiers_features_are_its_penultimate_layer(monkeypatch):
    quick = functools.partial(trained, recipe=Recipe(width=4, epochs=1))
    monkeypatch.setattr(features, "trained", quick)
    data = Dataset(Info((8, 8, 1), 3), images(256), images(40, seed=1))
    network, classifier = features.classifier(data), quick(data)
    assert network[:3] == ("classifier", 128, classifier.sha256)
    x = data.test.x
    ours = network.features(x)
    assert ours.shape == (40, 128)
    np.testing.assert_allclose(ours, classifier.features(from_uint8(x)), atol=1e-5)
    with pytest.raises(
        UserError, match=r"takes images \[N, 8, 8, 1\], not \[2, 9, 8, 1\]"
    ):
        network.features(np.zeros((2, 9, 8, 1), np.uint8))
