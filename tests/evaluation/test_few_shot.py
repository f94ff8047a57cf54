"""Contexts are nested and the same for all; a run that was killed ends as one that was not."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skicl.evaluation import brier_score, expected_calibration_error, few_shot_scores, nested_contexts

SECONDS = ("fit_seconds", "predict_seconds")


@pytest.fixture
def parts():
    X, y = make_classification(300, 6, n_informative=4, n_classes=3, random_state=0)
    y = np.array(["x", "y", "z"])[y]
    return X[:200], y[:200], X[200:], y[200:]


@pytest.fixture
def estimators():
    return {"lr": LogisticRegression(max_iter=1000), "nb": GaussianNB(var_smoothing=0.1)}


def without_seconds(records):
    return [{name: value for name, value in record.items() if name not in SECONDS} for record in records]


class Fixed(ClassifierMixin, BaseEstimator):
    """Knows the classes of the context and always gives the same probabilities."""

    def __init__(self, prob):
        self.prob = prob

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.tile(self.prob, (len(X), 1))


class Recorder(Fixed):
    """Notes what it is fitted on and asked."""

    def fit(self, X, y):
        self.prob.seen.append((X.tolist(), y.tolist()))
        return super().fit(X, y)

    def predict_proba(self, X):
        self.prob.asked.append(X.tolist())
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Notes:
    """Survives `clone`: all clones write into the same lists."""

    def __init__(self):
        self.seen, self.asked = [], []

    def __deepcopy__(self, memo):
        return self


class TestNestedContexts:
    y = np.array(["a"] * 60 + ["b"] * 8 + ["c"] * 2)

    def test_each_holds_every_class_and_the_smaller_ones(self):
        for context in nested_contexts(self.y, [3, 8, 40, 70], n_repeats=20):
            assert list(context) == [3, 8, 40, 70]
            for k, rows in context.items():
                assert len(rows) == len(set(rows.tolist())) == k
                assert set(self.y[rows]) == {"a", "b", "c"}
            assert sorted(self.y[context[3]]) == ["a", "b", "c"]
            np.testing.assert_array_equal(context[40][:8], context[8])

    def test_the_first_row_of_each_class_and_the_rest_are_drawn_evenly(self):
        contexts = nested_contexts(self.y, [3, 10], n_repeats=4000)
        first = np.array([row for context in contexts for row in context[3] if self.y[row] == "b"])
        counts = np.bincount(first, minlength=70)[60:68]
        assert counts.min() > 400  # 500 expected
        assert counts.max() < 600
        rest = np.concatenate([context[10][3:] for context in contexts])
        assert np.mean(self.y[rest] == "a") == pytest.approx(59 / 67, abs=0.01)

    def test_classes_come_first_in_any_order(self):
        leaders = [self.y[context[3][0]] for context in nested_contexts(self.y, 3, n_repeats=600)]
        assert all(150 < leaders.count(name) < 250 for name in "abc")

    def test_repeats_differ_and_do_not_depend_on_their_number(self):
        few, many = (nested_contexts(self.y, [20], n, random_state=3) for n in (2, 5))
        for a, b in zip(few, many):
            np.testing.assert_array_equal(a[20], b[20])
        assert len({tuple(context[20]) for context in many}) == 5

    def test_the_seed_decides(self):
        a, b, c = (nested_contexts(self.y, 20, 1, random_state=s)[0][20] for s in (0, 0, 1))
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)

    def test_the_sizes_asked_for_do_not_change_the_contexts(self):
        alone = nested_contexts(self.y, [16])
        among = nested_contexts(self.y, [4, 64, 16, 16])
        for a, b in zip(alone, among):
            np.testing.assert_array_equal(a[16], b[16])

    def test_sizes_that_cannot_be_drawn_are_left_out(self):
        assert list(nested_contexts(self.y, [2, 3, 5, 6, 71])[0]) == [3, 5, 6]
        assert list(nested_contexts(self.y, [2, 3, 5, 6, 71], min_per_class=2)[0]) == [6]

    def test_no_size_left_is_an_error(self):
        with pytest.raises(ValueError, match=r"No size in `ks` can be drawn.*from 6 .* to 70, got"):
            nested_contexts(self.y, [2, 100], min_per_class=2)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ks", []),
            ("ks", [0, 4]),
            ("ks", [4.5]),
            ("ks", [[4, 8]]),
            ("n_repeats", 0),
            ("n_repeats", 2.0),
            ("min_per_class", True),
        ],
    )
    def test_wrong_parameters_are_named(self, name, value):
        parameters = {"ks": [8], "n_repeats": 2, "min_per_class": 1, name: value}
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            nested_contexts(self.y, **parameters)


class TestFewShotScores:
    def test_one_record_per_size_repeat_and_estimator(self, parts, estimators):
        records = few_shot_scores(estimators, *parts, ks=[6, 50, 500], n_repeats=2, dataset="demo")
        found = [(record["k"], record["repeat"], record["estimator"]) for record in records]
        assert found == [(k, r, name) for k in (6, 50) for r in (0, 1) for name in ("lr", "nb")]
        frame = pd.DataFrame(records)
        assert set(frame.columns) == {
            *("dataset", "task", "estimator", "k", "repeat", "n_classes", "n_queries"),
            *("accuracy", "macro_f1", "log_loss", "brier", "ece", "fit_seconds", "predict_seconds"),
        }
        assert (frame["n_classes"] == 3).all()
        assert (frame["n_queries"] == 100).all()
        assert (frame[list(SECONDS)] > 0).all(axis=None)
        assert frame["dataset"].unique().tolist() == ["demo"]

    def test_scores_are_those_of_a_direct_computation(self, parts):
        X_train, y_train, X_test, y_test = parts
        lr = LogisticRegression(max_iter=1000)
        records = few_shot_scores({"lr": lr}, *parts, ks=[40], n_repeats=2, random_state=5)
        for record, context in zip(records, nested_contexts(y_train, 40, 2, 5)):
            lr.fit(X_train[context[40]], y_train[context[40]])
            predicted, prob = lr.predict(X_test), lr.predict_proba(X_test)
            assert record["accuracy"] == accuracy_score(y_test, predicted)
            assert record["macro_f1"] == pytest.approx(f1_score(y_test, predicted, average="macro"))
            assert record["log_loss"] == pytest.approx(log_loss(y_test, prob))
            assert record["brier"] == pytest.approx(brier_score(y_test, prob))
            assert record["ece"] == pytest.approx(expected_calibration_error(y_test, prob))

    def test_certain_and_wrong_costs_a_finite_log_loss(self, parts):
        X_train, y_train, X_test, _ = parts
        certain = {"certain": Fixed([1.0, 0.0, 0.0])}
        record, *_ = few_shot_scores(certain, X_train, y_train, X_test, ["z"] * 100, ks=[6])
        assert record["log_loss"] == pytest.approx(-np.log(1e-15))
        assert record["accuracy"] == record["macro_f1"] == 0
        assert record["ece"] == 1
        assert record["brier"] == 2

    def test_macro_f1_is_over_the_classes_among_the_queries(self, parts):
        X_train, y_train, X_test, _ = parts
        record, *_ = few_shot_scores(
            {"x": Fixed([0.8, 0.1, 0.1])}, X_train, y_train, X_test, ["x"] * 100, ks=[6]
        )
        assert record["macro_f1"] == 1

    def test_all_estimators_see_the_same_contexts_and_queries(self, parts):
        a, b = Notes(), Notes()
        X_train, y_train, *_ = parts
        few_shot_scores({"a": Recorder(a)}, *parts, ks=[6, 20], n_repeats=3, n_queries=30)
        both = {"lr": LogisticRegression(), "b": Recorder(b)}
        few_shot_scores(both, *parts, ks=[20, 6, 150], n_repeats=3, n_queries=30)
        assert a.seen == b.seen[:6]
        assert a.asked == b.asked[:6]
        assert a.asked[:3] == a.asked[3:], "the queries of a repeat are the same at every size"
        assert a.asked[0] != a.asked[1]
        assert [len(asked) for asked in a.asked] == [30] * 6
        for (small, _), (large, _) in zip(a.seen[:3], a.seen[3:]):
            assert large[:6] == small
        context = nested_contexts(y_train, 20, 3)[1][20]
        assert a.seen[4] == (X_train[context].tolist(), y_train[context].tolist())

    def test_more_queries_than_rows_means_all(self, parts, estimators):
        every = few_shot_scores(estimators, *parts, ks=[20], n_repeats=1)
        more = few_shot_scores(estimators, *parts, ks=[20], n_repeats=1, n_queries=10_000)
        assert without_seconds(every) == without_seconds(more)

    def test_estimators_are_left_unfitted(self, parts, estimators):
        few_shot_scores(estimators, *parts, ks=[20], n_repeats=1)
        assert not hasattr(estimators["lr"], "coef_")

    def test_lists_of_texts_and_frames(self, parts):
        X_train, y_train, X_test, y_test = parts
        frames = pd.DataFrame(X_train, index=np.arange(200)[::-1]), pd.DataFrame(X_test).add_suffix("")
        frames[1].columns = frames[0].columns
        lr = {"lr": LogisticRegression(max_iter=1000)}
        expected = few_shot_scores(lr, *parts, ks=[20], n_repeats=1)
        found = few_shot_scores(
            lr,
            frames[0],
            pd.Series(y_train, index=frames[0].index),
            frames[1],
            list(y_test),
            ks=[20],
            n_repeats=1,
        )
        assert without_seconds(found) == without_seconds(expected)
        texts, labels = ["good day", "bad night"] * 20, ["good", "bad"] * 20
        tfidf = {"tfidf": make_pipeline(TfidfVectorizer(), LogisticRegression())}
        records = few_shot_scores(tfidf, texts, labels, texts, labels, ks=[8], n_repeats=1)
        assert records[0]["accuracy"] == 1

    def test_scores_may_be_chosen(self, parts, estimators):
        records = few_shot_scores(estimators, *parts, ks=[20], n_repeats=1, scoring=["brier"])
        assert "brier" in records[0]
        assert "accuracy" not in records[0]

    def test_a_failure_names_estimator_and_context(self, parts):
        with pytest.raises(ValueError) as caught:
            few_shot_scores({"odd": Fixed([0.5, 0.5, np.nan])}, *parts, ks=[20], n_repeats=1)
        assert caught.value.__notes__ == ["Estimator 'odd', context of size k=20, repeat 0."]

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("scoring", ["accuracy", "auc"], "`scoring` must be a sequence of names out of accuracy"),
            ("scoring", "accuracy", "`scoring` must be a sequence"),
            ("scoring", [], "`scoring` must be a sequence"),
            ("random_state", None, "`random_state` must be an integer"),
            ("n_queries", 0, "`n_queries` must be an integer of at least 1"),
            ("n_repeats", 0, "`n_repeats` must be an integer of at least 1"),
        ],
    )
    def test_wrong_parameters_are_named(self, parts, estimators, name, value, message):
        with pytest.raises(ValueError, match=message):
            few_shot_scores(estimators, *parts, ks=[20], **{name: value})

    def test_parts_that_do_not_fit_are_refused(self, parts, estimators):
        X_train, y_train, X_test, y_test = parts
        with pytest.raises(ValueError, match="`X_train` has 199 rows and `y_train` 200"):
            few_shot_scores(estimators, X_train[1:], y_train, X_test, y_test)
        with pytest.raises(ValueError, match=r"`y_test` holds the class .*new.*`y_train` does not hold"):
            few_shot_scores(estimators, X_train, y_train, X_test, ["new"] * 100)
        with pytest.raises(ValueError, match="`estimators` must be a dict"):
            few_shot_scores([LogisticRegression()], *parts)
        with pytest.raises(TypeError, match=r"'svc' .LinearSVC. has no `predict_proba`; wrap it"):
            few_shot_scores({"svc": LinearSVC()}, *parts)


class Killed(BaseException):
    """What a kill looks like from inside."""


class KilledAfter(GaussianNB):
    """Dies at its n-th fit, as a process would."""

    left = 0

    def fit(self, X, y):
        KilledAfter.left -= 1
        if KilledAfter.left < 0:
            raise Killed
        return super().fit(X, y)


class TestResuming:
    options: ClassVar = {"ks": [6, 20], "n_repeats": 2, "n_queries": 40, "dataset": "demo"}

    @pytest.mark.parametrize("n_fits", [0, 1, 3])
    def test_resumed_is_uninterrupted(self, parts, tmp_path, n_fits):
        estimators = {"lr": LogisticRegression(max_iter=1000), "nb": KilledAfter(var_smoothing=0.1)}
        KilledAfter.left = 1000
        expected = few_shot_scores(estimators, *parts, **self.options)
        KilledAfter.left = n_fits
        with pytest.raises(Killed):
            few_shot_scores(estimators, *parts, **self.options, results_file=tmp_path / "r.csv")
        lines = (tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + 2 * n_fits + 1, (
            "header, full rounds, and the estimator before the one that died"
        )
        KilledAfter.left = 4 - n_fits
        found = few_shot_scores(estimators, *parts, **self.options, results_file=tmp_path / "r.csv")
        assert KilledAfter.left == 0, "nothing was computed twice"
        assert without_seconds(found) == without_seconds(expected)
        again = few_shot_scores(estimators, *parts, **self.options, results_file=tmp_path / "r.csv")
        assert again == found, "seconds too come from the file"

    def test_sizes_repeats_estimators_and_sets_can_be_added(self, parts, estimators, tmp_path):
        path = tmp_path / "r.csv"
        lr = {"lr": estimators["lr"]}
        few_shot_scores(lr, *parts, ks=[20], n_repeats=1, results_file=path, dataset="one")
        first = path.read_text(encoding="utf-8")
        found = few_shot_scores(estimators, *parts, ks=[6, 20], n_repeats=2, results_file=path, dataset="one")
        assert path.read_text(encoding="utf-8").startswith(first)
        direct = few_shot_scores(estimators, *parts, ks=[6, 20], n_repeats=2, dataset="one")
        assert without_seconds(found) == without_seconds(direct)
        few_shot_scores(lr, parts[0] + 1, *parts[1:], ks=[20], n_repeats=1, results_file=path, dataset="two")
        assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + 8 + 1

    @pytest.mark.parametrize("change", ["data", "labels", "queries", "seed"])
    def test_records_of_another_task_are_not_mixed_in(self, parts, estimators, tmp_path, change):
        X_train, y_train, X_test, y_test = parts
        options = {**self.options, "results_file": tmp_path / "r.csv"}
        few_shot_scores(estimators, *parts, **options)
        before = (tmp_path / "r.csv").read_bytes()
        if change == "data":
            X_test = X_test + 1e-9
        elif change == "labels":
            y_train = y_train[::-1]
        elif change == "queries":
            options["n_queries"] = 41
        else:
            options["random_state"] = 1
        with pytest.raises(ValueError, match="holds records of the data set 'demo' made from other data"):
            few_shot_scores(estimators, X_train, y_train, X_test, y_test, **options)
        assert (tmp_path / "r.csv").read_bytes() == before

    def test_other_scores_are_refused(self, parts, estimators, tmp_path):
        few_shot_scores(estimators, *parts, **self.options, results_file=tmp_path / "r.csv")
        with pytest.raises(ValueError, match="holds other columns"):
            few_shot_scores(
                estimators, *parts, **self.options, scoring=["brier"], results_file=tmp_path / "r.csv"
            )
