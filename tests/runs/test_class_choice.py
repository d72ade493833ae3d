"""Which classes a run draws, and which one a text names."""

import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax import experiment
from gen_jax.data.dataset import Info
from gen_jax.data.summary import ClassCount, Summary
from gen_jax.errors import UserError
from gen_jax.ops import Ops
from gen_jax.runs.class_choice import drawn_classes, label_of
from gen_jax.runs.run import Run
from gen_jax.runs.sample_grids import column_names, picture_functions
from tests.games import untrained_game

NAMES = ("cat", "ghost", "猫", "10")


def sample(players, keys, y=None):
    shape = (len(keys), 8, 8, 1)
    return jnp.broadcast_to((y / 4)[:, None, None, None], shape)


def guided(players, keys, y=None, guidance=0.0):
    return sample(players, keys, y)


def run_of(op=sample, names=NAMES, config=None, summary=None):
    info = Info((8, 8, 1), len(names), class_names=names)
    game = untrained_game(Ops(sample=op), len(names))
    return Run(None, info, game, config, None, 0, None, summary=summary)


def summary_of(*counts, unlabelled=0):
    classes = [ClassCount(*each) for each in zip(NAMES, counts, counts, strict=True)]
    return Summary(
        [8, 8, 1], train=9, test=9, classes=classes,
        unlabelled=ClassCount("", unlabelled, 0) if unlabelled else None,
    )  # fmt: skip


def test_labels_by_name():
    assert [label_of(run_of(), name) for name in NAMES] == [0, 1, 2, 3]
    assert label_of(run_of(names=("-1", "b")), "-1") == 0
    for text in ("0", "dog", "CAT"):
        with pytest.raises(UserError, match="The classes are cat, ghost, 猫, 10"):
            label_of(run_of(), text)


def test_a_model_that_never_saw_an_image_without_label_draws_none():
    dropout = experiment.find("ddpm_conditional").config
    never = type(dropout)(label_dropout=0.0, guidance=0.0)
    for run in (run_of(), run_of(guided, config=never)):
        with pytest.raises(UserError, match="never trained without a label; choose"):
            label_of(run, "-1")
    some = summary_of(1, 1, 1, 1, unlabelled=2)
    for run in (run_of(guided, config=dropout), run_of(summary=some)):
        assert label_of(run, "-1") == -1


def test_a_model_without_classes_takes_no_label():
    with pytest.raises(UserError, match="trained without labels"):
        label_of(run_of(names=()), "0")


def test_empty_classes_are_not_drawn():
    game, summary = run_of().game, summary_of(3, 0, 4, 1)
    assert drawn_classes(game, summary) == [0, 2, 3]
    assert drawn_classes(game, None) == [0, 1, 2, 3]
    assert column_names(game, summary) == ["cat", "猫", "10"]
    draw, arrange = picture_functions(game, None, summary)
    levels = np.asarray(draw({}, 0))[:, 0, 0, 0]
    np.testing.assert_allclose(levels, np.tile([0, 0.5, 0.75], 21))
    assert arrange(levels[:, None, None, None]).shape[1] < 512 * 2
