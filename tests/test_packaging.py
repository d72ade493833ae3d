"""Platforms on which the project installs, by the markers in pyproject.toml."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PLATFORMS = {
    "Windows": {
        "platform_system": "Windows",
        "sys_platform": "win32",
        "platform_machine": "AMD64",
    },
    "macOS": {
        "platform_system": "Darwin",
        "sys_platform": "darwin",
        "platform_machine": "arm64",
    },
    "Linux": {
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    },
}
# Packages without wheels for some platforms, by their files on PyPI (November 2026).
NOT_FOR = {"array-record": {"Windows"}, "tensorflow-cpu": {"macOS"}}


def requirements() -> list[Requirement]:
    """Return the requirements of the project and of all its extras."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(r) for rs in [PROJECT["dependencies"], *extras] for r in rs]


def wanted(requirement: Requirement, platform: str) -> bool:
    marker = requirement.marker
    return marker is None or marker.evaluate(PLATFORMS[platform])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_only_packages_with_wheels_are_wanted(platform):
    names = {r.name for r in requirements() if wanted(r, platform)}
    without_wheels = {name for name, where in NOT_FOR.items() if platform in where}
    assert names & without_wheels == set()
    assert {"jax", "flax", "orbax-checkpoint", "tensorflow-datasets", "grain"} <= names


def test_linux_gets_everything():
    assert {r.name for r in requirements()} == {
        r.name for r in requirements() if wanted(r, "Linux")
    } | {"tensorflow"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_platform_gets_one_tensorflow(platform):
    names = [r.name for r in requirements() if wanted(r, platform)]
    expected = "tensorflow" if platform == "macOS" else "tensorflow-cpu"
    assert [n for n in names if n in ("tensorflow", "tensorflow-cpu")] == [expected]


def test_array_record_has_the_marker_of_tensorflow_datasets():
    theirs = map(Requirement, importlib.metadata.requires("tensorflow-datasets"))
    markers = {r.name.replace("_", "-"): r.marker for r in theirs}
    [ours] = [r for r in requirements() if r.name == "array-record"]
    assert ours.marker == markers["array-record"]
