import io

import numpy as np
import pytest
from PIL import Image

from gen_jax import images
from gen_jax.errors import UserError


def test_uint8_and_back_is_the_identity():
    x = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_uint8(x / np.float32(127.5) - 1), x)
    np.testing.assert_array_equal(images.to_uint8(x), x)


def test_uint8_clips_and_survives_divergence():
    x = [-3, -1, 0.999, 1, 7, np.nan, np.inf, -np.inf]
    assert images.to_uint8(x).tolist() == [0, 0, 255, 255, 255, 0, 255, 0]


def test_grid_keeps_every_image_apart_and_enlarges():
    x = np.zeros((5, 8, 8, 1), np.uint8)
    x[:, 2, 3, 0] = [10, 20, 30, 40, 50]
    picture = images.grid(x, min_side=256)
    # Three columns of 8 pixels, two rows, gaps of one pixel all round: 19 x 28.
    factor = 14  # the least with 19 * factor >= 256
    assert picture.shape == (19 * factor, 28 * factor, 1)
    small = picture[::factor, ::factor, 0]
    assert (small.repeat(factor, 0).repeat(factor, 1) == picture[..., 0]).all()
    assert (small[[0, 9, 18]] == 128).all()
    assert (small[:, [0, 9, 18, 27]] == 128).all()
    rows, columns = np.nonzero((small > 0) & (small != 128))
    assert small[rows, columns].tolist() == [10, 20, 30, 40, 50]
    assert rows.tolist() == [3, 3, 3, 12, 12]
    assert columns.tolist() == [4, 13, 22, 4, 13]


@pytest.mark.parametrize(
    ("shape", "columns"),
    [((1, 8, 8, 1), None), ((64, 28, 28, 1), None), ((3, 300, 200, 3), 3)],
)
def test_grid_is_never_small(shape, columns):
    picture = images.grid(np.zeros(shape, np.float32), columns, min_side=512)
    assert min(picture.shape[:2]) >= 512


def test_grid_of_wide_images_is_about_square():
    height, width, _ = images.grid(np.zeros((64, 16, 64, 3), np.uint8)).shape
    assert 0.7 < height / width < 1.4


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_grid_shows_first_or_first_three_channels(channels, shown):
    x = np.arange(channels, dtype=np.uint8) * np.ones((1, 4, 4, 1), np.uint8)
    picture = images.grid(x)
    assert picture.shape[-1] == shown
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    assert middle.tolist() == list(range(shown))


def test_scatter_puts_a_point_where_it_is():
    picture = images.scatter(np.array([[0.5, 1.0]]), limit=1.5, side=301)
    rows, columns = np.nonzero(picture[30:-2, 2:-2].sum(-1) < 600)  # below the text
    # 0.5 is 2/3 to the right and 1.0 is 1/6 from the top.
    np.testing.assert_allclose(columns.mean() + 2, 200, atol=2)
    np.testing.assert_allclose(rows.mean() + 30, 50, atol=2)


def test_scatter_shows_outliers_at_the_frame_and_drops_nan():
    empty = images.scatter(np.full((3, 2), np.nan))
    outlier = images.scatter(np.array([[99.0, -99.0], [np.inf, 0.0]]))
    rows, columns = np.nonzero((empty != outlier).any(-1))
    assert rows.size > 0
    assert rows.min() > 490
    assert columns.min() > 490


def test_picture_chooses_by_shape():
    assert images.picture(np.zeros((4, 8, 8, 1))).shape[-1] == 1
    assert images.picture(np.zeros((4, 2))).shape == (512, 512, 3)
    with pytest.raises(UserError, match=r"shape \[4, 3\] cannot be drawn"):
        images.picture(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"not \[0, 8, 8, 1\]"):
        images.picture(np.zeros((0, 8, 8, 1)))


@pytest.mark.parametrize("channels", [1, 3])
def test_png_reads_back(tmp_path, channels):
    x = np.random.default_rng(0).integers(0, 256, (6, 9, channels), np.uint8)
    path = tmp_path / "new" / "x.png"
    images.save_png(path, x)
    read = np.asarray(Image.open(path)).reshape(x.shape)
    np.testing.assert_array_equal(read, x)
    encoded = np.asarray(Image.open(io.BytesIO(images.encode_png(x))))
    np.testing.assert_array_equal(encoded.reshape(x.shape), x)


def test_png_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    images.save_png(path, np.zeros((2, 2, 1), np.uint8))
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        images.save_png(path, np.ones((2, 2, 1), np.uint8))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_side_by_side_shows_an_example_in_a_row_and_grey_as_colour():
    grey, colour = np.full((2, 4, 4, 1), 10, np.uint8), np.zeros((2, 4, 4, 3), np.uint8)
    colour[0, ..., 0], colour[1, ..., 1] = 200, 100
    picture = images.side_by_side(grey, colour, per_row=1)
    assert picture.shape[2] == 3
    factor = picture.shape[1] // 11  # two images of 4 and three gaps of 1
    seen = picture[factor // 2 :: factor, factor // 2 :: factor]
    np.testing.assert_array_equal(seen[2, 2], [10, 10, 10])
    np.testing.assert_array_equal(seen[2, 7], [200, 0, 0])
    np.testing.assert_array_equal(seen[7, 7], [0, 100, 0])


def test_bytes_come_back_from_numbers():
    x = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(images.to_uint8(images.from_uint8(x)), x)
