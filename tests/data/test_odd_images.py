"""Images of any size, depth, format and number of channels."""

import dataclasses
import sys
import types

import numpy as np
import pytest
from PIL import Image

from gen_jax import config as configs
from gen_jax.data import (
    DataConfig,
    Info,
    PairsConfig,
    batches,
    decoding,
    describe,
    load,
    prepare,
)
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig

RNG = np.random.default_rng(0)


def _bytes(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def _all(dataset):
    parts = [split.read(range(len(split))) for split in (dataset.train, dataset.test)]
    return np.concatenate([part["x"] for part in parts])


def _folder(tmp_path, **options):
    return DataConfig(f"folder:{tmp_path}", **options)


# Sides that are not square.


def test_a_size_is_a_number_or_two_sides():
    def size(text):
        return configs.override(RunConfig(), "data.image_size", text).data

    assert (size("32").image_size, size("32").size) == (32, (32, 32))
    assert (size("48x64").image_size, size("48x64").size) == ("48x64", (48, 64))
    config = configs.override(RunConfig(), "data.image_size", "48x64")
    assert configs.from_dict(RunConfig(), configs.to_dict(config)) == config


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("48X64", "neither a number of pixels nor HxW: 48x64"),
        ("0x20", "neither a number"),
        ("48x", "neither a number"),
        ("big", "neither a number"),
        ("1x2x3", "neither a number"),
        ("32.0", "neither a number"),
        ("None", "neither a number"),
        ("(48, 64)", "neither a number"),
        ("8x5000", "out of range: at most 4096"),
        ("-8", "out of range: at least 0"),
    ],
)
def test_another_size_is_refused(text, says):
    with pytest.raises(UserError, match=rf"data\.image_size=.*{says}"):
        configs.override(RunConfig(), "data.image_size", text)


def test_a_folder_is_fitted_to_two_sides(tmp_path):
    pixels = _save(tmp_path / "a.png", _bytes(12, 8, 3))  # 4:6 of it is all of 8 wide
    _save(tmp_path / "b.png", _bytes(9, 9, 3))
    config = _folder(tmp_path, image_size="4x6")
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 6, 3), 0)
    # Two thirds of 8 columns are 5.33 rows, about the middle at 6.
    part = (0, 6 - 16 / 6, 8, 6 + 16 / 6)
    expected = Image.fromarray(pixels).resize((6, 4), Image.Resampling.BICUBIC, part)
    distance = np.abs(_all(dataset).astype(int) - np.asarray(expected)).max((1, 2, 3))
    assert distance.min() <= 1


@pytest.mark.parametrize("memory_gib", [0, 4])
def test_without_cropping_all_of_an_image_is_kept(tmp_path, memory_gib):
    left = np.zeros((6, 18, 3), np.uint8)
    left[:, :6] = 255  # lost, if the centre is cropped
    _save(tmp_path / "a.png", left)
    _save(tmp_path / "b.png", left // 2)
    options = {"image_size": "6x6", "memory_gib": memory_gib}
    assert _all(load(_folder(tmp_path, **options))).max() == 0
    x = _all(load(_folder(tmp_path, **options, crop="none")))
    assert x[:, :, 0].min() > 120
    assert x[:, :, -1].max() == 0
    with pytest.raises(UserError, match=r"data\.crop is 'random'; allowed: centre, no"):
        load(_folder(tmp_path, crop="random"))


def test_pairs_arrays_and_digits_are_fitted_to_two_sides(tmp_path):
    for i in range(4):
        for side in "AB":
            _save(tmp_path / "pairs" / side / f"{i}.png", _bytes(9, 12, 3))
    config = PairsConfig(f"pairs:{tmp_path / 'pairs'}", image_size="4x8")
    assert load(config).info == describe(config) == Info((4, 8, 3), 0, (4, 8, 3))
    np.savez(tmp_path / "a.npz", x=_bytes(5, 9, 9, 5))
    config = DataConfig(f"npz:{tmp_path / 'a.npz'}", image_size="3x6")
    assert load(config).info == describe(config) == Info((3, 6, 5), 0)
    config = DataConfig("digits", image_size="8x4", task="low_resolution")
    assert load(config).info == Info((8, 4, 1), 0, (8, 4, 1))


def test_bands_are_resized_one_by_one(tmp_path):
    x = _bytes(4, 8, 8, 5)
    np.savez(tmp_path / "a.npz", x=x, x_test=x)
    dataset = load(DataConfig(f"npz:{tmp_path / 'a.npz'}", image_size=4))
    grey = Image.fromarray(x[1, :, :, 3]).resize((4, 4), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(dataset.train.read([1])["x"][0, :, :, 3], grey)


# Giants.


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif"])
def test_too_many_pixels_are_refused_by_the_header(tmp_path, ending):
    for i in range(3):
        _save(tmp_path / f"{i}.{ending}", _bytes(30, 20, 3))
    says = r"0\.\w+ is 30x20 pixels, more than --config.data.max_pixels=599; raise that"
    with pytest.raises(UserError, match=says):
        load(_folder(tmp_path, max_pixels=599))
    assert len(_all(load(_folder(tmp_path, max_pixels=600)))) == 3
    _save(tmp_path / "3.png", _bytes(30, 30, 3))
    says = r"3\.png is 30x30 pixels, more than .*raise that if .*, or remove it$"
    with pytest.raises(UserError, match=says):
        load(_folder(tmp_path, max_pixels=600, image_size=8))


def test_a_giant_over_pillow_s_limit_can_be_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for i in range(3):
        _save(tmp_path / f"{i}.png", _bytes(30, 20, 3))
    assert len(_all(load(_folder(tmp_path)))) == 3


# More than 8 bits.


def _deep(folder):
    """Twelve bits in files of sixteen."""
    x = RNG.integers(0, 4096, (12, 5, 4), np.uint16)
    for i, each in enumerate(x):
        _save(folder / f"{i:02d}.png", each)
    return x


@pytest.mark.parametrize("memory_gib", [0, 4])
def test_greys_of_a_stated_range_keep_their_bits(tmp_path, memory_gib):
    deep = _deep(tmp_path)
    config = _folder(tmp_path, value_range=(0.0, 4095.0), memory_gib=memory_gib)
    dataset = load(config)
    x = _all(dataset)
    assert (x.dtype, dataset.left_out) == (np.float32, ())
    mine = np.sort(np.rint((x + 1) * 4095 / 2).astype(int).reshape(12, -1), axis=0)
    theirs = np.sort(deep.astype(int).reshape(12, -1), axis=0)
    np.testing.assert_array_equal(mine, theirs)
    batch = prepare()(next(batches(dataset.train, 4, seed=0)(0)), None)
    assert batch["x"].dtype == np.float32
    assert -1 <= batch["x"].min() < batch["x"].max() <= 1


def test_bits_that_are_lost_are_told(tmp_path):
    deep = _deep(tmp_path)
    dataset = load(_folder(tmp_path))
    assert _all(dataset).max() == deep.max() >> 8
    [text] = dataset.left_out
    assert text.startswith("the lower 8 bits of greys of 16 bits (--config.data.value_")
    assert "of 12 of 12 images, such as" in text
    assert "00.png" in text


@pytest.mark.parametrize("ending", ["gif", "tif", "png", "webp"])
def test_frames_that_are_not_read_are_told(tmp_path, ending):
    for i in range(3):
        first, *others = (Image.fromarray(_bytes(6, 6, 3)) for _ in range(4))
        file = tmp_path / f"{i}.{ending}"
        first.save(file, save_all=True, append_images=others)
    [text] = load(_folder(tmp_path)).left_out
    assert text == (
        f"all frames but the first, of 3 of 3 images, such as {tmp_path}/0.{ending}"
    )


@pytest.mark.parametrize("options", [{}, {"skip_broken": True}, {"memory_gib": 0}])
def test_parts_that_are_not_read_are_counted_in_all_images(tmp_path, options):
    """The first image has no such part, and one is broken."""
    for i in range(9):
        _save(tmp_path / f"{i}.png", _bytes(6, 6))
    for i in (4, 7):
        _save(tmp_path / f"{i}.png", _bytes(6, 6).astype(np.uint16) << 8)
    frames = [Image.fromarray(_bytes(6, 6)) for _ in range(3)]
    frames[0].save(tmp_path / "8.tif", save_all=True, append_images=frames[1:])
    if "skip_broken" in options:
        (tmp_path / "9.png").write_bytes((tmp_path / "3.png").read_bytes()[:50])
    count = len([*tmp_path.iterdir()])
    texts = load(_folder(tmp_path, **options)).left_out[-2:]
    assert texts[0] == f"all frames but the first, of 1 of {count} images, such as " + (
        str(tmp_path / "8.tif")
    )
    assert texts[1].startswith("the lower 8 bits of greys of 16 bits")
    assert texts[1].endswith(f"of 2 of {count} images, such as {tmp_path / '4.png'}")


@pytest.mark.parametrize("name", ["skip_broken", "replace_broken"])
@pytest.mark.parametrize("memory_gib", [0, 4])
def test_an_image_that_is_whole_is_not_left_out_as_broken(tmp_path, name, memory_gib):
    """A wrong range, or one giant, would shrink the data."""
    for i in range(6):
        _save(tmp_path / f"{i}.png", _bytes(6, 6).astype(np.uint16) * (i > 2))
    options = {name: True, "memory_gib": memory_gib}
    says = r"3\.png has values from .*, outside --config.data.value_range=0,9; state"
    with pytest.raises(UserError, match=says):
        load(_folder(tmp_path, value_range=(0.0, 9.0), **options))
    _save(tmp_path / "5.png", _bytes(7, 6).astype(np.uint16))
    with pytest.raises(UserError, match=r"5\.png is 7x6 pixels, more than"):
        load(_folder(tmp_path, max_pixels=36, image_size=6, **options))


def test_the_reason_is_told_if_no_image_can_be_decoded(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no image")
    says = r"none of 3 images can be decoded: .*2\.png is broken or truncated \(not in"
    with pytest.raises(UserError, match=says):
        load(_folder(tmp_path, skip_broken=True))


def test_the_way_to_random_crops_is_told():
    with pytest.raises(UserError, match=r"random is not .*, set --config\.jitter=PIX"):
        configs.override(RunConfig(), "data.crop", "random")
    large = configs.override(RunConfig(), "data.max_pixels", str(60_000**2))
    assert large.data.max_pixels == 60_000**2


def test_values_out_of_the_stated_range_are_named(tmp_path):
    _deep(tmp_path)
    says = r"00\.png has values from .*, outside --config.data.value_range=0,255; state"
    with pytest.raises(UserError, match=says):
        load(_folder(tmp_path, value_range=(0.0, 255.0)))
    for bad in ((1.0,), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0, 2.0)):
        with pytest.raises(UserError, match=r"value_range=.*; allowed: LOW,HIGH"):
            load(_folder(tmp_path, value_range=bad))


def test_floats_need_a_stated_range(tmp_path):
    for i in range(4):
        _save(tmp_path / f"{i}.tif", RNG.random((4, 4), np.float32))
    with pytest.raises(UserError, match=r"0\.tif has pixels whose range is not known"):
        load(_folder(tmp_path))
    x = _all(load(_folder(tmp_path, value_range=(0.0, 1.0), image_size=2)))
    assert (x.shape, x.dtype) == ((4, 2, 2, 1), np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int16])
def test_arrays_of_a_stated_range(tmp_path, kind):
    x = RNG.integers(-3, 5, (20, 4, 4, 6)).astype(kind)
    np.savez(tmp_path / "a.npz", x=x, x_test=x)
    spec = f"npz:{tmp_path / 'a.npz'}"
    with pytest.raises(UserError, match=r"value_range=LOW,HIGH states their range"):
        describe(DataConfig(spec))
    config = configs.override(RunConfig(), "data.spec", spec)
    config = configs.override(config, "data.value_range", "-4,4").data
    dataset = load(config)
    assert describe(config) == dataset.info == Info((4, 4, 6), 0)
    read = dataset.train.read(range(20))["x"]
    np.testing.assert_allclose(read, x.astype(float) / 4, atol=1e-6)
    with pytest.raises(UserError, match=r"a\.npz has values from -3 to 4, outside"):
        load(dataclasses.replace(config, value_range=(0.0, 4.0)))


def test_the_range_of_digits_is_that_of_bytes():
    x = _all(load(DataConfig("digits", value_range=(0.0, 255.0))))
    assert (x.dtype, x.min(), x.max()) == (np.float32, -1, 1)
    with pytest.raises(UserError, match="digits has values from 0 to 255, outside"):
        load(DataConfig("digits", value_range=(0.0, 16.0)))
    with pytest.raises(UserError, match="ring holds points"):
        load(DataConfig("ring", value_range=(0.0, 1.0)))


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    for bad in (np.nan, np.inf):
        x = np.zeros((4, 2, 2), np.float32)
        x[1, 0, 0] = bad
        np.savez(tmp_path / "a.npz", x=x)
        with pytest.raises(UserError, match=r"a\.npz has values from"):
            load(DataConfig(f"npz:{tmp_path / 'a.npz'}", value_range=(0.0, 1.0)))


def test_tasks_take_bytes_alone(tmp_path):
    _deep(tmp_path)
    config = _folder(tmp_path, value_range=(0.0, 4095.0), task="low_resolution")
    with pytest.raises(UserError, match="task=low_resolution takes images of 8 bits"):
        load(config)


# Formats.


def test_a_plugin_of_pillow_adds_its_format(tmp_path, monkeypatch):
    for i in range(4):
        _save(tmp_path / f"{i}.png", _bytes(4, 4, 3)).tobytes()
        (tmp_path / f"{i}.png").rename(tmp_path / f"{i}.heic")
    with pytest.raises(UserError, match=r"4 files that end in \.heic: no reader"):
        load(_folder(tmp_path))
    plugin = types.ModuleType("pillow_heif")
    plugin.register_heif_opener = lambda: Image.register_extension("PNG", ".heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    decoding.pillow.cache_clear()
    try:
        assert len(_all(load(_folder(tmp_path)))) == 4
    finally:
        del Image.EXTENSION[".heic"]
        decoding.pillow.cache_clear()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n", "EPS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"GRIB\0\0\0\1" + bytes(64), "GRIB"),
    ],
)
def test_no_program_of_others_is_run_for_an_image(tmp_path, content, kind):
    """Pillow would run Ghostscript on PostScript, even if the file is called .png."""
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=f"{kind} is not a format that Pillow decodes"):
        load(_folder(tmp_path))


def test_endings_are_those_that_pillow_decodes_by_itself():
    endings = decoding.endings()
    assert {".png", ".jpg", ".tif", ".webp", ".bmp", ".gif", ".ppm"} <= endings
    assert not endings & {".h5", ".hdf", ".mpg", ".eps", ".ps", ".wmf", ".grib", ".pdf"}
