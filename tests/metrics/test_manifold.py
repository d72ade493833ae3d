"""Precision, recall, density, coverage and diversity: brute force, and digits."""

import json

import numpy as np
import pytest

from gen_jax.data import DataConfig, load
from gen_jax.errors import UserError
from gen_jax.metrics import manifold
from gen_jax.metrics.manifold import (
    Classified,
    by_class,
    classified,
    density_coverage,
    diversity,
    precision_recall,
)
from gen_jax.metrics.networks.classifier import Classifier, trained


def column(*numbers):
    return np.array(numbers, np.float32)[:, None]


def brute_force(real, samples, k):
    def inside(point, others):
        for i, center in enumerate(others):
            rest = [np.linalg.norm(center - o) for j, o in enumerate(others) if j != i]
            if np.linalg.norm(point - center) <= sorted(rest)[k - 1]:
                return True
        return False

    precision = np.mean([inside(point, real) for point in samples])
    return precision, np.mean([inside(point, samples) for point in real])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("block", [1000, 7])
def test_precision_and_recall_by_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(manifold, "_BLOCK", block)
    rng = np.random.default_rng(0)
    real = rng.standard_normal((30, 4))
    samples = 0.6 * rng.standard_normal((40, 4)) + 1
    expected = brute_force(real, samples, k)
    assert 0 < expected[1] < expected[0] < 1
    np.testing.assert_allclose(precision_recall(real, samples, k), expected)


def test_closed_cases():
    # Each ball of 0, 1, 2, 10 reaches to its nearest neighbour: radii 1, 1, 1, 8.
    real = column(0, 1, 2, 10)
    # Of the samples -1 is on an edge, -1.1 outside, 18 on an edge, 18.1 outside.
    samples = column(-1, -1.1, 18, 18.1)
    # Their radii are 0.1: 0 and 1 lie in none of their balls.
    np.testing.assert_allclose(precision_recall(real, samples, 1), [0.5, 0])
    assert precision_recall(real, real, 1) == (1, 1)
    assert precision_recall(real, real + 100, 1) == (0, 0)
    # A wide set of samples covers all real points, though few samples are near.
    np.testing.assert_allclose(
        precision_recall(real, column(-50, 5, 60), 1), [1 / 3, 1]
    )


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("block", [1000, 7])
def test_density_and_coverage_by_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(manifold, "_BLOCK", block)
    rng = np.random.default_rng(0)
    real = rng.standard_normal((30, 4))
    samples = 0.6 * rng.standard_normal((40, 4)) + 1
    inside = np.zeros((30, 40), bool)
    for i, center in enumerate(real):
        rest = [np.linalg.norm(center - o) for j, o in enumerate(real) if j != i]
        gaps = [np.linalg.norm(center - point) for point in samples]
        inside[i] = gaps <= np.sort(rest)[k - 1]
    expected = inside.sum() / (k * 40), inside.any(1).mean()
    assert 0 < min(expected) < max(expected) < 1
    np.testing.assert_allclose(density_coverage(real, samples, k), expected)


def test_density_and_coverage_in_closed_cases():
    real = column(0, 1, 2, 10)  # of radii 1, 1, 1, 8
    # In three balls, on the edge of the last one, and in none.
    assert density_coverage(real, column(1, 18, 18.1), 1) == (4 / 3, 1)
    # In the wide ball only.
    assert density_coverage(real, column(5, 6, 7), 1) == (1, 0.25)
    assert density_coverage(real, real + 100, 1) == (0, 0)
    # One real outlier makes all of these samples count as real.
    real = np.concatenate([np.zeros((99, 1)), column(1000)])
    real[:99, 0] = np.arange(99)
    far = np.linspace(200, 900, 50)[:, None]
    assert precision_recall(real, far)[0] == 1
    density, coverage = density_coverage(real, far, 3)
    assert (density, coverage) == (pytest.approx(1 / 3), 0.01)


def test_density_and_coverage_of_equal_distributions():
    """They are 1, and the coverage that Naeem et al. derive."""
    m, n, k = 60, 40, 3
    both = (np.random.default_rng(i).standard_normal((m + n, 2)) for i in range(500))
    found = [density_coverage(x[:m], x[m:], k) for x in both]
    missed = np.prod([(m - i) / (m + n - i) for i in range(1, k + 1)])
    error = np.std(found, axis=0) / 500**0.5
    assert (np.abs(np.mean(found, 0) - [1, 1 - missed]) < 3 * error).all()
    assert (error < 0.01).all()


def test_diversity_in_closed_cases():
    real = column(0, 1, 3)  # distances 1, 2, 3
    assert diversity(real, real) == 1
    assert diversity(real, 5 * real + 7) == pytest.approx(5)
    assert diversity(real, column(4, 4, 4, 4)) == 0
    # Of ten points, each twice, 1 pair in 19 consists of equal points.
    ten = np.random.default_rng(0).standard_normal((10, 3))
    assert diversity(ten, np.concatenate([ten, ten])) == pytest.approx(18 / 19)


def test_repeated_points_cover_only_themselves():
    real = np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)
    few = np.repeat(real[:10], 10, axis=0)
    assert precision_recall(real, few) == (1, 0.1)


def test_undefined_numbers_are_refused():
    three, four = column(0, 1, 2), column(0, 1, 2, 3)
    for call, said in [
        (lambda: precision_recall(four, three), "3 are sampled"),
        (lambda: precision_recall(three, four), "3 are real"),
        (lambda: precision_recall(four, four, 0), "k=0"),
        (lambda: precision_recall(four, np.zeros((4, 2))), r"\[4, 1\] with \[4, 2\]"),
        (
            lambda: precision_recall(four, four / 0),
            "sampled images contain NaN or infinity",
        ),
        (lambda: density_coverage(four, three, 4), "k=4 .* 4 are real"),
        (lambda: density_coverage(four, three[:0], 1), r"not \[4, 1\] with \[0, 1\]"),
        (lambda: diversity(four, four[:1]), "1 sampled"),
        (lambda: diversity(four * 0, four), "all 4 real images are equal"),
    ]:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            call()


def made_up_classifier():
    """A classifier by the sign of a point, whose feature is the point."""
    return Classifier(
        lambda x: np.stack([x[:, 0] < 0, x[:, 0] >= 0], 1).astype(np.float32),
        lambda x: x,
        1.0,
        0,
        "",
    )


def test_each_class_is_measured_alone():
    real = column(*range(-10, 10))
    labels = np.repeat([0, 1], 10)
    samples = column(*range(-10, -5), *range(-4, 6))  # four of class 1 are negative
    asked = np.repeat([0, 1], [5, 10])
    of_real = classified(made_up_classifier(), real, labels)
    of_samples = classified(made_up_classifier(), samples, asked)
    out = by_class(of_samples, of_real, k=1)
    assert list(out) == ["mean", "0", "1"]
    assert out["0"]["label_accuracy"] == 1
    assert out["1"]["label_accuracy"] == 0.6
    assert out["mean"]["label_accuracy"] == 0.8
    assert out["mean"]["real_label_accuracy"] == 1
    # Class 0: -10, -8 .. -2 against five neighbouring numbers, and against -9 .. -1.
    reference = real[:10:2]
    assert out["0"]["recall"] == precision_recall(reference, samples[:5], 1)[1] == 0.6
    assert out["0"]["diversity"] == pytest.approx(0.5)
    assert out["0"]["real_recall"] == out["0"]["real_diversity"] == 1
    assert json.loads(json.dumps(out)) == out
    squares = (j._replace(features=j.features**2) for j in (of_samples, of_real))
    squares = by_class(*squares, k=1)
    assert squares["0"]["label_accuracy"] == 1
    expected = diversity(np.square(reference), np.square(samples[:5]))
    assert squares["0"]["diversity"] == expected != out["0"]["diversity"]
    with pytest.raises(UserError, match=r"class 0: .* k=5 .* 5 are"):
        by_class(of_samples, of_real, k=5)
    with pytest.raises(UserError, match="no samples"):
        by_class(Classified(*(part[:0] for part in of_samples)), of_real)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Real digits of both splits as (x, y), and a newly trained classifier."""
    data = load(DataConfig("digits"))
    splits = (split.read(np.arange(len(split))) for split in (data.train, data.test))
    train, test = ((b["x"].astype(np.float32) / 127.5 - 1, b["y"]) for b in splits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return train, test, trained(data)


def test_the_classifier_of_digits_is_right(digits):
    _, (x, y), classifier = digits
    p = classifier.probabilities(x)
    assert classifier.num_test == len(x) == 160
    assert classifier.accuracy == np.mean(p.argmax(1) == y) >= 0.98
    sure = p.max(1) > 0.8
    assert np.mean(sure) > 0.9
    assert np.mean(p.argmax(1)[sure] == y[sure]) > 0.98


def test_the_classifier_of_digits_is_unsure_of_other_images(digits):
    _, (x, y), classifier = digits
    rng = np.random.default_rng(0)
    noise = classifier.probabilities(rng.uniform(-1, 1, x.shape).astype(np.float32))
    assert np.mean(noise.max(1) > 0.8) < 0.02
    other = rng.permutation(len(x))
    differ = y != y[other]
    both = classifier.probabilities((x + x[other])[differ] / 2)
    assert np.mean(both.max(1) > 0.8) < 0.25


@pytest.mark.parametrize("images", [1, 10])
def test_memorized_digits_fail(digits, images):
    """A few training images of each class are repeated until there are 80."""
    (x, y), _, classifier = digits
    chosen = np.concatenate([np.flatnonzero(y == k)[:images] for k in range(10)])
    chosen = np.repeat(chosen, 80 // images)
    mean = by_class(
        classified(classifier, x[chosen], y[chosen]), classified(classifier, x, y)
    )["mean"]
    assert mean["label_accuracy"] >= 0.98
    assert mean["precision"] >= 0.9
    assert mean["real_recall"] > 0.8
    assert mean["recall"] < 0.15
    assert mean["diversity"] < (0.01 if images == 1 else 0.95)


def test_held_out_digits_pass(digits):
    train, test, classifier = digits
    mean = by_class(classified(classifier, *test), classified(classifier, *train))[
        "mean"
    ]
    assert mean["label_accuracy"] == pytest.approx(classifier.accuracy, abs=0.01)
    for name in ("precision", "recall", "diversity"):
        assert mean[name] > 0.9 * mean[f"real_{name}"]
