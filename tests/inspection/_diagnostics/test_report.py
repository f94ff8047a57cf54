"""The report: a table, a frame, and names that are found."""

import sys

import pytest

from skicl.inspection import ICLDiagnostics
from skicl.inspection._diagnostics._report import Measure


@pytest.fixture
def report():
    measures = [Measure("accuracy", 0.9, 0.8, 0.95, 0.4), Measure("order: divergence", 0.0, 0.0, 0.0, 0.0)]
    return ICLDiagnostics(
        "Reader", measures, ["order: invariant"], n_context=8, n_queries=50, n_classes=3, confidence_level=0.95
    )


def test_the_table_shows_every_number_and_note(report):
    lines = str(report).splitlines()
    assert lines[0] == "Reader: 8 labelled rows, 50 queries, 3 classes"
    assert "95% interval" in lines[1]
    assert lines[2].split() == ["accuracy", "0.900", "0.800", "to", "0.950", "0.400"]
    assert lines[4] == "- order: invariant"
    assert repr(report) == str(report)


def test_measures_by_name(report):
    assert report["accuracy"].high == 0.95
    with pytest.raises(KeyError, match=r"'template' was not measured; there are \['accuracy', 'order: divergence'\]"):
        report["template"]


def test_clear_means_above_the_floor_by_more_than_rounding():
    assert Measure("a", 0.5, 0.4, 0.6, 0.3).clear
    assert not Measure("a", 0.5, 0.2, 0.6, 0.3).clear
    assert not Measure("a", 0.0, 1e-17, 0.1, 0.0).clear


def test_frame(report):
    pytest.importorskip("pandas")
    frame = report.to_frame()
    assert frame.columns.tolist() == ["name", "value", "low", "high", "noise_floor"]
    assert frame.loc[0].tolist() == list(report.measures[0])


def test_frame_without_pandas(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"'pandas' is needed for `to_frame`.*pip install pandas. Or read `measures`"):
        report.to_frame()


def test_a_report_that_was_pickled_under_the_earlier_name_of_a_parameter(report):
    state = dict(vars(report))
    state["confidence"] = state.pop("confidence_level")
    earlier = ICLDiagnostics.__new__(ICLDiagnostics)
    earlier.__setstate__(state)
    assert str(earlier) == str(report)
