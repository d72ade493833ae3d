"""Every check in short form: its claims hold even after little training."""

import math

import numpy as np
import pytest

from experiments.studies.truth import (
    CHECKS,
    Finding,
    Row,
    coverage,
    ddpm,
    densities,
    discriminator,
    frechet,
    page,
    sensitivity,
)
from gen_jax.diffusion.schedules import linear_betas, make_schedule
from gen_jax.metrics.intervals import Interval


class Findings(dict):
    """Findings by the names of the checks, each computed when it is asked for."""

    def __missing__(self, name: str) -> Finding:
        [check] = [check for check in CHECKS if check.name == name]
        self[name] = check.run(**check.short)
        return self[name]


@pytest.fixture(scope="module")
def found() -> Findings:
    return Findings()  # the tests may be divided among workers


def named(finding: Finding, *parts: str) -> list[Row]:
    """The rows whose names have all of these in them; one at least."""
    rows = [row for row in finding.rows if all(part in row.what for part in parts)]
    assert rows
    return rows


def test_the_gap_of_a_vae_is_the_divergence_of_its_q(found):
    assert all(row.holds for row in found["vae"].rows)
    by_draws = [row.estimate.value for row in named(found["vae"], "draws")]
    assert by_draws == sorted(by_draws)


def test_bounds_of_diffusion_are_bounds_and_one_is_in_closed_form(found):
    assert all(row.holds for row in named(found["ddpm"], "bound"))
    closed = named(found["ddpm"], "one Gaussian")
    assert all(row.claim == "equal" and row.exact < 0 for row in closed)


def test_the_exact_network_has_the_exact_score():
    ring, schedule = densities.ring(), make_schedule(linear_betas(25))
    q_t = densities.diffused(ring, schedule.alpha_bar[9])
    x_t = densities.sample(q_t, 50, np.random.default_rng(0))
    score = ddpm.learned_score(
        *ddpm.exact_game(ring, schedule, "fixed_small"), schedule, 9, x_t
    )
    np.testing.assert_allclose(score, densities.score(q_t, x_t), rtol=1e-3, atol=1e-3)


def test_the_value_of_d_is_at_most_the_integral(found):
    (value,) = named(found["discriminator"], "V(D, G)")
    assert value.holds
    (error,) = named(found["discriminator"], "mean distance")
    assert error.estimate.value < 0.1


def test_the_best_value_of_d_in_closed_form():
    """-log 4 of equal densities, 0 of densities that share nothing (theorem 1)."""
    p, q = (densities.round_mixture(np.full((1, 2), m), 0.2) for m in (-2.0, 2.0))
    assert discriminator.optimal_value(p, p) == pytest.approx(-math.log(4))
    assert discriminator.optimal_value(p, q) == pytest.approx(0, abs=1e-6)


def test_the_parzen_bias_grows_with_the_dimension(found):
    few, many = (
        named(found["parzen"], f"D = {dim}, 1000 samples")[0] for dim in (2, 16)
    )
    assert 0 > few.estimate.value - few.exact > many.estimate.value - many.exact
    assert not many.holds


def test_a_frechet_distance_is_in_closed_form_and_samples_lie_above_it(found):
    """|m|^2 + D (1 - s)^2 of N(0, I) and N(m, s^2 I)."""
    pair = frechet.pairs(16)["moved, D = 16"]
    exact = 16 * 0.2**2 + 16 * (1 - 1.2) ** 2
    assert frechet.exact_distance(*pair) == pytest.approx(exact)
    for name in ("equal", "moved"):
        few, more = (row.estimate.value for row in named(found["frechet"], name))
        assert few > more > named(found["frechet"], name)[0].exact


def test_intervals_contain_means_but_not_the_exact_distance(found):
    for row in named(found["coverage"], "D = 16", "hold the mean"):
        assert row.estimate.value >= 0.8
    assert all(not row.holds for row in named(found["coverage"], "the exact one"))


def test_every_fault_moves_a_metric_that_claims_to_detect_it(found):
    for fault in ("blur", "noise", "dropped", "memorized"):
        rows = named(found["sensitivity"], fault)
        moved = {row.what.split(": ")[1].split()[0]: row.holds for row in rows}
        expected = {"dropped": "recall", "memorized": "memorized"}.get(
            fault, "sharpness"
        )
        assert moved[expected], fault


def test_intervals_of_fractions_are_clipped():
    moved = Interval(*(np.full(8, x) for x in (-0.7, -1.2, -0.2)))
    found = {
        row.what.split(": ")[1].split()[0]: row.estimate
        for row in sensitivity._rows("blur", 1, moved, np.full(8, 0.9))
    }
    assert found["precision"] == (-0.7, -0.9, -0.2)
    assert found["density"] == (-0.7, -1.2, -0.2)


def test_the_next_number_lies_inside_as_often_as_stated():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        *before, after = rng.normal(size=(9, 2))
        _, low, high = sensitivity._of_the_next(np.array(before))
        inside += ((low <= after) & (after <= high)).sum()
    assert inside / 800 == pytest.approx(0.95, abs=0.03)


def test_verdicts():
    near = Interval(1.0, 0.9, 1.1)
    for row, verdict in (
        (Row("", near, 1.05), "agrees, within its interval"),
        (Row("", near, 1.2), "off by -0.2"),
        (Row("", near, 1.2, tolerance=0.25), "within 0.25"),
        (Row("", near, 1.2, tolerance=0.15), "off by -0.2"),
        (Row("", near, 1.05, tolerance=0.01), "agrees, within its interval"),
        (Row("", near, 1.2, claim="below"), "below: -0.2"),
        (Row("", near, 0.95, claim="below"), "not above, within its interval"),
        (Row("", near, 1.05, claim="below"), "not above, within its interval"),
        (Row("", near, 0.8, claim="below"), "off by +0.2"),
        (Row("", near, 0.5, claim="moved up"), "moved by +0.5"),
        (Row("", near, 1.5, claim="moved down"), "moved by -0.5"),
        (Row("", near, 0.5, claim="moved down"), "moved the wrong way by +0.5"),
        (Row("", near, 1.0, claim="moved up"), "may be chance"),
    ):
        assert row.verdict == verdict
        assert row.holds == (not any(w in verdict for w in ("off", "wrong", "chance")))


def test_all_is_on_one_page(found):
    found = {name: found[name] for name in ("parzen", "frechet", "coverage")}
    lines = page.text(found).splitlines()
    table = lines[: lines.index("")]
    assert len(table) == 2 + sum(len(finding.rows) for finding in found.values())
    assert {line.count("|") for line in table} == {6}
    picture = page.picture(list(found.values()))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3


def test_halves_contain_a_mean_as_often_as_stated():
    """Of means of 40 normal numbers and of 60 others: 95 % of intervals hold 0."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        a, b = rng.normal(size=40), 2 * rng.normal(size=60)
        _, low, high = coverage.halves_interval(lambda a, b: a.mean() - b.mean(), a, b)
        inside += low <= 0 <= high
    assert inside / 400 == pytest.approx(0.95, abs=0.035)
