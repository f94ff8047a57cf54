"""CONTRIBUTING.md and the Makefile name files and commands that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:skicl|tests|docs)/[\w./]+)`|\]\(([\w./]+)\)", PAGE)))


@pytest.mark.parametrize("path", [first or second for first, second in PATHS])
def test_files_that_are_named_exist(path):
    assert (ROOT / path).exists()


def test_commands_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"`?make ([a-z-]+)", PAGE)) <= targets
    assert len(targets) > 5


def test_each_part_is_added_in_four_places_at_most():
    parts = re.split(r"^\*\*An? ", PAGE.split("## Add a part")[1].split("## Send it")[0], flags=re.M)[1:]
    assert [part.split("**")[0].split(" of ")[0] for part in parts] == [
        "calibrator",
        "selector",
        "encoder",
        "prior",
        "reasoner",
    ]
    for part in parts:
        assert re.findall(r"^(\d)\. ", part, re.M) == list("1234")


def test_versions_of_hooks_are_those_of_the_pins():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    pins = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8")
    for name in ("ruff", "codespell"):
        version = re.search(rf"^{name}==([\d.]+)$", pins, re.M)[1]
        assert re.search(rf"{name}\S*\n    rev: v{re.escape(version)}\n", hooks)
