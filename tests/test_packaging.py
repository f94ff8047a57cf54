"""Floors, extras and files that must agree with one another."""

import re
import tomllib
from importlib import metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import skicl

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = ["constraints.txt", "constraints-oldest.txt"]


def load_script(name):
    """A script of .ci as a module."""
    spec = spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UPDATE = load_script("update_constraints")


def floors(requirements):
    """``{package: version}`` of lines such as ``numpy>=1.26``."""
    found = {}
    for line in requirements:
        name, version = re.fullmatch(r"([\w.-]+)\s*(?:>=|==)\s*([\d.]+)", line).groups()
        found[name.lower()] = version
    return found


def pins(name):
    return UPDATE.pins_of((ROOT / ".ci" / name).read_text(encoding="utf-8"))


def installed_requirements(name):
    """Lines of an installed distribution; None where it is not installed."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return None


def lines_of(extras):
    return [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]


def same_version(first, second):
    """Whether two versions are equal up to trailing zeros."""
    return re.sub(r"(\.0)+$", "", first) == re.sub(r"(\.0)+$", "", second)


def test_oldest_constraints_equal_the_floors():
    oldest = pins("constraints-oldest.txt")
    declared = floors(lines_of(set(EXTRAS) - {"docs", "lint"}))  # these run with the newest only
    assert {"numpy", "transformers", "peft", "pillow", "soundfile", "matplotlib", "pytest"} <= set(declared)
    missing = set(declared) - set(oldest)
    assert not missing
    for name, version in declared.items():
        assert same_version(oldest[name], version), name
    assert same_version(oldest["scipy"], UPDATE.WITH_FLOORS["scipy"])


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


@pytest.mark.parametrize("name", FILES)
def test_files_of_pins_hold_one_version_of_a_package_a_line(name):
    text = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) > 70
    for line in lines:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*==\d[\w.]*", line), line
    assert lines == sorted(lines, key=lambda line: line.split("==")[0])
    assert len(pins(name)) == len(lines)


@pytest.mark.parametrize("name", FILES)
def test_torch_is_pinned_without_a_build_and_without_cuda(name):
    """Builds for CPUs match, and so do those of other systems."""
    found = pins(name)
    assert re.fullmatch(r"[\d.]+", found["torch"])
    assert not [package for package in found if UPDATE.OF_CUDA.match(package)]


def test_every_requirement_is_pinned_at_a_version_that_it_allows():
    found = pins("constraints.txt")
    for line in lines_of(EXTRAS):
        requirement = Requirement(line)
        assert canonicalize_name(requirement.name) in found, line
        assert requirement.specifier.contains(found[canonicalize_name(requirement.name)]), line


@pytest.mark.parametrize("name", FILES)
def test_the_build_is_pinned(name):
    """Constraints do not reach the environment that pip builds in, so the version stands in pyproject.toml too."""
    assert PYPROJECT["build-system"]["requires"] == [f"setuptools=={pins(name)['setuptools']}"]


def test_all_that_comes_with_the_pins_is_pinned():
    """Whatever the extras lead to, here and on any other Python and system, as far as the pins are installed here."""
    found = pins("constraints.txt")

    def requirements_of(name):
        """Another version than the pinned one may need other packages."""
        return installed_requirements(name) if installed(name) == found.get(name, installed(name)) else None

    reached = UPDATE.reachable(lines_of(EXTRAS), requirements_of, list(UPDATE.environments()))
    assert not set(reached) - set(found)
    for name, requirements in reached.items():
        for requirement in requirements:
            assert requirement.specifier.contains(found[name], prereleases=True), requirement
    if all(installed(name) == found[name] for name in ("transformers", "scikit-learn", "torch", "pytest")):
        assert len(reached) > 60, "the walk goes beyond what pyproject.toml names"


def installed(name):
    """Version of what is installed, without the name of the build; None where it is not."""
    try:
        return metadata.version(name).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def test_pins_are_for_every_declared_python():
    for name, version in pins("constraints.txt").items():
        if installed(name) == version:
            allowed = SpecifierSet(metadata.metadata(name)["Requires-Python"] or "")
            for python in UPDATE.pythons():
                assert allowed.contains(f"{python}.0"), name


def test_the_walk_finds_what_needs_what():
    """Extras of requirements, other systems and Pythons, and not what comes with CUDA."""
    shelf = {
        "one": ["two[fast]>=2; python_version < '3.12'", "nvidia-cublas-cu12==12.1; platform_system == 'Linux'"],
        "two": ["three; extra == 'fast'", "four; extra == 'slow'", "five; sys_platform == 'win32'"],
        "three": ["one", "Six_Seven"],
    }
    everywhere = list(UPDATE.environments())
    assert set(UPDATE.reachable(["one"], shelf.get, everywhere)) == {"one", "two", "three", "five", "six-seven"}
    late = [one for one in everywhere if one["python_version"] == "3.13"]
    assert set(UPDATE.reachable(["one"], shelf.get, late)) == {"one"}


def test_stages_of_the_workflows_use_the_pins_that_they_are_named_after():
    jobs = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8").split("\n  latest:")[1]
    latest, oldest = jobs.split("\n  oldest:")
    assert "pip install" in latest
    assert "constraints" not in latest
    assert "-c .ci/constraints-oldest.txt" in oldest.split("\n  offline:")[0]


def test_every_file_of_the_package_is_of_a_type_that_wheels_may_hold():
    files = [path for path in (ROOT / "skicl").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    suffixes = load_script("check_wheel").SUFFIXES
    assert [path.name for path in files if path.suffix not in suffixes] == []
    assert ROOT / "skicl" / "py.typed" in files
