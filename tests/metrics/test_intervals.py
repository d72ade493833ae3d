"""Intervals in closed form, and how often they contain the true value."""

import numpy as np
import pytest
from scipy import stats

from gen_jax.errors import UserError
from gen_jax.metrics import intervals
from gen_jax.metrics.frechet import frechet_distance, moments
from gen_jax.metrics.intervals import (
    bootstrap_interval,
    fraction_interval,
    seeds_interval,
)


def test_the_interval_over_seeds_in_closed_form():
    # Student's t of two degrees is 4.302653 at 0.975; s / sqrt(3) is 0.57735.
    found = seeds_interval([1, 2, 3])
    assert found == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    expected = stats.t.interval(0.95, 3, 2.5, stats.sem([1, 2, 3, 4]))
    assert seeds_interval([4, 1, 3, 2])[1:] == pytest.approx(expected)
    assert seeds_interval([5.0, 5.0]) == (5, 5, 5)


def test_the_bootstrap_of_a_mean_is_near_the_normal_interval():
    x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    found = bootstrap_interval(np.mean, x, draws=4000)
    mean, half_width = float(x.mean()), 1.96 * float(x.std()) / 1000**0.5
    assert found.value == pytest.approx(mean)
    assert found.low == pytest.approx(mean - half_width, abs=0.1 * half_width)
    assert found.high == pytest.approx(mean + half_width, abs=0.1 * half_width)
    assert bootstrap_interval(np.mean, x, draws=4000) == found
    other = bootstrap_interval(np.mean, x, draws=4000, seed=1)
    assert other != found


def test_the_bootstrap_equals_that_of_scipy():
    x = np.random.default_rng(0).exponential(size=40)
    theirs = stats.bootstrap(
        (x,),
        np.mean,
        n_resamples=500,
        method="percentile",
        random_state=np.random.default_rng(7),
    )
    found = bootstrap_interval(np.mean, x, draws=500, seed=7)
    assert found[1:] == pytest.approx(tuple(theirs.confidence_interval))


def test_draws_may_be_taken_in_parts(monkeypatch):
    x = np.random.default_rng(0).standard_normal(64)
    whole = bootstrap_interval(np.mean, x, draws=200)
    monkeypatch.setattr(intervals, "_BLOCK", 1)
    assert bootstrap_interval(np.mean, x, draws=200) == pytest.approx(whole, abs=0.1)


def test_intervals_contain_the_true_value_in_95_percent():
    rng = np.random.default_rng(0)
    held = [
        low <= 0 <= high
        for _, low, high in (
            bootstrap_interval(np.mean, rng.standard_normal(100), draws=300)
            for _ in range(200)
        )
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.05)
    held = [
        low <= 0 <= high
        for _, low, high in (
            seeds_interval(rng.standard_normal(3)) for _ in range(1000)
        )
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_entries_of_one_index_stay_together():
    """An accuracy needs each image [...] to keep its label."""
    y = np.arange(50) % 5
    x = np.repeat(y, 12).reshape(50, 2, 2, 3)
    found = bootstrap_interval(lambda x, y: np.mean(x[:, 0, 0, 0] == y), x, y, draws=50)
    assert found == (1, 1, 1)


def test_the_bootstrap_is_wrong_for_a_distance_of_sets():
    """As the docstring says, a set with repetitions lies further from the other."""
    a, b = np.random.default_rng(0).standard_normal((2, 100, 20))
    found = bootstrap_interval(
        lambda x: frechet_distance(moments(x), moments(b)), a, draws=100
    )
    assert found.value < found.low


def test_bad_input_is_refused():
    x = np.arange(5.0)
    for call, said in [
        (lambda: bootstrap_interval(np.mean, x[:1]), r"two examples .* not \[1\]"),
        (lambda: bootstrap_interval(np.mean), r"not \[\]"),
        (lambda: bootstrap_interval(np.dot, x, x[1:]), r"not \[4, 5\]"),
        (lambda: bootstrap_interval(np.mean, x, draws=0), "needs draws=1 or more"),
        (lambda: bootstrap_interval(np.mean, x * np.nan), "no finite"),
        (lambda: seeds_interval([1.0]), r"at least two finite numbers, not \[1.0\]"),
        (lambda: seeds_interval([1.0, np.inf]), "two finite"),
    ]:
        with pytest.raises(UserError, match=said):
            call()


@pytest.mark.parametrize(("hits", "number"), [(0, 50), (50, 50), (7, 30)])
def test_the_interval_of_a_fraction_inverts_the_binomial(hits, number):
    """At each end, a result at least as extreme has a probability of 2.5 %."""
    value, low, high = fraction_interval(hits / number, number)
    assert value == hits / number
    if hits:
        assert stats.binom.sf(hits - 1, number, low) == pytest.approx(0.025)
    else:
        assert low == 0
    if hits < number:
        assert stats.binom.cdf(hits, number, high) == pytest.approx(0.025)
    else:
        assert high == 1


def test_the_interval_of_a_fraction_needs_an_example():
    with pytest.raises(UserError, match="at least one example"):
        fraction_interval(0.5, 0)
