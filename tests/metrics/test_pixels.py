"""L1, PSNR and SSIM: by hand, by brute force, and in closed cases."""

import numpy as np
import pytest

from gen_jax.errors import UserError
from gen_jax.metrics import pixels
from gen_jax.metrics.pixels import l1, psnr, ssim


def pair(*shape):
    """Images and noisy versions, the second with less noise, float32."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, shape)
    noise = (
        0.5
        * rng.uniform(-1, 1, shape)
        / np.arange(1, shape[0] + 1)[:, None, None, None]
    )
    return x.astype(np.float32), np.clip(x + noise, -1, 1).astype(np.float32)


def windowed(x, y):
    """SSIM of two single-channel images, window by window, as the paper writes it."""
    at = np.arange(11) - 5
    w = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    w /= w.sum()
    values = []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            a, b = (z[row : row + 11, column : column + 11] for z in (x, y))
            m_a, m_b = (w * a).sum(), (w * b).sum()
            v_a, v_b = (w * (a - m_a) ** 2).sum(), (w * (b - m_b) ** 2).sum()
            cov = (w * (a - m_a) * (b - m_b)).sum()
            values.append(
                (2 * m_a * m_b + 0.02**2)
                * (2 * cov + 0.06**2)
                / ((m_a**2 + m_b**2 + 0.02**2) * (v_a + v_b + 0.06**2))
            )
    return np.mean(values)


@pytest.mark.parametrize("block", [2**21, 1])
def test_ssim_by_brute_force(block, monkeypatch):
    monkeypatch.setattr(pixels, "_BLOCK", block)
    x, y = pair(2, 11, 14, 3)
    found = ssim(x, y)
    x, y = x.astype(float), y.astype(float)
    expected = [
        np.mean([windowed(x[i, ..., c], y[i, ..., c]) for c in range(3)])
        for i in range(2)
    ]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found[0] < found[1] < 1


def test_ssim_of_constants_in_closed_form():
    """Without variance the second factor is 1, and the first that of the means."""
    x, y = np.full((1, 16, 16, 1), 0.5), np.full((1, 16, 16, 1), -0.25)
    expected = (2 * 0.5 * -0.25 + 0.0004) / (0.25 + 0.0625 + 0.0004)
    assert ssim(x, y) == pytest.approx([expected])


def test_l1_and_psnr_by_hand():
    x = np.zeros((2, 1, 2, 1))
    y = np.array([[0.5, -0.25], [0, 0]]).reshape(2, 1, 2, 1)
    np.testing.assert_array_equal(l1(x, y), [0.375, 0])
    expected = 20 * np.log10(2) - 10 * np.log10((0.25 + 0.0625) / 2)
    assert psnr(x, y)[0] == pytest.approx(expected)
    assert psnr(x, y)[1] == np.inf
    assert psnr(x - 1, x + 1) == pytest.approx([0, 0])  # black and white


def test_equal_images():
    x, _ = pair(3, 12, 12, 2)
    np.testing.assert_array_equal(l1(x, x), 0)
    np.testing.assert_allclose(ssim(x, x), 1, rtol=1e-12)


@pytest.mark.parametrize("metric", [l1, psnr, ssim])
def test_uint8_images_equal_those_in_minus_one_to_one(metric):
    a, b = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 12, 1), np.uint8)
    as_float = [(x.astype(np.float32) / 127.5 - 1) for x in (a, b)]
    np.testing.assert_allclose(metric(a, b), metric(*as_float), rtol=1e-5)
    # Differences of uint8 would wrap; they do not.
    np.testing.assert_allclose(metric(a, b), metric(b, a), rtol=1e-12)


def test_bad_input_is_refused():
    x, y = pair(2, 12, 12, 1)
    for call, said in [
        (lambda: ssim(x[:, :10], y[:, :10]), "10x12 are too small .* 11 pixels"),
        (lambda: l1(x, y[:1]), r"\[2, 12, 12, 1\] with \[1, 12, 12, 1\]"),
        (lambda: psnr(x[0], y[0]), "one shape"),
        (lambda: l1(x[:0], y[:0]), "no first images"),
        (lambda: l1(x, 127 * y), r"second images must lie in \[-1, 1\], not in"),
        (lambda: ssim(x / 0, y), "first images must lie"),
        (lambda: psnr(x, y.astype(np.int32)), "not int32"),
    ]:
        with np.errstate(all="ignore"), pytest.raises(UserError, match=said):
            call()
