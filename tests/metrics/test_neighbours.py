"""Nearest neighbours and memorized images: brute force, random and planted ones."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gen_jax.errors import UserError
from gen_jax.metrics import neighbours
from gen_jax.metrics.neighbours import memorized, nearest


def uniform(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("k", [1, 4, 40])
@pytest.mark.parametrize("block", [2**23, 60])  # 60 numbers are five rows
def test_by_brute_force(k, block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    points, train = uniform(0, 33, 2, 2, 3), uniform(1, 40, 2, 2, 3)
    place, distance = nearest(points, train, k)
    every = cdist(*(x.reshape(-1, 12).astype(float) for x in (points, train)))
    np.testing.assert_array_equal(place, every.argsort(1)[:, :k])
    np.testing.assert_allclose(distance, np.sort(every, 1)[:, :k], rtol=1e-14)
    assert distance.dtype == np.float64


@pytest.mark.parametrize("block", [2**23, 6])
def test_distances_are_exact(block, monkeypatch):
    """Far from the origin, products of float64 lose all digits of a distance."""
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    train = 1e9 + np.array([[0.0, 0], [1, 0], [0, 2]])
    moved = np.array([[0.25, 0], [0, 0], [0, 0]])
    place, distance = nearest(train + moved, train, 2)
    np.testing.assert_array_equal(place, [[0, 1], [1, 0], [2, 0]])
    np.testing.assert_array_equal(distance, [[0.25, 0.75], [0, 1], [0, 2]])


def test_the_first_of_equals_comes_first():
    train = uniform(0, 10, 7)[[0, 1, 2, 2, 1, 0]]
    place, distance = nearest(train[3:], train, 2)
    np.testing.assert_array_equal(place, [[2, 3], [1, 4], [0, 5]])
    np.testing.assert_array_equal(distance, 0)


def test_uint8_images_equal_those_in_minus_one_to_one():
    train = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), np.uint8)
    x = train[5:8].astype(np.float64) / 127.5 - 1
    for points in (train[5:8], x):
        place, distance = nearest(points, train)
        np.testing.assert_array_equal(place[:, 0], [5, 6, 7])
        np.testing.assert_array_equal(distance, 0)


@pytest.mark.parametrize(("size", "fraction"), [(1, 2 / 3), (2, 0.6215)])
def test_how_many_independent_points_count_as_memorized(size, fraction):
    """By Schilling 2/3 on a line, and 6 pi / (8 pi + 3 sqrt 3) in a plane."""
    train, points = np.random.default_rng(0).uniform(size=(2, 4000, size))
    error = (fraction * (1 - fraction) / len(points)) ** 0.5
    assert memorized(points, train).mean() == pytest.approx(fraction, abs=4 * error)


def test_hubs_are_nearest_to_many():
    """In many dimensions few independent points count as memorized."""
    train, points = np.random.default_rng(0).standard_normal((2, 1000, 200))
    assert memorized(points, train).mean() < 0.2


def test_memorized_by_brute_force():
    train, points = uniform(0, 60, 3), uniform(1, 50, 3)
    every, own = cdist(points, train), cdist(train, train)
    np.fill_diagonal(own, np.inf)
    expected = [row.min() < own[row.argmin()].min() for row in every]
    found = memorized(points, train)
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.sum() < 50


def test_copies_are_found():
    """Training images with a little noise, also if the training set has duplicates."""
    train, held_out = uniform(0, 300, 5), uniform(1, 300, 5)
    copies = train[:200] + 1e-3 * uniform(2, 200, 5)
    of_held_out = memorized(held_out, train)
    assert memorized(copies, train).all()
    assert of_held_out.mean() < 0.75
    again = np.concatenate([train, train[:200]])
    assert memorized(copies, again).all()
    np.testing.assert_array_equal(memorized(held_out, again), of_held_out)
    assert memorized(train, again).all()
    assert not memorized(train + 100, train).any()


def test_bad_input_is_refused():
    x = uniform(0, 5, 3)
    for call, said in [
        (lambda: nearest(x, x[:, :2]), r"\[5, 3\] in \[5, 2\]"),
        (lambda: nearest(x[:0], x), r"\[0, 3\] in \[5, 3\]"),
        (lambda: nearest(x, x[:0]), r"in \[0, 3\]"),
        (lambda: nearest(x, x, 6), "k=6 is invalid for 5 images"),
        (lambda: nearest(x, x, 0), "k=0"),
        (lambda: nearest(x, x / 0), "training images contain NaN or infinity"),
        (lambda: memorized(x, np.repeat(x[:1], 9, axis=0)), "two different training"),
        (lambda: memorized(x, x[:1]), "two different training"),
    ]:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            call()


class Store:
    """Images that are read in parts; remembers the largest part."""

    def __init__(self, x):
        self.x, self.shape, self.largest = x, x.shape, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, places):
        part = self.x[places]
        self.largest = max(self.largest, len(part))
        return part


@pytest.mark.parametrize(("size", "rows"), [(500, 11), (90, 64), (300, 1)])
def test_a_store_is_read_in_blocks_and_gives_the_same(size, rows, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", rows * size)
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (100, size), np.uint8)
    train[70:75] = train[20]  # equal ones count once
    points = np.concatenate([train[18:23], rng.integers(0, 256, (30, size), np.uint8)])
    store = Store(train)
    for a, b in zip(nearest(points, store, 3), nearest(points, train, 3), strict=True):
        np.testing.assert_array_equal(a, b)
    every = cdist(points.astype(float), train.astype(float))
    np.testing.assert_allclose(
        nearest(points, store, 3).distance * 127.5, np.sort(every, 1)[:, :3]
    )
    found = memorized(points, store)
    others = cdist(train.astype(float), train.astype(float))
    others[others == 0] = np.inf
    np.testing.assert_array_equal(found, every.min(1) < others.min(1)[every.argmin(1)])
    assert store.largest <= max(rows, len(points))
