"""Measures of models whose samples are real images, copies or of one class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gen_jax import images
from gen_jax.errors import UserError
from gen_jax.evaluation import (
    bounds,
    by_class,
    distances,
    paired_images,
)
from gen_jax.evaluation.preset import QUICK
from gen_jax.evaluation.request import Evaluation
from gen_jax.metrics.intervals import jackknife_interval
from gen_jax.metrics.manifold import Classified
from gen_jax.metrics.networks.classifier import Classifier
from tests.evaluation.hand_made import draws, evaluation_of, game_of, on_pixels


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """All training digits [1637, 8, 8, 1] in [-1, 1], and their labels."""
    folder = tmp_path_factory.mktemp("real")
    return evaluation_of(folder, draws(np.zeros(1))).real(5000, "train")


def measured(tmp_path, pool, number=150):
    quick = QUICK._replace(samples=number, pairwise=number)
    this = on_pixels(tmp_path, pool, quick)
    return distances.on_network(this, this.networks[0]).values


def test_real_images_reach_the_baseline_and_one_class_does_not(tmp_path, real):
    x, y = real
    perfect = measured(tmp_path / "a", x)
    zeros = measured(tmp_path / "b", x[y == 0])
    for name in ("frechet_distance", "kernel_distance"):
        value = perfect[name]
        assert value.low < value.real_baseline < value.high
        assert zeros[name].low > perfect[name].high
    assert perfect["recall"].value == pytest.approx(
        perfect["recall"].real_baseline, abs=0.1
    )
    assert zeros["recall"].value < 0.3
    assert zeros["coverage"].value < 0.2


def test_a_model_that_memorized_is_detected(tmp_path, real):
    x, _ = real
    quick = QUICK._replace(samples=200, pairwise=200)
    this = on_pixels(tmp_path, x, quick)
    result = distances.copies(this)
    assert result.values["memorized"].value == 1
    assert 0.2 < result.values["memorized"].real_baseline < 0.8
    assert result.pictures["nearest"].ndim == 3


def test_only_copies_detects_a_model_that_repeats_the_training_set(tmp_path):
    """Its recall is that of real images."""

    def sample(players, keys, y):
        pick = jax.vmap(lambda key, end: jax.random.randint(key, (), 0, end))
        return ordered[first[y] + pick(keys, count[y])]

    game = game_of({"sample": sample}, num_classes=10)
    this = evaluation_of(tmp_path, game)
    train, labels = this.real(10_000, "train")
    ordered, count = jnp.asarray(train[labels.argsort()]), np.bincount(labels)
    first, count = map(jnp.asarray, (count.cumsum() - count, count))
    pixels = Classifier(
        lambda x: np.eye(10)[[0] * len(x)], lambda x: x.reshape(len(x), -1), 1, 1, ""
    )
    vars(this)["classifier"] = pixels
    found, memorized = by_class.by_class(this), distances.copies(this)
    recall = found.values["recall"]
    assert recall.value > 0.9 * recall.real_baseline
    assert memorized.values["memorized"].value == 1
    assert 0.2 < memorized.values["memorized"].real_baseline < 0.8
    assert found.context["real"].endswith("training images, half against half by class")
    assert memorized.context["real"] == "1637 training images"


def test_samples_are_computed_once_and_a_damaged_chunk_again(tmp_path, monkeypatch):
    monkeypatch.setattr("gen_jax.evaluation.samples.SIZE", 100)
    pool = np.linspace(-1, 1, 64 * 40, dtype=np.float32).reshape(40, 8, 8, 1)
    quick = QUICK._replace(samples=250)
    this = on_pixels(tmp_path, pool, quick)
    chunks = list(this.samples.chunks())
    assert [len(chunk) for chunk in chunks] == [100, 100, 50]
    assert all(chunk.dtype == np.uint8 for chunk in chunks)
    assert set(np.unique(chunks[0])) <= set(np.unique(images.to_uint8(pool)))
    files = sorted((tmp_path / "evaluation").glob("*samples*.npy"))
    files[1].write_bytes(files[1].read_bytes()[:500])
    before = files[0].stat().st_mtime_ns, files[1].stat().st_mtime_ns
    again = list(this.samples.chunks())
    for a, b in zip(chunks, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert files[0].stat().st_mtime_ns == before[0]
    assert files[1].stat().st_mtime_ns != before[1]
    np.testing.assert_array_equal(this.samples.first(130), np.concatenate(chunks)[:130])
    other = on_pixels(tmp_path, pool, quick, seed=1)
    assert other.samples.key != this.samples.key


@pytest.mark.parametrize(
    "junk", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{'descr': ("]
)
def test_a_chunk_of_junk_is_computed_again(tmp_path, junk):
    pool = np.zeros((1, 8, 8, 1), np.float32)
    quick = QUICK._replace(samples=70)
    this = on_pixels(tmp_path, pool, quick)
    whole = this.samples.first(70)
    [path] = (tmp_path / "evaluation").glob("*samples*.npy")
    path.write_bytes(junk + path.read_bytes()[len(junk) :] if junk else junk)
    np.testing.assert_array_equal(this.samples.first(70), whole)


def test_if_a_pair_is_left_out_other_real_images_stay_in_their_halves():
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat([0, 1, 2], [5, 8, 7]))
    real = Classified(label, label, np.arange(20.0)[:, None])
    paired = by_class._in_pairs(real)
    assert len(paired.label) == 4 + 8 + 6

    def halves(classified):
        """The features of each class's first half in `manifold.by_class`."""
        return {
            x
            for k in range(3)
            for x in classified.features[classified.label == k][::2, 0]
        }

    first = halves(paired)
    pairs = np.arange(len(paired.label)).reshape(-1, 2)
    for left_out in range(len(pairs)):
        rest = by_class._picked(paired, np.delete(pairs, left_out, 0).ravel())
        assert halves(rest) < first


def test_real_images_are_a_random_choice(tmp_path):
    """The points of the ring are stored mode by mode."""
    this = evaluation_of(tmp_path, draws(np.zeros((1, 2))), spec="ring")
    train = this.dataset.train
    labels = train.read(range(len(train)))["y"]
    half, other = np.split(labels[this.reference()], 2)
    assert len(set(this.reference())) == 2000
    assert abs(np.bincount(half) - np.bincount(other)).max() < 60  # 4 sigma of 125
    _, some = this.real(80, "train")
    assert len(set(some)) == 8
    x, y = this.real(80, "train")
    np.testing.assert_array_equal(y, some)  # the same ones again
    assert x.shape == (80, 2)


def linear_gaussian():
    """p(z) = N(0, 1), p(x|z) = N(z, 1) for each pixel, and q(z|x) is the prior."""

    def weights(players, x, keys, y=None):
        z = jax.vmap(lambda key: jax.random.normal(key))(keys)
        residual = x.reshape(len(x), -1) - z[:, None]
        return -0.5 * jnp.sum(residual**2 + jnp.log(2 * jnp.pi), axis=1)

    def encode(players, x, keys=None, y=None):
        first = x.reshape(len(x), -1)[:, :1]
        return jnp.concatenate([first * 0, x.reshape(len(x), -1)[:, 20:22]], axis=1)

    return {"importance_weights": weights, "encode": encode}


def test_the_importance_bound_approaches_log_p(tmp_path, monkeypatch):
    """log p(x) = log N(x; 0, I + 11^T); x is 0 except for four pixels."""
    ops = linear_gaussian()
    quick = QUICK._replace(importance_images=5, importance_samples=4000)
    this = evaluation_of(tmp_path, game_of(ops), preset=quick)
    x = np.zeros((5, 2, 2, 1), np.float32)
    x[:] = np.linspace(-1, 1, 5).reshape(5, 1, 1, 1)
    monkeypatch.setattr(Evaluation, "real", lambda *_: (_padded(x), np.zeros(5, int)))
    result = bounds.importance_bound(this)
    gaussian = scipy.stats.multivariate_normal(
        np.zeros(36), np.eye(36) + np.ones((36, 36))
    )
    expected = gaussian.logpdf(_padded(x).reshape(5, -1)).mean()
    assert result.values["test_importance_bound"].value == pytest.approx(
        expected, abs=0.05
    )
    assert result.values["units"].value == 3
    assert result.values["active_units"].value == 1


def test_trees_also_get_scores_of_their_branches(tmp_path, monkeypatch):
    """An all-black translation has every branch, and joins all of them."""

    def no_weights(net):
        raise UserError("LPIPS is left out")

    monkeypatch.setattr("gen_jax.evaluation.paired_images.lpips", no_weights)
    game = game_of({"translate": lambda players, x, keys: -jnp.ones((*x.shape[:3], 1))})
    quick = QUICK._replace(bound_images=3)
    values = paired_images.translation(
        evaluation_of(tmp_path, game, preset=quick, spec="branches")
    ).values
    assert values["hidden_recall"].value == values["joined"].value == 1
    assert values["hidden_iou"].value < 0.3
    assert values["joined_f1"].value < 0.1
    assert values["joined_f1"].low <= values["joined_f1"].value


def _padded(x):
    """Pad x [5, 2, 2, 1] with zeros to [5, 6, 6, 1]; so one of three codes varies."""
    return np.pad(x, ((0, 0), (3, 1), (3, 1), (0, 0)))


def test_the_jackknife_contains_the_difference_of_means_in_95_percent():
    """The difference between means of 40 and 60 normal numbers is 0."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        a, b = rng.normal(size=40), 2 * rng.normal(size=60)
        _, low, high = jackknife_interval(lambda a, b: a.mean() - b.mean(), a, b)
        inside += low <= 0 <= high
    assert inside / 400 == pytest.approx(0.95, abs=0.035)


def test_the_jackknife_takes_several_numbers_at_once():
    a = np.random.default_rng(0).normal(size=50)
    both = jackknife_interval(lambda a: (a.mean(), (a**2).mean()), a)
    second = jackknife_interval(lambda a: (a**2).mean(), a)
    np.testing.assert_allclose([x[1] for x in both], second)
    with pytest.raises(UserError, match="as many examples as groups"):
        jackknife_interval(np.mean, a[:5])
