"""README and the pages of the documentation: their code runs, their links lead somewhere."""

import doctest
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = sorted(
    path for path in (ROOT / "docs").rglob("*.rst") if not {"generated", "auto_examples", "_build"} & set(path.parts)
)


def readme():
    return README.read_text(encoding="utf-8")


def readme_block(name):
    """The fenced block after ``<!-- name -->``, read as continuous integration reads it."""
    spec = importlib.util.spec_from_file_location("readme_block", ROOT / ".ci" / "readme_block.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fenced_block(readme(), name)


@pytest.mark.slow
def test_python_in_the_readme_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", readme(), flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout, "the code shows nothing"


@pytest.mark.parametrize("name", ["quickstart", "tests"])
def test_readme_states_the_commands_that_are_run(name):
    block = readme_block(name)
    assert "-c .ci/constraints.txt" in block
    assert len(block.splitlines()) == 1, "one command"
    for path in re.findall(r"[\w./-]+\.(?:py|txt)", block):
        assert (ROOT / path).exists(), path


def test_links_of_the_readme_exist():
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", readme())
    for target in [first or second for first, second in targets]:
        assert re.match(r"https?://", target) or (ROOT / target).exists(), target


SLOW_PAGES = {"quickstart.rst"}
MARKED = [pytest.param(page, marks=[pytest.mark.slow] if page.name in SLOW_PAGES else []) for page in PAGES]


@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.relative_to(ROOT / "docs").as_posix())
def test_code_in_the_pages_runs(path):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testfile(str(path), module_relative=False, optionflags=flags, encoding="utf-8")
    assert failed == 0


def test_glossary_terms_are_sorted():
    text = (ROOT / "docs" / "glossary.rst").read_text(encoding="utf-8")
    terms = re.findall(r"^    (\S.*)\n        \S", text, flags=re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) > 10


def test_gallery_files_have_a_title_and_run_as_scripts():
    """What sphinx-gallery and a reader need: a docstring with a title, and plain scripts."""
    for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*/plot_*.py")):
        first = path.read_text(encoding="utf-8").splitlines()[:3]
        assert first[0] == '"""', path.name
        assert set(first[2]) == {"="}, path.name
        assert len(first[2]) >= len(first[1]), path.name
