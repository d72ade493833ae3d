"""Every experiment's run resumes bit for bit: four steps are two, a restart and two.

`test_runs.py` stops commands in every way; here each registered experiment is tried.
"""

import itertools
import shutil

import jax
import numpy as np
import pytest
from goldens import CASES, built
from records import logged

from gen_jax import FitConfig, devices, experiment, fit

CONFIG = FitConfig(steps=4, log_every_steps=1, sample_every_steps=2, keep_every_steps=2)
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
    mesh = devices.data_mesh(jax.devices()[:1])  # as the golden values: one compilation

    def batches(start):
        return map(batch, itertools.count(start))

    def trained(folder):
        held_out = batch(9) if game.ops.translate else None
        return fit(game, batches, CONFIG, workdir=folder, mesh=mesh, held_out=held_out)

    straight = trained(one)
    shutil.copytree(one, two)
    shutil.rmtree(two / "checkpoints" / "4")  # as if it had died before
    (two / "samples" / "4.png").unlink()
    resumed = trained(two)
    paths, found = jax.tree.flatten_with_path(resumed)[0], jax.tree.leaves(straight)
    for (path, mine), theirs in zip(paths, found, strict=True):
        if jax.dtypes.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, theirs = jax.random.key_data(mine), jax.random.key_data(theirs)
        assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes(), path
    assert logged(one) == logged(two)
    picture = "samples/4.png"
    assert (one / picture).read_bytes() == (two / picture).read_bytes()
