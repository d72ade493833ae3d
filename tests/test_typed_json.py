"""JSON is read into dataclasses; each part that does not fit is named."""

import dataclasses
import json
from typing import Any

import pytest

from gen_jax import typed_json
from gen_jax.errors import UserError
from gen_jax.typed_json import at_least


@dataclasses.dataclass(frozen=True)
class Inner:
    number: float = at_least(0)
    name: str = "none"


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: dict[str, Inner]
    numbers: list[int] = dataclasses.field(default_factory=list)
    maybe: float | None = None
    flag: bool = False
    anything: Any = None


def read(text):
    problems = []
    return typed_json.read(Outer, json.loads(text), problems), problems


def test_a_written_record_is_read():
    before = Outer({"a": Inner(1.5, "b")}, [1, 2], None, True, {"c": [None]})
    after, problems = read(json.dumps(dataclasses.asdict(before)))
    assert (after, problems) == (before, [])
    assert read('{"inner": {"a": {"number": 3}}}')[0] == Outer({"a": Inner(3.0)})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "it is not an object"),
        ("{}", "it lacks inner"),
        ('{"inner": 3}', "inner is not an object"),
    ],
)
def test_an_object_without_a_needed_field_is_left_out(text, problem):
    assert read(text) == (None, [problem])


@pytest.mark.parametrize(
    ("inner", "problem"),
    [
        ("3", "inner.x is not an object"),
        ("{}", "inner.x lacks number"),
        ('{"number": "1"}', "inner.x.number is not a number"),
        ('{"number": true}', "inner.x.number is not a number"),
        ('{"number": NaN}', "number is nan; it has to be finite and at least 0"),
        ('{"number": -1}', "number is -1; it has to be finite and at least 0"),
        (f'{{"number": 1{"0" * 400}}}', "it has to be finite and at least 0"),
    ],
)
def test_a_damaged_element_alone_is_left_out(inner, problem):
    found, problems = read(f'{{"inner": {{"a": {{"number": 1}}, "x": {inner}}}}}')
    assert found == Outer({"a": Inner(1.0)})
    [said] = problems
    assert said.endswith(problem)


def test_a_damaged_field_gets_its_default():
    fields = '"numbers": [1, 2.5, "x", 3], "maybe": "x", "flag": 1, "other": 1'
    found, problems = read(f'{{"inner": {{}}, {fields}}}')
    assert found == Outer({}, [1, 3])
    assert problems == [
        "numbers.1 is not a whole number",
        "numbers.2 is not a whole number",
        "maybe is not a number",
        "flag is not true or false",
    ]


def test_a_file_that_has_to_fit_is_refused():
    assert typed_json.parse(Inner, {"number": 1}) == Inner(1.0)
    with pytest.raises(UserError, match=r"^number is not a number$"):
        typed_json.parse(Inner, {"number": []})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"number": -1}', "x.json: number is -1; it has to be"),
        ("3", "x.json: it is not an object"),
        ('{"number": 1', "x.json is not JSON"),
        ("[" * 100_000, "x.json is not JSON"),
    ],
)
def test_a_file_is_read_or_named(tmp_path, text, says):
    path = tmp_path / "x.json"
    path.write_text('{"number": 2, "name": "b"}')
    assert typed_json.load(Inner, path) == Inner(2.0, "b")
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        typed_json.load(Inner, path)
