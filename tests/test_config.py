"""Configurations: typed overrides, the nearest name, JSON there and back."""

import dataclasses
import json

import pytest

from gen_jax import config as configs
from gen_jax.config import choice, within
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig


@dataclasses.dataclass(frozen=True)
class Recipe(RunConfig):
    steps: int = 77
    rate: float = 1e-3
    hidden: tuple[int, ...] = within(1, None, default=(500,))
    levels: tuple[int, ...] = within(1, None, default=(1, 2), min_length=2)
    payoff: str = choice({"minimax": 1, "non_saturating": 2}, default="minimax")
    patch: int | None = choice((1, 16), default=None)
    scale: float | None = within(0, 9, default=None)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("steps", "7", 7),
        ("rate", "1e-4", 1e-4),
        ("rate", "3", 3.0),
        ("hidden", "(1, 2)", (1, 2)),
        ("hidden", "1,2", (1, 2)),
        ("hidden", "64", (64,)),
        ("hidden", "()", ()),
        ("payoff", "non_saturating", "non_saturating"),
        ("scale", "0.5", 0.5),
        ("scale", "None", None),
        ("patch", "16", 16),
        ("patch", "None", None),
        ("flip", "true", True),
        ("flip", "False", False),
        ("data.spec", "folder:/a b", "folder:/a b"),
        ("data.spec", "7", "7"),
        ("data.image_size", "32", 32),
    ],
)
def test_overrides_are_typed(path, text, value):
    changed = configs.override(Recipe(), path, text)
    assert configs.get(changed, path) == value
    assert type(configs.get(changed, path)) is type(value)
    assert configs.differences(changed, Recipe()) in ([path], [])


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("stesp", "7", r"no field 'stesp'\. Did you mean steps\?$"),
        ("STEPS", "7", r"no field 'STEPS'\. Did you mean steps\?$"),
        ("quux", "7", r"no field 'quux'\. It has: seed, microbatches"),
        ("data.imagesize", "7", r"Did you mean data\.image_size\?"),
        ("data", "digits", "no field 'data'"),
        ("steps", "many", "steps=many is not a whole number"),
        ("steps", "1.5", "steps=1.5 is not a whole number"),
        ("steps", "True", "steps=True is not a whole number"),
        ("steps", "0", "steps=0 is out of range: at least 1"),
        ("batch_size", "-3", "batch_size=-3 is out of range: at least 1"),
        ("seed", "4294967296", "seed=4294967296 is out of range: at most 4294967295"),
        ("rate", "fast", "rate=fast is not a number"),
        ("rate", "float('nan')", "is not a number"),
        ("rate", "nan", "rate=nan is not a finite number"),
        ("rate", "-inf", "rate=-inf is not a finite number"),
        ("rate", "1e999", "rate=inf is not a finite number"),
        ("rate", "1" + "0" * 400, "0 is not a finite number"),
        ("rate", "{[]: 1}", "is not a number"),
        ("steps", "nan", "steps=nan is not a whole number"),
        ("steps", "2147483648", "out of range: at most 2147483647"),
        ("batch_size", "9" * 21, "out of range: at most 1048576"),
        ("hidden", "a", "hidden=a is not a list of whole numbers, such as 1,2"),
        ("hidden", "a,b", "is not a list of whole numbers"),
        ("hidden", "1,x", "is not"),
        ("hidden", "9" * 21, "out of range: at most 2147483647"),
        ("hidden", "5,0", r"hidden=\(5, 0\) is out of range: at least 1"),
        ("levels", "()", r"levels=\(\) is too short: it needs at least 2"),
        ("levels", "1", r"levels=\(1,\) is too short: it needs at least 2"),
        ("payoff", "hinge", "payoff=hinge is not one of minimax, non_saturating"),
        ("patch", "7", "patch=7 is not one of 1, 16"),
        ("scale", "9.5", "scale=9.5 is out of range: at most 9"),
        ("flip", "maybe", "flip=maybe is not true or false"),
    ],
)
def test_a_wrong_override_gets_one_line(path, text, message):
    with pytest.raises(UserError, match=message) as raised:
        configs.override(Recipe(), path, text)
    assert "\n" not in str(raised.value)


def test_another_default_keeps_the_limits_of_the_field():
    @dataclasses.dataclass(frozen=True)
    class Narrow(Recipe):
        hidden: tuple[int, ...] = (8,)
        payoff: str = "non_saturating"

    with pytest.raises(UserError, match=r"hidden=\(0,\) is out of range: at least 1"):
        Narrow(hidden=(0,))
    with pytest.raises(UserError, match="payoff=hinge is not one of minimax, non_sat"):
        Narrow(payoff="hinge")


def test_json_there_and_back():
    config = Recipe(hidden=(1, 2), scale=0.5, steps=3)
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert configs.from_dict(Recipe(), saved) == config


def test_an_older_run_lacks_a_field_and_a_newer_one_has_more():
    saved = dataclasses.asdict(Recipe(rate=0.5))
    del saved["payoff"]
    assert configs.from_dict(Recipe(payoff="non_saturating"), saved).rate == 0.5
    with pytest.raises(UserError, match=r"knows no field data\.colour"):
        configs.from_dict(Recipe(), {"data": {"colour": 1}})


def test_what_may_change_when_a_run_goes_on():
    config = Recipe()
    free = {
        path
        for path in configs.field_paths(config)
        if configs.may_change_on_resume(config, path)
    }
    assert free == {
        "steps",
        "steps_per_call",
        "log_every_steps",
        "sample_every_steps",
        "checkpoint_every_seconds",
        "keep_every_steps",
    }


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (5, "the configuration was saved as 5"),
        ({"data": [1]}, r"data was saved as \[1\]"),
        ({"steps": "x"}, "steps=x is not a whole number"),
        ({"rate": 10**400}, "is not a finite number"),
        ({"hidden": {"a": 1}}, "is not a list"),
    ],
)
def test_what_no_configuration_was_saved_as(saved, message):
    with pytest.raises(UserError, match=message):
        configs.from_dict(Recipe(), saved)
