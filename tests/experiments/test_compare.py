"""The comparison of families: its protocol, its table, and a whole one, shrunk."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from experiments.studies import compare, protocol
from gen_jax import images, typed_json
from gen_jax.errors import DivergedError, UserError
from gen_jax.evaluation import Measured, Record, Value
from gen_jax.files import locked
from tests.experiments.command_line import run, shrunk, succeed

PROTOCOL = {
    "data": "digits",
    "parameters": 2900,
    "tolerance": 0.02,
    "budget": {"seconds": 0.2, "gigaflops": 0.2},
    "trials": {"seed": 9, "learning_rate": [1, 2]},
    "seeds": 2,
    "samples": 300,
    "families": {
        "vae": {"config": {"network.hidden": 21, "z_dim": 2}},
        "ae": {"config": {"network.hidden": 21, "z_dim": 2}},
    },
}
AGREED = typed_json.parse(protocol.Protocol, PROTOCOL)


def _written(path, **changes):
    path.write_text(json.dumps(PROTOCOL | changes))
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 99999, "is not JSON"),
        ("[]", "it is not an object"),
        ("{}", "it lacks data"),
    ],
)
def test_a_damaged_protocol_is_an_error(tmp_path, text, says):
    path = tmp_path / "protocol.json"
    path.write_text(text)
    with pytest.raises(UserError, match=says):
        protocol.read(path)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("families", [], "families is not an object"),
        ("families", {}, "families is empty"),
        ("families", {"vae": 3}, "families.vae is not an object"),
        ("families", {"vae": {}}, "families.vae lacks config"),
        ("trials", {}, "trials lacks seed"),
        ("trials", {"seed": 0, "learning_rate": []}, "trials.learning_rate is empty"),
        ("trials", {"seed": 0, "learning_rate": [1, 1.0]}, "or has a number twice"),
        (
            "families",
            {"vae": {"config": {"seed": 3}}},
            "the config of vae sets seed",
        ),
        ("trials", {"seed": 0, "learning_rate": ["x"]}, "rate.0 is not a number"),
        ("trials", {"seed": 0.5, "learning_rate": [1]}, "seed is not a whole number"),
        ("tolerance", "a", "tolerance is not a number"),
        ("tolerance", float("nan"), "tolerance is nan; it has to be finite"),
        ("parameters", True, "parameters is not a whole number"),
        ("budget", {"seconds": -1, "gigaflops": 1}, "budget.seconds is -1"),
        ("seeds", 1, "seeds is 1; it has to be finite and at least 2"),
        ("data", None, "data is not a text"),
    ],
)
def test_a_field_of_another_kind_is_an_error(tmp_path, field, value, says):
    path = _written(tmp_path / "protocol.json", **{field: value})
    with pytest.raises(UserError, match=says) as told:
        protocol.read(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["digits", "fashion_mnist"])
def test_the_protocols_here_are_read(name):
    path = Path(protocol.__file__).parent / "protocols" / f"{name}.json"
    agreed = protocol.read(path)
    for family in agreed.families:  # every field that they name exists
        assert compare.recipe_of(family, agreed)[1].data.spec == name


def test_the_parameters_of_the_digits_are_as_the_protocol_says():
    path = Path(protocol.__file__).parent / "protocols" / "digits.json"
    agreed = protocol.read(path)
    for family in agreed.families:
        assert compare.parameters(family, agreed) > 0  # else it would raise


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "it is not an object"),
        ('{"protocol": "x", "trials": {"vae": 3}, "families": {}}', "trials.vae is"),
        ('{"protocol": "x", "trials": {}, "families": {"vae": {}}}', "lacks factor"),
        ('{"protocol": "x", "trials": {}, "families": {}}', "is of another protocol"),
    ],
)
def test_a_damaged_record_is_an_error(tmp_path, text, says):
    (tmp_path / "comparison.json").write_text(text)
    with pytest.raises(UserError, match=says):
        compare.read_record(tmp_path, AGREED)


def test_mistakes_cost_one_line(tmp_path):
    path = _written(tmp_path / "protocol.json", families=[])
    done = run("compare", f"--protocol={path}", f"--workdir={tmp_path / 'runs'}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "families is not an object" in done.stderr


def test_the_parameters_are_counted_and_checked():
    # Encoder 64-21-(2, 2) and decoder 2-21-64, biases included.
    count = 65 * 21 + 2 * 22 * 2 + 3 * 21 + 22 * 64
    exact, other = (dataclasses.replace(AGREED, parameters=n) for n in (count, 4000))
    assert compare.parameters("vae", exact) == count
    with pytest.raises(UserError, match="asks for 4,000 within 2 %"):
        compare.parameters("vae", other)


def test_a_trial_that_diverged_is_never_the_best():
    assert compare.best("vae", {"1": 3.0, "2": None, "3": 2.5}) == "3"
    with pytest.raises(UserError, match="every trial of vae diverged"):
        compare.best("vae", {"1": None})


@pytest.mark.slow
def test_a_diverged_training_is_recognised_by_its_exit_code(tmp_path):
    flags = (f"--workdir={tmp_path / 'run'}", "--config.learning_rate=1e30")
    with pytest.raises(DivergedError, match="no longer finite"):
        compare._command("train", *shrunk("vae", 8), *flags)
    with pytest.raises(UserError, match=r"exit code 2: .*no experiment") as told:
        compare._command("train", "--experiment=x", flags[0])
    assert not isinstance(told.value, DivergedError)


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


def test_a_seed_or_a_family_that_fails_is_left_out_alone(tmp_path, monkeypatch):
    """A trial of ae fails, and a seed of vae: its table row is of the other seeds."""
    costs = {"milliseconds": 1.0, "gigaflops": 0.001, "steps": 4}
    families = {n: {**f, **costs} for n, f in PROTOCOL["families"].items()}
    agreed = typed_json.parse(
        protocol.Protocol, PROTOCOL | {"families": families, "seeds": 3}
    )
    value = Value(1.0, 0.5, 1.5, real_baseline=0.2)

    def command(name, *flags):
        given = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
        run = Path(given["workdir"])
        if name == "train":
            if given["experiment"] == "ae":
                raise UserError("no memory")
            if "seed_1" in str(run):
                raise DivergedError("no longer finite")
            images.save_png(run / "samples" / "4.png", np.zeros((9, 9, 1), np.uint8))
            return
        named = dict.fromkeys(compare._SHOWN, value)
        context = {"step": 4}
        found = {
            n: Measured(named, context=context) for n in ("on_classifier", "copies")
        }
        run.mkdir(parents=True, exist_ok=True)
        Record(found).write(run / "evaluation.json")
        if run.name == "seeds":
            raise UserError("left out: seed 1: has no checkpoint")

    monkeypatch.setattr(compare, "_command", command)
    table, failed = compare.Comparison(agreed, tmp_path).run()
    assert [line.split("|")[1].strip() for line in table.strip().splitlines()] == [
        *("", "---", "`vae`", "real images")
    ]
    assert failed[0].startswith("ae: trial 1 failed: no memory") or "ae" in failed[0]
    assert any("vae: seed 1 failed: no longer finite" in line for line in failed)
    assert (tmp_path / "comparison.png").exists()
    with (
        pytest.raises(UserError, match="another process compares"),
        locked(tmp_path),
    ):
        compare.Comparison(agreed, tmp_path).run()
