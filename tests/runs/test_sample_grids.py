"""The pictures of a run: which samples they hold, and that their rows are whole."""

import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax.ops import Ops
from gen_jax.runs.sample_grids import class_columns, picture_functions, whole_rows
from tests.games import untrained_game


def labelled_game(num_classes):
    """Samples of 8x8 pixels that are as bright as their label says."""

    def sample(players, keys, y=None):
        level = jnp.zeros(len(keys)) if y is None else y / max(1, num_classes)
        shape = (len(keys), 8, 8, 1)
        return jnp.broadcast_to(level[:, None, None, None], shape)

    return untrained_game(Ops(sample=sample), num_classes)


@pytest.mark.parametrize(
    ("num_classes", "number"), [(0, 64), (3, 63), (8, 64), (10, 60), (16, 64), (17, 64)]
)
def test_a_grid_of_classes_ends_in_a_whole_row(num_classes, number):
    draw, _ = picture_functions(labelled_game(num_classes), None)
    x = np.asarray(draw({}, 0))
    assert len(x) == number
    if num_classes == 10:
        levels = x[:, 0, 0, 0].reshape(6, 10)  # a column per class
        np.testing.assert_allclose(levels, np.tile(np.arange(10) / 10, (6, 1)))


def test_no_tile_of_the_picture_is_empty():
    draw, arrange = picture_functions(labelled_game(10), None)
    picture = arrange(np.asarray(draw({}, 0)))
    # 6 rows and 10 columns of 8 pixels, gaps of 1 around them, enlarged to 512.
    factor = -(-512 // (6 * 9 + 1))
    assert picture.shape == ((6 * 9 + 1) * factor, (10 * 9 + 1) * factor, 1)
    centres = picture[5 * factor :: 9 * factor, 5 * factor :: 9 * factor, 0]
    expected = np.rint((np.arange(10) / 10 + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(centres, np.tile(expected, (6, 1)))


def test_whole_rows():
    assert [whole_rows(64, columns) for columns in (None, 10, 7)] == [64, 60, 63]
    assert [whole_rows(number, 10) for number in (5, 10, 19, 20)] == [5, 10, 10, 20]
    assert [class_columns(number) for number in (0, 1, 16, 17)] == [None, 1, 16, None]
