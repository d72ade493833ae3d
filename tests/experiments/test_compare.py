"""The comparison of families: its protocol, its table, and a whole one, shrunk."""

import json

import pytest

from experiments import compare
from gen_jax.errors import UserError
from tests.experiments.command_line import run, succeed

PROTOCOL = {
    "data": "digits",
    "parameters": 2900,
    "tolerance": 0.02,
    "budget": {"seconds": 0.2, "gigaflops": 0.2},
    "trials": {"seed": 9, "learning_rate": [1, 2]},
    "seeds": 2,
    "samples": 300,
    "families": {
        "vae": {"config": {"hidden": 21, "z_dim": 2}},
        "ae": {"config": {"hidden": 21, "z_dim": 2}},
    },
}


def _written(path, **changes):
    path.write_text(json.dumps(PROTOCOL | changes))
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "lacks every field"),
        ("{}", "lacks budget"),
    ],
)
def test_a_damaged_protocol_is_told_so(tmp_path, text, says):
    path = tmp_path / "protocol.json"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        compare._read(path)


def test_the_parameters_are_counted_and_held_to():
    # Encoder 64-21-(2, 2) and decoder 2-21-64, biases included.
    count = 65 * 21 + 2 * 22 * 2 + 3 * 21 + 22 * 64
    protocol = {**PROTOCOL, "parameters": count}
    assert compare._parameters("vae", protocol) == count
    with pytest.raises(UserError, match="asks for 4,000 within 2 %"):
        compare._parameters("vae", {**PROTOCOL, "parameters": 4000})


@pytest.mark.slow
def test_two_families_from_protocol_to_table(tmp_path):
    path = _written(tmp_path / "protocol.json")
    succeed("compare", f"--protocol={path}", "--calibrate")
    families = json.loads(path.read_text())["families"]
    for family in families.values():
        assert family["steps"] * family["gigaflops"] <= 0.21
        assert family["steps"] >= 1
    flags = (f"--protocol={path}", f"--workdir={tmp_path / 'runs'}", "--jobs=2")
    table = succeed("compare", *flags).stdout
    assert [line.split("|")[1].strip() for line in table.strip().splitlines()] == [
        *("", "---", "`vae`", "`ae`", "real images")
    ]
    assert (tmp_path / "runs" / "comparison.png").stat().st_size > 1000
    again = succeed("compare", *flags)
    assert "experiments.train" not in again.stderr
    path.write_text(json.dumps({**json.loads(path.read_text()), "seeds": 3}))
    other = run("compare", *flags)
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "of another protocol" in other.stderr
