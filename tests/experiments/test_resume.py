"""Every experiment's run resumes bit for bit: four steps are two, a restart and two.

`test_runs.py` stops commands in every way; here each registered experiment is tried.
"""

import itertools

import jax
import numpy as np
import pytest
from goldens import CASES, built
from records import logged

from gen_jax import FitConfig, experiment, fit

OPTIONS = {"log_every_steps": 1, "sample_every_steps": 2}
# Large images: minutes without the compiler's optimisations.
SLOW = ("dcgan_radford", "ddpm_cifar10", "pix2pix_facades")


def test_every_experiment_has_a_case():
    assert {CASES[name][0] for name in experiment.names()} == set(experiment.names())


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n
        for n in experiment.names()
    ],
)
def test_a_resumed_run_is_the_uninterrupted_one(name, tmp_path):
    game, batch = built(name)
    one, two = tmp_path / "one", tmp_path / "two"

    def batches(start):
        return map(batch, itertools.count(start))

    def trained(steps, folder):
        held_out = batch(9) if game.ops.translate else None
        config = FitConfig(steps=steps, **OPTIONS)
        return fit(game, batches, config, workdir=folder, held_out=held_out)

    straight = trained(4, one)
    trained(2, two)
    resumed = trained(4, two)
    paths, found = jax.tree.flatten_with_path(resumed)[0], jax.tree.leaves(straight)
    for (path, mine), theirs in zip(paths, found, strict=True):
        if jax.dtypes.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, theirs = jax.random.key_data(mine), jax.random.key_data(theirs)
        assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes(), path
    assert logged(one) == logged(two)
    picture = "samples/4.png"
    assert (one / picture).read_bytes() == (two / picture).read_bytes()
