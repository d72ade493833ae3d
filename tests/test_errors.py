"""A choice that does not exist is named, with those that do."""

import pytest

from gen_jax.errors import UserError, choose


def test_choose():
    assert choose("sampler", "b", {"a": 1, "b": 2}) == 2
    with pytest.raises(
        UserError, match=r"^sampler 'c' is unknown: choose one of a, b$"
    ):
        choose("sampler", "c", {"a": 1, "b": 2})
