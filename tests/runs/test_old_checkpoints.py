"""A checkpoint of format 2 is read for ever after, one of each family."""

import numpy as np
import pytest
from make_checkpoints import EXPECTED, FAMILIES, read, unpacked

from gen_jax.runs import checkpoint

KNOWN = dict(np.load(EXPECTED))


def test_every_family_has_one():
    assert {name.partition("/")[0] for name in KNOWN} == {*FAMILIES}


@pytest.mark.parametrize("name", FAMILIES)
def test_its_weights_and_samples_have_not_changed(name, tmp_path):
    folder = unpacked(name, tmp_path)
    [directory] = checkpoint.step_directories(folder)
    assert checkpoint.read_meta(directory)["format"] == 2
    found = read(name, folder)
    for key, value in found.items():
        if key.endswith("/samples"):
            np.testing.assert_allclose(value, KNOWN[key], rtol=0, atol=2e-3)
        else:
            np.testing.assert_allclose(value, KNOWN[key], rtol=1e-6)
    assert {*found} == {key for key in KNOWN if key.startswith(f"{name}/")}
