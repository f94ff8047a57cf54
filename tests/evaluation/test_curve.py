"""A curve holds its records, joins with others and becomes a frame."""

import pickle

import pandas as pd
import pytest

from skicl.evaluation import FewShotCurve, compare


def made(dataset="a", n_repeats=5):
    return [
        {"dataset": dataset, "estimator": name, "k": k, "repeat": r, "accuracy": gain + r / 100 + k * r / 999}
        for k in (8, 16)
        for r in range(n_repeats)
        for name, gain in {"lr": 0.1, "nb": 0.4}.items()
    ]


def test_records_frame_and_list_are_the_same():
    curve = FewShotCurve(made())
    assert curve.records == list(curve) == made()
    assert len(curve) == 20
    pd.testing.assert_frame_equal(curve.frame(), pd.DataFrame(made()))
    assert pickle.loads(pickle.dumps(curve)).records == curve.records


def test_curves_of_several_sets_are_joined():
    joined = FewShotCurve(made()) + FewShotCurve(made("b"))
    assert joined.records == made() + made("b")
    assert repr(joined) == "FewShotCurve: 40 records of lr, nb on 2 data sets, k = 8, 16, 5 repeats"


def test_advice_is_that_of_the_comparison():
    curve = FewShotCurve(made())
    assert curve.advice() == compare(made()).advice
    assert "take nb" in curve.advice()


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"'pandas' is needed for a frame.*pip install pandas"):
        FewShotCurve(made()).frame()
