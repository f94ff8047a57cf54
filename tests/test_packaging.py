"""Floors, extras and files that must agree with one another."""

import re
import tomllib
from pathlib import Path

import pytest

import skicl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def floors(requirements):
    """``{package: version}`` of lines such as ``numpy>=1.26``."""
    found = {}
    for line in requirements:
        name, version = re.fullmatch(r"([\w.-]+)\s*(?:>=|==)\s*([\d.]+)", line).groups()
        found[name.lower()] = version
    return found


def pins(name):
    lines = (ROOT / ".ci" / name).read_text(encoding="utf-8").splitlines()
    return floors(line for line in lines if line and not line.startswith("#"))


def same_version(first, second):
    """Whether two versions are equal up to trailing zeros."""
    return re.sub(r"(\.0)+$", "", first) == re.sub(r"(\.0)+$", "", second)


def test_oldest_constraints_equal_the_floors():
    oldest = pins("constraints-oldest.txt")
    extras = PROJECT["optional-dependencies"]
    declared = floors(PROJECT["dependencies"]) | floors(extras["plot"])
    missing = set(declared) - set(oldest)
    assert not missing
    for name, version in declared.items():
        assert same_version(oldest[name], version), name
    for name, version in floors(extras["test"]).items():
        assert name not in oldest or same_version(oldest[name], version), name


def test_one_package_has_one_floor():
    everywhere = {}
    for extra in PROJECT["optional-dependencies"].values():
        for name, version in floors(extra).items():
            assert everywhere.setdefault(name, version) == version, name


def test_version_is_the_same_everywhere():
    assert skicl.__version__ == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[({re.escape(skicl.__version__)}|Unreleased)\]", changelog, flags=re.MULTILINE)


def test_workflows_cover_the_declared_pythons():
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    tested = re.search(r"python: \[(.+)\]", workflow)[1]
    assert re.findall(r"3\.\d+", tested) == declared
    assert PROJECT["requires-python"] == f">={declared[0]}"


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_torch_is_pinned(name):
    assert "torch" in pins(name)
