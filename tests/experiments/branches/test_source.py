"""Procedural trees: their inputs, and the meaning of their masks."""

import numpy as np
import pytest
import scipy.ndimage

from experiments.branches import source as branches
from gen_jax.data import DataConfig, Info, batches, describe, load
from gen_jax.errors import UserError

EIGHT = np.ones((3, 3), int)


@pytest.fixture(scope="module")
def trees():
    """Thirty-two held-out trees in leaf and bare."""
    batch = load(DataConfig("branches")).test.read(range(32))
    return batch["x"], batch["y"]


def hidden_mask(x, y):
    """The branches of y that leaves of x hide, bool [N, H, W]."""
    return branches.branch_mask(y) & branches.leaf_mask(x)


def test_trees_are_pairs():
    config = DataConfig("branches")
    dataset = load(config)
    assert describe(config) == dataset.info == Info((64, 64, 3), 0, (64, 64, 1))
    assert (len(dataset.train), len(dataset.test)) == (2000, 200)
    batch = next(batches(dataset.train, 3, seed=0)(0))
    assert {k: (v.dtype, v.shape) for k, v in batch.items()} == {
        "x": (np.uint8, (3, 64, 64, 3)),
        "y": (np.uint8, (3, 64, 64, 1)),
    }


def test_a_tree_is_a_function_of_split_and_index(trees):
    x, y = trees
    for memory_gib in (0.0, 4.0):
        test = load(DataConfig("branches", memory_gib=memory_gib)).test
        assert test.in_memory == bool(memory_gib)
        for _ in range(2):  # drawn, then perhaps kept
            batch = test.read([5, 3, 5])
            np.testing.assert_array_equal(batch["x"], x[[5, 3, 5]])
            np.testing.assert_array_equal(batch["y"], y[[5, 3, 5]])
            batch["x"][:] = batch["y"][:] = 0  # it is the reader's own
    train = load(DataConfig("branches")).train.read(range(32))["y"]
    different = {tree.tobytes() for tree in [*y, *train]}
    assert len(different) == 64


def test_a_tree_is_the_same_at_every_size():
    config = DataConfig("branches", image_size=128)
    assert describe(config).shape == (128, 128, 3)
    large = load(config).test.read([0, 1])
    small = load(DataConfig("branches")).test.read([0, 1])
    for side, limit in ("x", 12), ("y", 8):
        count, _, _, channels = large[side].shape
        reduced = large[side].reshape(count, 64, 2, 64, 2, channels).mean((2, 4))
        difference = np.abs(reduced - small[side].astype(float)).mean()
        assert difference < limit


@pytest.mark.parametrize("size", [8, 63, 68, 264, "64x128"])
def test_other_sizes_and_channels_are_refused(size):
    with pytest.raises(UserError, match=f"image_size is {size}; allowed: multiples"):
        describe(DataConfig("branches", image_size=size))
    with pytest.raises(UserError, match="channels must be 0"):
        describe(DataConfig("branches", channels=1))


def test_leaves_hide_about_half_of_the_branches(trees):
    x, y = trees
    hidden, branch = hidden_mask(x, y), branches.branch_mask(y)
    fraction = hidden.sum((1, 2)) / branch.sum((1, 2))
    assert 0.45 < fraction.mean() < 0.58
    assert (fraction > 0.33).all()
    assert (fraction < 0.70).all()


def test_the_masks_agree_with_each_other(trees):
    x, y = trees
    branch, leaf = branches.branch_mask(y), branches.leaf_mask(x)
    shown, hidden = branches.shown_mask(x), hidden_mask(x, y)
    assert not (shown & leaf).any()
    assert not (hidden & ~branch).any()
    # Copying the input finds true branches, and none of the hidden ones.
    assert not (shown & hidden).any()
    assert (shown & ~branch).sum() < 0.03 * branch.sum()
    assert (branch & ~shown & ~hidden).sum() < 0.03 * branch.sum()


def test_masks_take_bytes_and_numbers_from_minus_one_to_one(trees):
    x, y = (side / np.float32(127.5) - 1 for side in trees)
    for ours in (branches.leaf_mask, branches.shown_mask):
        np.testing.assert_array_equal(ours(x), ours(trees[0]))
    np.testing.assert_array_equal(hidden_mask(x, y), hidden_mask(*trees))
    colours = np.uint8([[[[90, 60, 40], [60, 140, 45], [190, 210, 235]]]])
    np.testing.assert_array_equal(branches.shown_mask(colours), [[[1, 0, 0]]])
    np.testing.assert_array_equal(branches.leaf_mask(colours), [[[0, 1, 0]]])
    greys = np.uint8([[[[0], [127], [128], [255]]]])
    np.testing.assert_array_equal(branches.branch_mask(greys), [[[1, 1, 0, 0]]])


def test_bare_branches_are_a_tree_that_stands_on_the_ground(trees):
    branch = branches.branch_mask(trees[1])
    pieces = [scipy.ndimage.label(tree, EIGHT)[1] for tree in branch]
    assert np.mean(np.equal(pieces, 1)) > 0.9
    assert branch[:, -1].any(1).all()
    assert 0.05 < branch.mean() < 0.2
    # The crown is wider than the trunk, and lies above it.
    widths = branch.any(1).sum(1), branch[:, -8:].any(1).sum(1)
    assert (widths[0] > 2 * widths[1]).all()
