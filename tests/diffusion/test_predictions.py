"""Every prediction against its paper's formula, and back to the image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax.diffusion import schedules
from gen_jax.diffusion.predictions import make_prediction
from gen_jax.errors import UserError

PAPER = schedules.make_schedule(schedules.linear_betas())
T = jnp.array([1, 10, 300, 1000])


def _draws():
    rng = np.random.default_rng(0)
    return (jnp.asarray(rng.normal(size=(4, 3)), jnp.float32) for _ in range(2))


def _formula(name, x_0, eps):
    beta = np.concatenate([[0], np.linspace(1e-4, 0.02, 1000)])
    abar = np.cumprod(1 - beta)
    a, before, b = abar[T][:, None], abar[T - 1][:, None], beta[T][:, None]
    x_0, eps = np.asarray(x_0, np.float64), np.asarray(eps, np.float64)
    x_t = np.sqrt(a) * x_0 + np.sqrt(1 - a) * eps
    return {
        "eps": eps,
        "x_0": x_0,
        "v": np.sqrt(a) * eps - np.sqrt(1 - a) * x_0,
        "mean": (
            np.sqrt(before) * b / (1 - a) * x_0
            + np.sqrt(1 - b) * (1 - before) / (1 - a) * x_t
        ),
    }[name]


@pytest.mark.parametrize("name", ["eps", "x_0", "v", "mean"])
def test_targets_are_the_papers_and_lead_back_to_the_image(name):
    x_0, eps = _draws()
    prediction = make_prediction(name, PAPER)
    target = prediction.target(x_0, eps, T)
    np.testing.assert_allclose(target, _formula(name, x_0, eps), rtol=1e-4, atol=1e-5)
    x_t = schedules.q_sample(PAPER, x_0, T, eps)
    # How much float32's rounding of an output is magnified in the image.
    magnified = np.abs(prediction.x0_from_out[T])[:, None]
    error = np.abs(prediction.x_0(target, x_t, T) - x_0)
    assert (error < 1e-6 * (1 + 5 * magnified)).all()


def _on_x_0(snr):
    """Equation 7's sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t), from SNR alone."""
    abar = np.concatenate([[1.0], snr / (1 + snr)])
    return np.sqrt(abar[:-1]) * (1 - abar[1:] / abar[:-1]) / (1 - abar[1:])


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("x_0", lambda snr: np.minimum(snr, 5)),
        ("eps", lambda snr: np.minimum(snr, 5) / snr),
        ("v", lambda snr: np.minimum(snr, 5) / (snr + 1)),
        ("mean", lambda snr: np.minimum(snr, 5) / _on_x_0(snr) ** 2),
    ],
)
def test_min_snr_weights_are_hang_et_als(name, weight):
    """Theirs is on |x_0 - x_0_hat|^2; the mean's error is `_on_x_0` times x_0_hat's."""
    snr = PAPER.alpha_bar[1:] / (1 - PAPER.alpha_bar[1:])
    found = make_prediction(name, PAPER).min_snr_weights(PAPER, 5)
    np.testing.assert_allclose(found[1:], weight(snr), rtol=1e-9)


@pytest.mark.parametrize("name", ["eps", "v", "mean"])
def test_min_snr_weights_the_error_of_the_image_equally(name):
    x_0, eps = _draws()
    prediction = make_prediction(name, PAPER)
    out = prediction.target(x_0, eps, T) + 0.5
    x_t = schedules.q_sample(PAPER, x_0, T, eps)
    in_image = np.asarray(prediction.x_0(out, x_t, T) - x_0, np.float64) ** 2
    of_image = make_prediction("x_0", PAPER).min_snr_weights(PAPER, 5)[T]
    of_out = prediction.min_snr_weights(PAPER, 5)[T]
    np.testing.assert_allclose(in_image.mean(1) * of_image, 0.25 * of_out, rtol=1e-3)


def test_an_unknown_prediction_is_named():
    with pytest.raises(UserError, match="eps, x_0, v, mean"):
        make_prediction("score", PAPER)


def test_a_step_traces_with_tables_as_constants():
    prediction = make_prediction("v", PAPER)
    x_0, eps = _draws()
    compiled = jax.jit(prediction.target)(x_0, eps, T)
    np.testing.assert_allclose(compiled, prediction.target(x_0, eps, T), rtol=1e-6)
