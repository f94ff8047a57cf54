"""The net for deprecated calls of skicl (conftest.py of the project) can catch something."""

from pathlib import Path

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]

# Functions that look as if they were written in a module of skicl, and one that is not.
CASES = '''
import logging, os, warnings
import pytest
import skicl

class Odd:
    def __int__(self):
        return True

def written_in(folder, source):
    names = {"warnings": warnings, "logging": logging, "Odd": Odd}
    exec(compile("def f():\\n    " + source, os.path.join(folder, "file.py"), "exec"), names)
    return names["f"]

HERE = os.path.dirname(skicl.__file__)
WARN = "warnings.warn('old', {}, stacklevel=2)"

def of_library(call):
    """A library that warns in its own name of what it was called for."""
    call()

@pytest.mark.parametrize("kind", ["FutureWarning", "DeprecationWarning", "PendingDeprecationWarning"])
def test_bad_warnings(kind):
    of_library(written_in(HERE, WARN.format(kind)))

def test_bad_warning_of_c_code():
    written_in(HERE, "int(Odd())")()

def test_bad_recorded_warning():
    with pytest.warns(FutureWarning):
        written_in(HERE, WARN.format("FutureWarning"))()

def test_bad_message():
    logging.getLogger("transformers.models.any").warning("placeholder")
    written_in(HERE, "logging.getLogger('transformers.models.any').warning('`%s` are deprecated', 'names')")()

@pytest.fixture
def setting_up():
    written_in(HERE, WARN.format("FutureWarning"))()

def test_wrong_from_the_start(setting_up):
    pass

def test_good_warnings_of_others():
    written_in("/elsewhere", WARN.format("FutureWarning"))()

def test_good_other_warnings():
    written_in(HERE, WARN.format("UserWarning"))()

def test_good_other_messages():
    written_in(HERE, "logging.getLogger('transformers').warning('layers are random')")()
    written_in(HERE, "logging.getLogger('mine').warning('deprecated')")()

@pytest.mark.filterwarnings("ignore:old")
def test_good_ignored():
    written_in(HERE, WARN.format("FutureWarning"))()
'''


def test_deprecated_calls_of_skicl_fail_the_test_that_makes_them(pytester):
    pytester.makeconftest((ROOT / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(test_cases=CASES)
    result = pytester.runpytest_subprocess("-rA", "-p", "no:cacheprovider")
    outcome = {
        line.split("::")[1].split(" ")[0]: line.split(" ")[0]
        for line in result.outlines
        if "::test_" in line and line.split(" ")[0] in ("PASSED", "FAILED", "ERROR")
    }
    assert len(outcome) == 11
    for name, ended in outcome.items():
        kind = name.split("_")[1]
        assert ended == {"good": "PASSED", "bad": "FAILED", "wrong": "ERROR"}[kind], name
    result.stdout.re_match_lines_random(
        [
            r"skicl calls what is deprecated:",
            r"FutureWarning: old",
            r"logged by transformers.models.any: `names` .*",
            r"    called at .*skicl.file\.py:2",
        ]
    )


def test_the_project_uses_the_net():
    """The hooks of conftest.py are those of this very run."""
    import warnings

    assert warnings._showwarnmsg.__qualname__.startswith("recorded_deprecations")
