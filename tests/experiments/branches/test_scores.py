"""Scores of hidden branches, against hand-drawn masks and brute force."""

import numpy as np
import pytest

from experiments.branches import scores as branch_scores

RNG = np.random.default_rng(0)


def _means(*masks, **options):
    """The mean of each score over the images for which it is defined."""
    found = branch_scores.per_image(*masks, **options)
    defined = {name: scores[~np.isnan(scores)] for name, scores in found.items()}
    return {name: x.mean() if len(x) else np.nan for name, x in defined.items()}


def _drawn(text):
    """A drawing of # and . as a mask: bool [1, H, W]."""
    return np.array([[[c == "#" for c in line] for line in text.split()]])


TREE = _drawn("""
    #......#
    .#....#.
    ..#..#..
    ...##...
    ...##...
    ...##...
    ...##...
    ...##...
""")
GAP = _drawn("""
    #......#
    .#....#.
    .....#..
    ...##...
    ...##...
    ...##...
    ...##...
    ...##...
""")
TOP = _drawn("\n".join(["########"] * 4 + ["........"] * 4))


def test_iou_and_recall_count_hidden_pixels_only():
    # Behind leaves lie the tree's upper eight pixels, of which GAP misses one.
    np.testing.assert_allclose(branch_scores.recall(TREE, GAP, TOP), [7 / 8])
    np.testing.assert_allclose(branch_scores.iou(TREE, GAP, TOP), [7 / 8])
    wrong = GAP.copy()
    wrong[0, 0, 3:5] = True  # two pixels too many behind, one in the open
    wrong[0, 7, 0] = True
    np.testing.assert_allclose(branch_scores.recall(TREE, wrong, TOP), [7 / 8])
    np.testing.assert_allclose(branch_scores.iou(TREE, wrong, TOP), [7 / 10])
    nothing = np.zeros_like(TREE)
    assert np.isnan(branch_scores.recall(TREE, GAP, nothing)).all()
    assert np.isnan(branch_scores.iou(TREE, GAP, nothing)).all()


def test_corners_touch():
    assert branch_scores.count_components(TREE) == [1]
    assert branch_scores.count_components(GAP) == [2]
    assert branch_scores.count_components(np.zeros((2, 8, 8), bool)).tolist() == [0, 0]


def _connected(mask):
    """Places [K, 2] of the pixels of a mask, and which are connected, bool [K, K]."""
    places = np.argwhere(mask)
    connected = np.abs(places[:, None] - places).max(2, initial=0) <= 1
    for _ in range(mask.size.bit_length()):  # paths of twice the length each time
        connected = (connected.astype(int) @ connected) > 0
    return places, connected


def test_components_are_those_of_paths_of_neighbours():
    masks = RNG.random((40, 8, 8)) < np.linspace(0.1, 0.9, 40)[:, None, None]
    ours = branch_scores.components(masks)
    for mask, labels in zip(masks, ours, strict=True):
        places, connected = _connected(mask)
        found = labels[tuple(places.T)]
        np.testing.assert_array_equal(found[:, None] == found, connected)
        assert ((labels > 0) == mask).all()
        count = len(np.unique(connected, axis=0))
        assert branch_scores.count_components(mask[None]) == [count]


def test_a_long_winding_path_is_one_component():
    snake = np.zeros((1, 41, 41), bool)
    snake[:, ::2] = True
    snake[:, 1::4, -1] = snake[:, 3::4, 0] = True
    assert branch_scores.count_components(snake) == [1]
    snake[0, 20, 20] = False
    assert branch_scores.count_components(snake) == [2]


def test_small_components_may_be_left_out():
    mask = _drawn("##..#### .....#.. #....... ...###..")
    counts = {n: branch_scores.count_components(mask, n)[0] for n in (1, 2, 3, 4, 6)}
    assert counts == {1: 4, 2: 3, 3: 2, 4: 1, 6: 0}


def _joined_by_brute_force(truth, predicted):
    """Recall, precision and F1 of joined pairs, from their sets."""
    sets = []
    for mask in (truth, predicted):
        places, connected = _connected(mask)
        pairs = np.argwhere(np.triu(connected, 1))
        sets.append({(*places[a], *places[b]) for a, b in pairs})
    true, found = sets
    both = len(true & found)
    return both / len(true), both / len(found), 2 * both / (len(true) + len(found))


def test_a_gap_separates_joined_branches():
    # 16 pixels are one tree; without one of them two hang on one side, 13 elsewhere.
    np.testing.assert_allclose(branch_scores.joined(TREE, TREE), [[1]] * 3)
    left = 2 * 1 + 13 * 12
    expected = [[left / (16 * 15)], [1], [2 * left / (16 * 15 + left)]]
    assert TREE.sum() == 16
    np.testing.assert_allclose(branch_scores.joined(TREE, GAP), expected)
    masks = RNG.random((2, 30, 8, 8)) < 0.4
    expected = [_joined_by_brute_force(*pair) for pair in zip(*masks, strict=True)]
    found = branch_scores.joined(*masks)
    np.testing.assert_allclose(np.transpose(found), expected)
    swapped = branch_scores.joined(*masks[::-1])
    np.testing.assert_array_equal(swapped.f1, found.f1)
    np.testing.assert_array_equal(swapped.recall, found.precision)
    nothing = np.zeros_like(TREE)
    np.testing.assert_array_equal(
        branch_scores.joined(nothing, TREE), [[np.nan], [0], [0]]
    )
    np.testing.assert_array_equal(
        branch_scores.joined(TREE, nothing), [[0], [np.nan], [0]]
    )
    assert np.isnan(branch_scores.joined(nothing, nothing)).all()


def test_all_branch_and_no_branch_are_worse_than_small_errors():
    shifted = GAP.copy()
    shifted[0, 0, 2] = True  # one pixel missing, one too many
    flat = {"all": np.ones_like(TREE), "none": np.zeros_like(TREE)}
    good = _means(TREE, shifted, TOP)
    bad = {name: _means(TREE, mask, TOP) for name, mask in flat.items()}
    for name in ("joined", "hidden_recall", "same_count"):  # they forgive
        assert bad["all"][name] == 1
    for name in ("hidden_iou", "joined_f1"):
        assert good[name] > 2 * max(bad["all"][name], bad["none"][name])
    assert good["joined_precision"] > bad["all"]["joined_precision"]


def test_scores_are_means_of_those_that_are_defined():
    truth, predicted = np.concatenate([TREE, TREE]), np.concatenate([GAP, TREE])
    behind = np.concatenate([TOP, np.zeros_like(TOP)])
    out = _means(truth, predicted, behind)
    assert out == pytest.approx(
        {
            "hidden_iou": 7 / 8,
            "hidden_recall": 7 / 8,
            "joined": (1 + 158 / 240) / 2,
            "joined_precision": 1.0,
            "joined_f1": (1 + 2 * 158 / (240 + 158)) / 2,
            "same_count": 1.0,  # the piece of two pixels is a speck
        }
    )
    assert _means(truth, predicted, behind, min_pixels=1)["same_count"] == 0.5
    assert np.isnan(_means(truth, truth, 0 * behind > 0)["hidden_iou"])
