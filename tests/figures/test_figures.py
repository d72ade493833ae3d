"""The numbers of figures, in cases with known results."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.special import expit

from gen_jax import experiment, figures
from gen_jax.figures import adversaries, denoising, latent_space, sharpness
from gen_jax.figures.figure import Figure
from tests.evaluation.hand_made import evaluation_of, game_of


def test_fine_energy_is_the_energy_of_fast_waves():
    """A wave cos(2 pi f n) of N pixels has |F|^2 = (N / 2)^2 at f and at -f."""
    n = np.arange(16)
    slow, fast = (np.cos(2 * np.pi * k * n / 16) for k in (2, 6))
    slow, fast = (np.broadcast_to(w, (1, 16, 16))[..., None] for w in (slow, fast))
    np.testing.assert_allclose(sharpness.fine_energy(slow), 0, atol=1e-9)
    expected = 2 * (16 * 16 / 2) ** 2 / 256
    np.testing.assert_allclose(sharpness.fine_energy(fast), expected)
    np.testing.assert_allclose(sharpness.fine_energy(slow + 3 * fast), 9 * expected)


def test_a_great_circle_keeps_the_length_and_reaches_both_ends():
    first, last = np.eye(3, dtype=np.float32)[None, 0], np.eye(3)[None, 1]
    for fraction in (0, 0.25, 0.5, 1):
        angle = fraction * np.pi / 2
        found = latent_space._great_circle(first, last, fraction)
        np.testing.assert_allclose(
            found, [[np.cos(angle), np.sin(angle), 0]], atol=1e-6
        )
    same = latent_space._great_circle(first, first, 0.5)
    np.testing.assert_allclose(same, first, atol=1e-6)


def test_noise_that_contains_the_image_is_detected():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1000, 8, 8, 1))
    noise = rng.standard_normal(x.shape)
    clean = denoising._normality(noise, x)
    limit = clean["kolmogorov_smirnov_of_normal_below_in_95_percent"]
    assert clean["x_T_kolmogorov_smirnov"] < limit
    assert abs(clean["correlation_of_x_T_with_x_0"]) < 0.02
    marked = denoising._normality(0.9 * noise + 0.3 * x, x)
    assert marked["x_T_kolmogorov_smirnov"] > limit
    assert marked["correlation_of_x_T_with_x_0"] > 0.1


@pytest.mark.parametrize(
    ("gan_loss", "output", "unit"),
    [
        ("minimax", expit, "probability"),
        ("non_saturating", expit, "probability"),
        ("least_squares", np.asarray, "score"),
        ("wasserstein", np.asarray, "score"),
        ("hinge", np.asarray, "score"),
    ],
)
def test_a_score_is_not_called_a_probability(gan_loss, output, unit, tmp_path):
    """The discriminator's logit is 3 for a white corner, as in samples, else -2."""

    def sample(players, keys, y=None):
        return jnp.ones((len(keys), 8, 8, 1), jnp.float32)

    def score(players, x, y=None):
        return jnp.where(x[:, 0, 0, 0] == 1, 3.0, -2.0)

    config = dataclasses.replace(experiment.find("gan").config, gan_loss=gan_loss)
    game = game_of({"sample": sample, "score": score})
    this = evaluation_of(tmp_path, game, config=config)
    numbers = adversaries.discriminator_outputs(this).numbers
    assert numbers["unit"] == unit
    for when in ("start", "end"):
        assert numbers[f"d_real_at_{when}"] == pytest.approx(output(-2.0))
        assert numbers[f"d_fake_at_{when}"] == pytest.approx(output(3.0))


def test_two_runs_of_one_experiment_and_step_are_both_drawn(tmp_path):
    runs = [evaluation_of(tmp_path, game_of({}))] * 2
    drawn = [Figure({"x": np.full((8, 300, 1), level, np.uint8)}) for level in (0, 99)]
    assert figures._save(tmp_path, runs, drawn) == ["x.png"]
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] > 600
        levels = np.unique(np.asarray(picture)[-1])
    assert {0, 99} < set(levels)
