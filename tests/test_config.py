"""Configurations: typed overrides, the nearest name, JSON there and back."""

import dataclasses
import json

import pytest

from gen_jax import config as configs
from gen_jax.config import choice, nested, within
from gen_jax.errors import UserError
from gen_jax.experiment import RunConfig


@dataclasses.dataclass(frozen=True)
class Auto:
    pass


@dataclasses.dataclass(frozen=True)
class Narrow:
    width: int = within(1, None, default=4)
    dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Deep:
    depth: int = within(2, None, default=3)
    dropout: float = 0.5


NETWORKS = {"auto": Auto, "narrow": Narrow, "deep": Deep}


@dataclasses.dataclass(frozen=True)
class Nested(RunConfig):
    network: Auto | Narrow | Deep = nested(NETWORKS, default="auto")


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
    assert configs.flat(changed)[path] == value
    assert type(configs.flat(changed)[path]) is type(value)
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
        ("levels", "()", r"levels=\(\) is too short: at least 2 in the list"),
        ("levels", "1", r"levels=\(1,\) is too short: at least 2 in the list"),
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


def test_a_kind_and_its_own_fields_in_any_order():
    texts = [("network.depth", "7"), ("network", "deep"), ("steps", "9")]
    config = configs.override_all(Nested(), texts)
    assert config == Nested(network=Deep(depth=7), steps=9)
    assert configs.override_all(Nested(), texts[::-1]) == config
    # The kind that is there already keeps its fields.
    assert configs.override(config, "network", "deep") == config
    assert configs.override(config, "network", "narrow").network == Narrow()
    values = configs.flat(config)
    assert (values["network"], values["network.depth"]) == ("deep", 7)
    assert configs.metadata(config, "network.depth")["low"] == 2


@pytest.mark.parametrize(
    ("config", "path", "text", "message"),
    [
        (Nested(), "network", "wide", "network=wide is not one of auto, narrow, deep"),
        (
            *(Nested(), "network.width", "7"),
            "network=auto has no field 'width'; to set it, add "
            "--config.network=narrow$",
        ),
        (
            *(Nested(), "network.dropout", "0"),
            "add --config.network=narrow or --config.network=deep$",
        ),
        (
            *(Nested(network=Deep()), "network.width", "7"),
            "network=deep has no field 'width'; to set it, add ",
        ),
        (Nested(), "network.widht", "7", r"Did you mean network\.width\?"),
        (
            Nested(),
            "network.quux.x",
            "7",
            r"no field 'network\.quux\.x'\. Did you mean",
        ),
        (
            *(Nested(network=Deep()), "network.depth", "1"),
            r"network\.depth=1 is out of range: at least 2",
        ),
        (
            *(Nested(network=Deep()), "network.depth", "x"),
            r"network\.depth=x is not a whole number",
        ),
        (Recipe(), "payoff.x", "1", r"no field 'payoff\.x'"),
    ],
)
def test_a_field_of_another_kind_gets_one_line(config, path, text, message):
    with pytest.raises(UserError, match=message) as raised:
        configs.override(config, path, text)
    assert "\n" not in str(raised.value)


def test_a_nested_value_is_one_of_its_kinds_and_within_its_limits():
    with pytest.raises(UserError, match=r"network\.depth=1 is out of range"):
        Nested(network=Deep(depth=1))
    with pytest.raises(UserError, match="is not one of the kinds auto, narrow, deep"):
        Nested(network=Recipe())


def test_a_kind_is_saved_as_json():
    config = Nested(network=Narrow(width=8))
    saved = json.loads(json.dumps(configs.to_dict(config)))
    assert saved["network"] == {"kind": "narrow", "width": 8, "dropout": 0.0}
    assert configs.from_dict(Nested(), saved) == config
    older = {"network": {"kind": "deep"}}
    assert configs.from_dict(Nested(), older).network == Deep()
    assert configs.from_dict(Nested(network=Deep(7)), older).network == Deep(7)


def test_differences_of_another_kind_are_from_its_defaults():
    config = Nested(network=Narrow(width=8))
    assert configs.differences(config, Nested()) == ["network", "network.width"]
    other = Nested(network=Deep(dropout=0.0))
    assert configs.differences(config, other) == ["network", "network.width"]
    assert configs.differences(Nested(), config) == ["network"]
    assert configs.differences(config, Nested(network=Narrow())) == ["network.width"]


@dataclasses.dataclass(frozen=True)
class Source:
    """Fields that depend on the value of another one, as of a data source."""

    spec: str = "plain"

    def adapted(self, values):
        cls = Sized if values.get("spec", self.spec) == "sized" else Source
        return self if type(self) is cls else cls(spec=self.spec)


@dataclasses.dataclass(frozen=True)
class Sized(Source):
    size: int = 3


@dataclasses.dataclass(frozen=True)
class Adapting(RunConfig):
    source: Source = dataclasses.field(default_factory=Source)


def test_a_value_may_bring_further_fields():
    texts = [("source.size", "7"), ("source.spec", "sized")]
    config = configs.override_all(Adapting(), texts)
    assert config.source == Sized("sized", 7)
    assert configs.from_dict(Adapting(), configs.to_dict(config)) == config
    assert configs.differences(config, Adapting()) == ["source.spec", "source.size"]
    with pytest.raises(UserError, match=r"no field 'source\.size'"):
        configs.override(Adapting(), "source.size", "7")


def test_json_there_and_back():
    config = Recipe(hidden=(1, 2), scale=0.5, steps=3)
    saved = json.loads(json.dumps(configs.to_dict(config)))
    assert configs.from_dict(Recipe(), saved) == config


def test_an_older_run_lacks_a_field_and_a_newer_one_has_more():
    saved = configs.to_dict(Recipe(rate=0.5))
    del saved["payoff"]
    assert configs.from_dict(Recipe(payoff="non_saturating"), saved).rate == 0.5
    with pytest.raises(UserError, match=r"the saved run has the field data\.colour"):
        configs.from_dict(Recipe(), {"data": {"colour": 1}})


def test_which_fields_may_change_on_resume():
    config = Recipe()
    free = {
        path
        for path in configs.flat(config)
        if configs.may_change_on_resume(config, path)
    }
    assert free == {
        "steps",
        "steps_per_call",
        "log_every_steps",
        "sample_every_steps",
        "checkpoint_every_seconds",
        "keep_every_steps",
        "data.replace_broken",
        "data.max_pixels",
        "data.memory_gib",
    }


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (5, "the configuration was saved as 5"),
        ({"data": [1]}, r"data was saved as \[1\]"),
        ({"steps": "x"}, "steps=x is not a whole number"),
        ({"rate": 10**400}, "is not a finite number"),
        ({"hidden": {"a": 1}}, "is not a list"),
        ({"payoff": 3}, "payoff=3 is not a text"),
    ],
)
def test_an_invalid_saved_configuration_is_refused(saved, message):
    with pytest.raises(UserError, match=message):
        configs.from_dict(Recipe(), saved)


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        ({"kind": "wide"}, r"network\.kind=wide is not one of auto, narrow, deep"),
        ({"width": 3}, r"network\.kind=None is not one of"),
        ({"kind": "deep", "width": 3}, r"has the field network\.width, which gen_jax"),
        ({"kind": "deep", "depth": 1}, r"network\.depth=1 is out of range"),
        ("deep", "network was saved as 'deep', which has no fields"),
    ],
)
def test_an_invalid_saved_network_is_refused(saved, message):
    with pytest.raises(UserError, match=message):
        configs.from_dict(Nested(), {"network": saved})
