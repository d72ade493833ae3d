"""Reverse chains against plain NumPy, each other, and exact scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gen_jax import randomness
from gen_jax.diffusion import samplers, schedules
from gen_jax.diffusion.samplers import Denoised
from gen_jax.errors import UserError

SMALL = schedules.make_schedule(schedules.linear_betas(10, 0.01, 0.5))


def _keys(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def _of_eps(schedule, predict_eps):
    """The denoiser of a function that predicts eps: equation 4 solved for x_0."""
    alpha_bar = jnp.asarray(schedule.alpha_bar, jnp.float32)

    def denoise(x_t, t, x0_prev):
        abar = alpha_bar[t].reshape(-1, *[1] * (x_t.ndim - 1))
        eps_hat = predict_eps(x_t, t)
        return Denoised((x_t - jnp.sqrt(1 - abar) * eps_hat) / jnp.sqrt(abar))

    return denoise


# Some smooth function of both, with no meaning.
_denoise = _of_eps(
    SMALL, lambda x_t, t: jnp.sin(x_t) + 0.05 * t.astype(jnp.float32)[:, None]
)


def _start(n=3):
    return randomness.normal(_keys(n, seed=1), (2,))


def _exact_denoiser(schedule, weights, means, scale):
    """eps_hat = -sqrt(1 - alpha_bar) score, for a mixture of N(means, scale^2)."""
    table = jnp.asarray(schedule.alpha_bar, jnp.float32)
    weights, means = jnp.float32(weights), jnp.float32(means)

    def predict_eps(x_t, t):
        alpha_bar = table[t][:, None]
        offset = x_t - jnp.sqrt(alpha_bar) * means[None]
        variance = alpha_bar * scale**2 + 1 - alpha_bar
        log_p = jnp.log(weights)[None] - offset**2 / (2 * variance)
        score = jnp.sum(jax.nn.softmax(log_p, 1) * -offset / variance, 1, keepdims=True)
        return -jnp.sqrt(1 - alpha_bar) * score

    return _of_eps(schedule, predict_eps)


@pytest.mark.parametrize("variance", ["fixed_large", "fixed_small"])
def test_ancestral_is_algorithm_2(variance):
    keys, x_T = _keys(3), _start()
    x = np.asarray(x_T, np.float64)
    beta = np.linspace(0.01, 0.5, 10)
    alpha_bar = np.cumprod(1 - beta)
    for t in range(10, 0, -1):
        b, abar = beta[t - 1], alpha_bar[t - 1]
        eps_hat = np.sin(x) + 0.05 * t
        mean = (x - b / np.sqrt(1 - abar) * eps_hat) / np.sqrt(1 - b)  # equation 11
        x = mean
        if t > 1:
            small = b * (1 - alpha_bar[t - 2]) / (1 - abar)
            sigma = np.sqrt(b if variance == "fixed_large" else small)
            folded = [jax.random.fold_in(key, t) for key in keys]
            noise = np.stack([jax.random.normal(key, (2,)) for key in folded])
            x = mean + sigma * noise
    x_0 = samplers.ancestral(_denoise, SMALL, x_T, keys, variance=variance, clip=False)
    np.testing.assert_allclose(x_0, x, rtol=1e-4, atol=1e-4)


def test_ddim_is_equation_12_on_its_times():
    keys, x_T, eta = _keys(3), _start(), 0.6
    x = np.asarray(x_T, np.float64)
    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - np.linspace(0.01, 0.5, 10))])
    for t, s in [(10, 7), (7, 5), (5, 2), (2, 0)]:
        a_t, a_s = alpha_bar[t], alpha_bar[s]
        eps_hat = np.sin(x) + 0.05 * t
        x_0_hat = (x - np.sqrt(1 - a_t) * eps_hat) / np.sqrt(a_t)
        sigma = eta * np.sqrt((1 - a_s) / (1 - a_t)) * np.sqrt(1 - a_t / a_s)
        folded = [jax.random.fold_in(key, t) for key in keys]
        noise = np.stack([jax.random.normal(key, (2,)) for key in folded])
        direction = np.sqrt(1 - a_s - sigma**2) * eps_hat
        x = np.sqrt(a_s) * x_0_hat + direction + sigma * noise
    x_0 = samplers.ddim(_denoise, SMALL, x_T, keys, steps=4, eta=eta, clip=False)
    np.testing.assert_allclose(x_0, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("clip", [True, False])
def test_ddim_with_all_steps_at_eta_1_is_ancestral(clip):
    keys, x_T = _keys(3), _start()
    a = samplers.ancestral(
        _denoise, SMALL, x_T, keys, variance="fixed_small", clip=clip
    )
    b = samplers.ddim(_denoise, SMALL, x_T, keys, steps=10, eta=1.0, clip=clip)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_example_does_not_depend_on_its_neighbours():
    keys, x_T = _keys(3), _start()
    together = samplers.ancestral(_denoise, SMALL, x_T, keys)
    alone = samplers.ancestral(_denoise, SMALL, x_T[1:2], keys[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-6)


def test_clip_holds_every_x_0_to_the_range_of_images():
    x_T = jnp.full((2, 1), 50.0)
    for sample in (
        lambda clip: samplers.ancestral(_denoise, SMALL, x_T, _keys(2), clip=clip),
        lambda clip: samplers.ddim(_denoise, SMALL, x_T, _keys(2), steps=3, clip=clip),
    ):
        assert np.abs(sample(True)).max() <= 1 + 1e-6
        assert np.abs(sample(False)).max() > 1


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_one_point_is_found_again(sampler):
    """Data at one point: every chain ends exactly there, so no noise comes last."""
    c = 0.4
    denoise = _exact_denoiser(SMALL, [1.0], [c], 0.0)
    x_T = randomness.normal(_keys(5, seed=1), (1,))
    if sampler == "ancestral":
        x_0 = samplers.ancestral(denoise, SMALL, x_T, _keys(5))
    else:
        x_0 = samplers.ddim(denoise, SMALL, x_T, _keys(5), steps=3, eta=0.5)
    np.testing.assert_allclose(x_0, np.full((5, 1), c), atol=1e-5)


WEIGHTS, MEANS, SCALE = [0.3, 0.7], [-0.6, 0.5], 0.1


def _distances_to_the_mixture(sample, x_T, all_T):
    """Wasserstein distances of sample(denoise, schedule, x_T), one for every T."""
    grid = np.linspace(-2, 2, 100_001)
    components = zip(WEIGHTS, MEANS, strict=True)
    cdf = sum(w * scipy.stats.norm.cdf(grid, m, SCALE) for w, m in components)
    quantiles = np.interp((np.arange(len(x_T)) + 0.5) / len(x_T), cdf, grid)
    distances = []
    for T in all_T:  # the same process, in steps ever finer
        betas = schedules.linear_betas(T)
        schedule = schedules.make_schedule(betas)
        denoise = _exact_denoiser(schedule, WEIGHTS, MEANS, SCALE)
        run = jax.jit(lambda x, d=denoise, s=schedule: sample(d, s, x))
        x_0 = np.asarray(run(x_T))[:, 0]
        distances.append(scipy.stats.wasserstein_distance(x_0, quantiles))
    return distances, x_0


def test_ancestral_with_the_exact_score_recovers_a_mixture_better_as_t_grows():
    keys = _keys(4000)
    (coarse, fine), x_0 = _distances_to_the_mixture(
        lambda denoise, schedule, x_T: samplers.ancestral(
            denoise, schedule, x_T, keys, variance="fixed_small", clip=False
        ),
        randomness.normal(_keys(4000, seed=1), (1,)),
        (25, 400),
    )
    assert coarse > 2 * fine
    assert fine < 0.02  # exact samples of this size come within 0.003 to 0.01
    np.testing.assert_allclose((x_0 > 0).mean(), 0.7, atol=0.03)
    np.testing.assert_allclose(x_0[x_0 > 0].mean(), 0.5, atol=0.01)
    np.testing.assert_allclose(x_0[x_0 > 0].std(), 0.1, rtol=0.1)


def test_ddim_with_the_exact_score_transports_quantiles_to_quantiles():
    """In one dimension a deterministic chain keeps the order, so chance has no part."""
    ranks = (np.arange(500) + 0.5) / 500
    x_T = jnp.asarray(scipy.stats.norm.ppf(ranks)[:, None], jnp.float32)
    distances, x_0 = _distances_to_the_mixture(
        lambda denoise, schedule, x_T: samplers.ddim(
            denoise,
            schedule,
            x_T,
            _keys(500),
            steps=schedules.last_sampling_step(schedule),
            clip=False,
        ),
        x_T,
        (25, 100, 1000),
    )
    assert distances[0] > 2 * distances[1] > 4 * distances[2]
    assert distances[2] < 0.002
    assert (np.diff(x_0) > 0).all()


def test_the_program_does_not_grow_with_the_number_of_steps():
    def size(T):
        schedule = schedules.make_schedule(schedules.linear_betas(T, 1e-4, 0.02))
        denoise = _of_eps(schedule, lambda x_t, t: jnp.sin(x_t))

        def run(x_T, keys):
            return samplers.ancestral(denoise, schedule, x_T, keys)

        return len(jax.make_jaxpr(run)(_start(), _keys(3)).eqns)

    assert size(10) == size(500)


def test_mistakes_are_named():
    x_T, keys = _start(), _keys(3)
    for sampler in (samplers.ddim, samplers.heun, samplers.dpm_solver):
        for steps in (0, 11):
            with pytest.raises(UserError, match="1 to 10"):
                sampler(_denoise, SMALL, x_T, keys, steps=steps)
    with pytest.raises(UserError, match="between 0 and 1"):
        samplers.ddim(_denoise, SMALL, x_T, keys, steps=5, eta=1.5)


def test_respaced_ancestral_is_ddim_at_eta_1_on_the_same_times():
    """Nichol & Dhariwal's respaced posterior is Song et al.'s sigma at eta = 1."""
    keys, x_T = _keys(3), _start()
    options = {"steps": 4, "clip": False}
    a = samplers.ancestral(
        _denoise, SMALL, x_T, keys, variance="fixed_small", **options
    )
    b = samplers.ddim(_denoise, SMALL, x_T, keys, eta=1.0, **options)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("v", "variance"), [(0.0, "fixed_small"), (1.0, "fixed_large")]
)
def test_a_learned_variance_reaches_from_the_posteriors_to_beta(v, variance):
    """Equal to the fixed ones at the ends of its range, but for t = 2 down to 1."""
    keys, x_T = _keys(3), _start()

    def denoise(x_t, t, before):
        return _denoise(x_t, t, before)._replace(v=jnp.full_like(x_t, v))

    learned = samplers.ancestral(denoise, SMALL, x_T, keys, variance="learned_range")
    fixed = samplers.ancestral(_denoise, SMALL, x_T, keys, variance=variance)
    np.testing.assert_allclose(learned, fixed, rtol=1e-4, atol=1e-5)


def test_dpm_solver_is_algorithm_2_on_its_times():
    x_T = _start()
    x = np.asarray(x_T, np.float64)
    abar = np.concatenate([[1.0], np.cumprod(1 - np.linspace(0.01, 0.5, 10))])
    alpha, sigma = np.sqrt(abar), np.sqrt(1 - abar)
    with np.errstate(divide="ignore"):
        lam = np.log(alpha / sigma)
    before, h_before = None, None
    for t, s in [(10, 7), (7, 5), (5, 2), (2, 0)]:
        x_0_hat = (x - sigma[t] * (np.sin(x) + 0.05 * t)) / alpha[t]
        h, d = lam[s] - lam[t], x_0_hat
        if before is not None and s > 0:
            r = h_before / h
            d = (1 + 1 / (2 * r)) * x_0_hat - 1 / (2 * r) * before
        x = sigma[s] / sigma[t] * x - alpha[s] * (np.exp(-h) - 1) * d
        before, h_before = x_0_hat, h
    x_0 = samplers.dpm_solver(_denoise, SMALL, x_T, _keys(3), steps=4, clip=False)
    np.testing.assert_allclose(x_0, x, rtol=1e-4, atol=1e-4)


def test_heun_is_the_trapezoid_rule_on_its_times():
    x_T = _start()
    abar = np.concatenate([[1.0], np.cumprod(1 - np.linspace(0.01, 0.5, 10))])
    ratio = np.sqrt((1 - abar) / abar)
    x_bar = np.asarray(x_T, np.float64) / np.sqrt(abar[10])

    def slope(x_bar, t):
        return np.sin(np.sqrt(abar[t]) * x_bar) + 0.05 * t

    for t, s in [(10, 7), (7, 5), (5, 2), (2, 0)]:
        step = ratio[s] - ratio[t]
        first = slope(x_bar, t)
        second = slope(x_bar + step * first, s) if s else first
        x_bar = x_bar + step * (first + second) / 2
    x_0 = samplers.heun(_denoise, SMALL, x_T, _keys(3), steps=4, clip=False)
    np.testing.assert_allclose(x_0, x_bar, rtol=1e-4, atol=1e-4)


def _gaussian_flow():
    """Data from N(0, 1/4): the exact flow scales x_0 / (1/2) = x_T / sqrt(var x_T)."""
    schedule = schedules.make_schedule(schedules.linear_betas())
    denoise = _exact_denoiser(schedule, [1.0], [0.0], 0.5)
    x_T = jnp.linspace(-2, 2, 9)[:, None]
    variance = schedule.alpha_bar[-1] / 4 + 1 - schedule.alpha_bar[-1]
    return schedule, denoise, x_T, 0.5 * np.asarray(x_T) / np.sqrt(variance)


@pytest.mark.parametrize("name", ["heun", "dpm_solver"])
def test_second_order_samplers_need_fewer_steps(name):
    schedule, denoise, x_T, exact = _gaussian_flow()

    def error(name, steps):
        sampler = getattr(samplers, name)
        x_0 = sampler(denoise, schedule, x_T, _keys(9), steps=steps, clip=False)
        return np.abs(x_0 - exact).max()

    # ddim halves its error with twice the steps; these quarter it.
    assert error("ddim", 20) > 1.6 * error("ddim", 40)
    assert error(name, 20) > 3 * error(name, 40)
    assert error(name, 100) < 0.15 * error("ddim", 100)


def test_ddim_inverse_follows_the_flow_upwards():
    schedule, denoise, x_T, x_0 = _gaussian_flow()

    def error(steps):
        found = samplers.ddim_inverse(denoise, schedule, jnp.asarray(x_0), steps=steps)
        return np.abs(found - x_T).max()

    assert error(100) > 3 * error(400)
    assert error(1000) < 0.01


COSINE = schedules.make_schedule(schedules.cosine_betas())
GAUSSIAN = 0.3, 0.5  # mean and scale of data whose eps is known


def _imperfect(schedule):
    """The exact eps_hat of the Gaussian, 1 % too large, and shifted by 0.01."""
    mean, scale = GAUSSIAN
    tables = (schedule.signal, schedule.noise, schedule.alpha_bar)

    def predict_eps(x_t, t):
        signal, noise, alpha_bar = (schedules.at(table, t, x_t) for table in tables)
        variance = alpha_bar * scale**2 + 1 - alpha_bar
        return 1.01 * noise * (x_t - signal * mean) / variance + 0.01

    return _of_eps(schedule, predict_eps)


def test_the_last_steps_of_a_cosine_would_multiply_an_error_by_hundreds():
    """Why chains do not begin there: from T to the time before, in closed form."""
    for t, s, least in ((1000, 980, 500), (1000, 995, 100)):
        assert np.sqrt(COSINE.alpha_bar[s] / COSINE.alpha_bar[t]) > least
    tau = schedules.sampling_timesteps(COSINE, 50)
    assert np.sqrt(COSINE.alpha_bar[tau[-2]] / COSINE.alpha_bar[tau[-1]]) < 7


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ddim", {}),
        ("ddim", {"eta": 0.5}),
        ("ddim", {"eta": 1.0}),
        ("dpm_solver", {}),
        ("heun", {}),
        ("ancestral", {}),
    ],
)
def test_an_imperfect_denoiser_has_the_moments_of_the_data_on_a_cosine(name, options):
    """Within the error of 50 steps of DDIM on the paper's schedule: 11 %."""
    n, (mean, scale) = 20_000, GAUSSIAN
    x_T = randomness.normal(_keys(n, seed=1), (1,))
    sampler = getattr(samplers, name)
    x_0 = sampler(
        _imperfect(COSINE), COSINE, x_T, _keys(n), steps=50, clip=False, **options
    )
    np.testing.assert_allclose(x_0.mean(), mean, atol=0.06)
    np.testing.assert_allclose(x_0.std(), scale, rtol=0.15)


def test_an_imperfect_denoiser_leads_back_on_a_cosine():
    """As near as on the paper's schedule, in which no step multiplies errors much."""
    x_0 = jnp.linspace(-1, 1, 21)[:, None]

    def error(schedule):
        denoise = _imperfect(schedule)
        x_T = samplers.ddim_inverse(denoise, schedule, x_0, steps=200)
        assert 1 < np.abs(x_T).max() < 4
        back = samplers.ddim(
            denoise, schedule, x_T, _keys(21), steps=200, eta=0.0, clip=False
        )
        return np.abs(back - x_0).max()

    paper = schedules.make_schedule(schedules.linear_betas())
    assert error(COSINE) < max(0.05, 2 * error(paper))


def test_the_previous_estimate_is_passed_to_the_next_step():
    """Self-conditioning: 0 at first, then the estimate of the step before."""

    def denoise(x_t, t, before):
        return Denoised(before + 1)

    for sampler in (samplers.ddim, samplers.dpm_solver):
        x_0 = sampler(denoise, SMALL, _start(), _keys(3), steps=5, clip=False)
        np.testing.assert_allclose(x_0, np.full((3, 2), 5.0), atol=1e-5)
