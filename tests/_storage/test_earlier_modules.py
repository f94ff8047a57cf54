"""Pickles that were written when modules had other names load, or say in a sentence why they do not."""

import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skicl
from skicl import ICLClassifier, TartClassifier, clear_cache
from skicl._storage._earlier_modules import MOVED, _EarlierNames
from skicl.datasets import make_implicit_pattern, make_linear_tasks, make_logistic_tasks
from skicl.encoders import CacheStats, EmbeddingCache, LiveModel
from skicl.evaluation import ImplicitPatternStudy, implicit_pattern_study
from skicl.inspection import (
    ICLDiagnostics,
    activation_patching,
    icl_diagnostics,
    mixture_bayes_predictor,
    reference_predictors,
)
from skicl.pretraining import EpisodePrior, tiny_language_model

EARLIER = {
    ICLClassifier: "skicl._icl",
    TartClassifier: "skicl._tart",
    CacheStats: "skicl.encoders._cache",
    EmbeddingCache: "skicl.encoders._cache",
    LiveModel: "skicl.encoders._weights",
    ImplicitPatternStudy: "skicl.evaluation._implicit_results",
    ICLDiagnostics: "skicl.inspection._diagnostics_report",
    EpisodePrior: "skicl.pretraining._episodes",
    activation_patching: "skicl.inspection._patching",
    clear_cache: "skicl._clearing",
    icl_diagnostics: "skicl.inspection._diagnostics",
    implicit_pattern_study: "skicl.evaluation._implicit_study",
    make_implicit_pattern: "skicl.datasets._implicit_pattern",
    mixture_bayes_predictor: "skicl.inspection._reference_mixture",
    reference_predictors: "skicl.inspection._reference_predictors",
    tiny_language_model: "skicl.pretraining._tiny_model",
}


def under_its_earlier_name(value, kind):
    """A pickle (protocol 0, which is text) in which a class stands under the earlier name of its module."""
    written = pickle.dumps(value, protocol=0)
    now = f"c{kind.__module__}\n{kind.__qualname__}\n".encode()
    assert now in written
    return written.replace(now, f"c{EARLIER[kind]}\n{kind.__qualname__}\n".encode())


@pytest.mark.parametrize("name", MOVED)
def test_every_earlier_name_is_the_module_that_moved(name):
    module = importlib.import_module(name)
    assert module is importlib.import_module(MOVED[name])
    assert module.__name__ == module.__spec__.name == MOVED[name]


@pytest.mark.parametrize("kind", EARLIER, ids=lambda kind: kind.__name__)
def test_a_public_name_is_found_under_its_earlier_module(kind):
    assert pickle.loads(f"c{EARLIER[kind]}\n{kind.__qualname__}\n.".encode()) is kind


@pytest.mark.parametrize("value", [ICLClassifier("skicl-tiny"), TartClassifier(batch_size=7), EpisodePrior()])
def test_parameters_survive(value):
    loaded = pickle.loads(under_its_earlier_name(value, type(value)))
    assert str(loaded) == str(value)


@pytest.mark.parametrize("make", [make_linear_tasks, make_logistic_tasks])
def test_reference_predictors_survive(make):
    """They are made of private functions, which their pickles name."""
    tasks = make(3, 12, 4, random_state=0)
    predictors = reference_predictors(tasks)
    written = pickle.dumps(predictors, protocol=0)
    earlier = written.replace(b"skicl.inspection._algorithms._reference_", b"skicl.inspection._reference_")
    assert earlier != written
    loaded = pickle.loads(earlier)
    split = tasks.X[:, :8], tasks.y[:, :8], tasks.X[:, 8:]
    for name, predict in predictors.items():
        assert np.array_equal(loaded[name](*split), predict(*split)), name


def test_what_is_stored_in_another_form_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"earlier development version of skicl.*Fit the TartClassifier again"):
        pickle.loads(b"cskicl._tart\nLearnt\n.")


def test_other_names_are_not_found():
    for name in ("skicl._not_there", "skicl.encoders._not_there"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    with pytest.raises(AttributeError, match="no attribute 'anything'"):
        importlib.import_module("skicl._tart").__getattr__("anything")
    assert sum(isinstance(finder, _EarlierNames) for finder in sys.meta_path) == 1


def test_an_earlier_name_works_before_anything_else_is_imported():
    program = "import skicl, pickle; print(pickle.loads(b'cskicl._icl\\nICLClassifier\\n.').__module__)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "skicl.prompting._classifier"


def test_finding_them_costs_the_import_nothing():
    program = "import skicl, sys; print('importlib.abc' in sys.modules)"
    command = [sys.executable, "-S", "-c", program]  # without what other packages let every process import
    folder = Path(skicl.__file__).parents[1]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
