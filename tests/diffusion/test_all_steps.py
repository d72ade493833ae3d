"""A chain of as many steps as the process has times visits all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_jax.diffusion import samplers, schedules
from gen_jax.errors import UserError
from tests.diffusion.test_samplers import SMALL, _denoise, _keys, _of_eps, _start

NO_SIGNAL = schedules.make_schedule(schedules.cosine_betas(30))


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver", "heun"])
def test_as_many_steps_as_times_visit_every_time(sampler):
    """Also for schedules whose last times hold no signal, where few steps stop."""
    last = schedules.last_sampling_step(NO_SIGNAL)
    assert last < NO_SIGNAL.T
    denoise = _of_eps(NO_SIGNAL, lambda x_t, t: jnp.tanh(x_t))
    seen = []

    def watched(x_t, t, x0_prev):
        jax.debug.callback(lambda time: seen.append(int(time)), t[0])
        return denoise(x_t, t, x0_prev)

    sample = getattr(samplers, sampler)
    x = sample(watched, NO_SIGNAL, _start(), _keys(3), steps=NO_SIGNAL.T)
    jax.effects_barrier()
    assert {*seen} == {*range(1, NO_SIGNAL.T + 1)}
    assert np.isfinite(x).all()
    for steps in (0, last + 1, NO_SIGNAL.T - 1, NO_SIGNAL.T + 1):
        if last < steps < NO_SIGNAL.T or steps in (0, NO_SIGNAL.T + 1):
            with pytest.raises(UserError, match=f"1 to {last}, or all {NO_SIGNAL.T}"):
                sample(watched, NO_SIGNAL, _start(), _keys(3), steps=steps)


def test_ancestral_with_all_steps_is_its_default():
    for schedule in (SMALL, NO_SIGNAL):
        given, usual = (
            samplers.ancestral(_denoise, schedule, _start(), _keys(3), steps=steps)
            for steps in (schedule.T, None)
        )
        np.testing.assert_array_equal(given, usual)
