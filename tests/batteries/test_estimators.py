"""The list of estimators is complete, and every battery runs over the whole of it."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from batteries.estimators import (
    KINDS,
    NOT_LISTED,
    SUBJECTS,
    all_alike,
    answers_of,
    public_estimators,
    subjects_of,
)

FOLDER = Path(__file__).parent
PUBLIC_METHODS = {
    "context_influence",
    "decision_function",
    "label_mass",
    "predict",
    "predict_log_proba",
    "predict_proba",
    "select",
    "transform",
}
# What every class inherits from scikit-learn, what trains, what takes no rows of the user's, and what gives no numbers.
OTHER_METHODS = {
    "prompts",
    "fit",
    "fit_transform",
    "get_feature_names_out",
    "get_metadata_routing",
    "get_params",
    "partial_fit",
    "probes",
    "score",
    "set_output",
    "set_params",
}
each = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)


def test_every_public_estimator_is_in_the_list():
    listed = {subject.cls for subject in SUBJECTS}
    missing = {name for name, cls in public_estimators().items() if cls not in listed} - set(NOT_LISTED)
    assert not missing, f"add to tests/batteries/estimators.py: {sorted(missing)}"
    assert listed <= set(public_estimators().values())
    assert set(NOT_LISTED) <= set(public_estimators())


def test_the_search_for_estimators_sees_them():
    assert {"TartClassifier", "FineTuneClassifier", "ContextualEncoder", "BatchCalibration"} <= set(public_estimators())


def test_names_are_unique():
    names = [subject.name for subject in SUBJECTS]
    assert len(set(names)) == len(names)


@each
def test_who_is_left_out_of_a_battery_has_a_reason(subject):
    assert set(subject.exempt) <= set(KINDS)
    assert all(len(reason.split()) > 2 for reason in subject.exempt.values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_battery_that_runs_over_the_list(kind):
    """Whoever takes part meets at least one test of the file, and the file keeps no list of its own."""
    met = set()
    for test in vars(importlib.import_module(f"batteries.test_{kind}")).values():
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize" and mark.args[0] in ("subject", ("subject", "amount")):
                met |= {param.values[0].name for param in mark.args[1]}
    assert met == {subject.name for subject in subjects_of(kind)}


def test_every_battery_is_a_kind():
    found = {path.stem.removeprefix("test_") for path in FOLDER.glob("test_*.py")}
    assert found == {*KINDS, "estimators"}


@each
def test_all_public_methods_are_asked(subject):
    public = {name for name in dir(subject.cls) if not name.startswith("_") and callable(getattr(subject.cls, name))}
    public = {name for name in public if not (name.startswith("set_") and name.endswith("_request"))}
    assert public <= PUBLIC_METHODS | OTHER_METHODS, "say in PUBLIC_METHODS what takes rows of the user's"
    assert set(subject.answers) == public & PUBLIC_METHODS


@each
def test_the_rows_of_a_subject_tell_states_apart(subject):
    """Or the batteries would not see a mixture; encoders that learn nothing have one state only."""
    found = answers_of(subject, subject.fitted())
    assert all_alike(found, answers_of(subject, subject.fitted()))
    assert all(len(np.atleast_1d(values)) for values in found.values())
    name, other = next(iter(subject.others.items()))
    assert len(other.new) == len(subject.rows.new), name
    learns = subject.is_classifier or subject.reads == "scores" or subject.name == "ContextualEncoder"
    learns |= "select" in subject.answers
    assert all_alike(found, answers_of(subject, subject.fitted(other), other.new)) != learns
