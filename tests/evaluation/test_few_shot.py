"""All estimators meet the same rows; a run that was killed ends as one that was not."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csc_matrix, csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.datasets import make_classification
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, make_scorer, zero_one_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from skicl.evaluation import (
    FewShotCurve,
    brier_score,
    compare,
    expected_calibration_error,
    few_shot_curve,
    nested_contexts,
)
from skicl.evaluation._contexts import orders_of_rows

SECONDS = ("fit_seconds", "predict_seconds")
SCORES = ("accuracy", "macro_f1", "log_loss", "brier", "ece")


def scores(estimators, X, y, X_test, y_test, *, scoring=SCORES, **options):
    """Records of the curve with queries of their own."""
    return few_shot_curve(estimators, X, y, X_test=X_test, y_test=y_test, scoring=scoring, **options).records


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
        self.classes_ = np.unique([label for label in y if label not in (None, -1)])
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


class TestFewShotCurve:
    def test_one_record_per_size_repeat_and_estimator(self, parts, estimators):
        records = scores(estimators, *parts, k=[6, 50, 500], n_repeats=2, dataset="demo")
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
        records = scores({"lr": lr}, *parts, k=[40], n_repeats=2, random_state=5)
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
        record, *_ = scores(certain, X_train, y_train, X_test, ["z"] * 100, k=[6])
        assert record["log_loss"] == pytest.approx(-np.log(1e-15))
        assert record["accuracy"] == record["macro_f1"] == 0
        assert record["ece"] == 1
        assert record["brier"] == 2

    def test_macro_f1_is_over_the_classes_among_the_queries(self, parts):
        X_train, y_train, X_test, _ = parts
        record, *_ = scores({"x": Fixed([0.8, 0.1, 0.1])}, X_train, y_train, X_test, ["x"] * 100, k=[6])
        assert record["macro_f1"] == 1

    def test_all_estimators_see_the_same_contexts_and_queries(self, parts):
        a, b = Notes(), Notes()
        X_train, y_train, *_ = parts
        scores({"a": Recorder(a)}, *parts, k=[6, 20], n_repeats=3, n_queries=30)
        both = {"lr": LogisticRegression(), "b": Recorder(b)}
        scores(both, *parts, k=[20, 6, 150], n_repeats=3, n_queries=30)
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
        every = scores(estimators, *parts, k=[20], n_repeats=1)
        more = scores(estimators, *parts, k=[20], n_repeats=1, n_queries=10_000)
        assert without_seconds(every) == without_seconds(more)

    def test_estimators_are_left_unfitted(self, parts, estimators):
        scores(estimators, *parts, k=[20], n_repeats=1)
        assert not hasattr(estimators["lr"], "coef_")

    def test_lists_of_texts_and_frames(self, parts):
        X_train, y_train, X_test, y_test = parts
        frames = pd.DataFrame(X_train, index=np.arange(200)[::-1]), pd.DataFrame(X_test).add_suffix("")
        frames[1].columns = frames[0].columns
        lr = {"lr": LogisticRegression(max_iter=1000)}
        expected = scores(lr, *parts, k=[20], n_repeats=1)
        found = scores(
            lr,
            frames[0],
            pd.Series(y_train, index=frames[0].index),
            frames[1],
            list(y_test),
            k=[20],
            n_repeats=1,
        )
        assert without_seconds(found) == without_seconds(expected)
        texts, labels = ["good day", "bad night"] * 20, ["good", "bad"] * 20
        tfidf = {"tfidf": make_pipeline(TfidfVectorizer(), LogisticRegression())}
        records = scores(tfidf, texts, labels, texts, labels, k=[8], n_repeats=1)
        assert records[0]["accuracy"] == 1

    def test_scores_may_be_chosen(self, parts, estimators):
        records = scores(estimators, *parts, k=[20], n_repeats=1, scoring=["brier"])
        assert "brier" in records[0]
        assert "accuracy" not in records[0]

    def test_scores_of_ones_own_are_recorded_and_found_again(self, parts, estimators, tmp_path):
        scoring = {"errors": make_scorer(zero_one_loss, greater_is_better=False), "acc": "accuracy"}
        options = {"k": [20], "n_repeats": 2, "scoring": scoring, "results_file": tmp_path / "r.csv"}
        records = scores(estimators, *parts, **options)
        assert all(record["errors"] == pytest.approx(record["acc"] - 1) for record in records)
        assert scores(estimators, *parts, **options) == records
        assert compare(records, score="errors").pairs[0]["n"] == 2

    def test_a_failure_names_estimator_and_context(self, parts):
        with pytest.raises(ValueError) as caught:
            scores({"odd": Fixed([0.5, 0.5, np.nan])}, *parts, k=[20], n_repeats=1)
        assert caught.value.__notes__ == ["Estimator 'odd', context of size k=20, repeat 0."]

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("scoring", ["accuracy", "auc"], "`scoring` must hold names out of accuracy.*, got 'auc'"),
            ("scoring", "accuracy", "`scoring` must be a sequence"),
            ("scoring", [], "`scoring` must be a sequence"),
            ("random_state", None, "`random_state` must be an integer"),
            ("n_queries", 0, "`n_queries` must be an integer of at least 1 or None"),
            ("n_repeats", 0, "`n_repeats` must be an integer of at least 1"),
            ("n_unlabelled", -1, "`n_unlabelled` must be an integer of at least 0"),
            ("n_unlabelled", 2.0, "`n_unlabelled` must be an integer of at least 0"),
            ("stratify", "equal", "`stratify` must be True, False or 'balanced', got 'equal'"),
        ],
    )
    def test_wrong_parameters_are_named(self, parts, estimators, name, value, message):
        with pytest.raises(ValueError, match=message):
            scores(estimators, *parts, k=[20], **{name: value})

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"estimators": {1: GaussianNB()}}, TypeError, "`estimators` must be a dict from str to estimators .* 1:"),
            ({"estimators": {"nb": GaussianNB}}, TypeError, "`estimators` must be a dict from str to .* 'nb': <class"),
            ({"dataset": 3}, TypeError, "`dataset` must be a str, under which records are found again, got 3"),
            ({"scoring": ["f1"]}, ValueError, "`scoring`: 'f1' cannot score the 3 classes 'x', 'y', 'z'"),
            ({"y": [None] * 200}, ValueError, "`y` has a missing label at position 0"),
            ({"y": np.where(np.arange(200) < 9, 1, np.nan)}, ValueError, "`y` has a missing label at position 9"),
            ({"y": np.linspace(0, 1, 200)}, ValueError, "Unknown label type"),
            ({"y": np.array([1, "a"] * 100, dtype=object)}, ValueError, "`y` mixes labels of types"),
            ({"y": ["x"] * 200}, ValueError, "`y` holds a single class, 'x'"),
        ],
    )
    def test_nothing_is_fitted_before_all_is_known_to_fit(self, parts, options, error, message):
        X, y, *_ = parts
        notes = Notes()
        given = {"estimators": {"a": Recorder(notes)}, "X": X, "y": y, "k": [20], **options}
        with pytest.raises(error, match=message):
            few_shot_curve(**given)
        assert not notes.seen

    def test_labels_that_are_objects_are_labels(self, parts):
        X, y, *_ = parts
        codes = np.searchsorted(["x", "y", "z"], y)
        options = {"k": 20, "n_repeats": 1}
        found = few_shot_curve({"nb": GaussianNB()}, X, codes.astype(object), **options)
        expected = few_shot_curve({"nb": GaussianNB()}, X, codes, **options)
        assert without_seconds(found) == without_seconds(expected)

    def test_sparse_rows_of_any_kind(self, parts):
        X, y, *_ = parts
        found = [
            without_seconds(few_shot_curve({"lr": LogisticRegression()}, form(X), y, k=20, n_repeats=1))
            for form in (csr_matrix, coo_array, csc_matrix)
        ]
        assert found[0] == found[1] == found[2]

    def test_parts_that_do_not_fit_are_refused(self, parts, estimators):
        X_train, y_train, X_test, y_test = parts
        with pytest.raises(ValueError, match="`X` has 199 rows and `y` has 200 labels"):
            scores(estimators, X_train[1:], y_train, X_test, y_test)
        with pytest.raises(ValueError, match="`y_test` holds the class 'new', which `y` does not hold"):
            scores(estimators, X_train, y_train, X_test, ["new"] * 100)
        with pytest.raises(ValueError, match="`estimators` must be a dict"):
            scores([LogisticRegression()], *parts)
        with pytest.raises(TypeError, match=r"'svc' .LinearSVC. has no `predict_proba`; wrap it"):
            scores({"svc": LinearSVC()}, *parts)


class TestUnlabelledRows:
    """Rows without a label are further rows of the train part, nested, the same for all, outside the context."""

    def fitted_on(self, parts, n_unlabelled, k=(6, 20, 190), n_repeats=2):
        """For each context: rows with a label, rows without one, labels, as tuples."""
        notes = Notes()
        scores({"a": Recorder(notes)}, *parts, k=k, n_repeats=n_repeats, n_unlabelled=n_unlabelled)
        found = []
        for X, y in notes.seen:
            unknown = [label in (None, -1) for label in y]
            assert unknown == sorted(unknown), "they stand behind the context"
            at = len(y) - sum(unknown)
            rows = [tuple(row) for row in X]
            found.append((rows[:at], rows[at:], y[:at]))
        return found

    def test_contexts_stay_as_they_are(self, parts):
        notes = Notes()
        scores({"a": Recorder(notes)}, *parts, k=(6, 20, 190), n_repeats=2)
        for (X, y), (rows, _, labels) in zip(notes.seen, self.fitted_on(parts, 30), strict=True):
            assert ([tuple(row) for row in X], y) == (rows, labels)

    def test_they_are_outside_the_context_and_the_same_at_every_size(self, parts):
        every = {tuple(row) for row in parts[0]}
        found = self.fitted_on(parts, 30)
        for rows, others, _ in found:
            assert not set(rows) & set(others)
            assert set(others) <= every
            assert len(set(others)) == min(30, 200 - len(rows))
        first, second = found[0], found[2]
        assert first[1] == second[1], "of one repeat, at sizes 6 and 20"
        assert found[0][1] != found[1][1], "of two repeats"
        assert found[4][1] == first[1][:10], "190 of 200 rows are labelled"

    def test_fewer_are_the_first_of_more(self, parts):
        for (_, few, _), (_, many, _) in zip(self.fitted_on(parts, 10), self.fitted_on(parts, 40)):
            assert few == many[: len(few)]
            assert len(few) == 10

    def test_none_marks_strings_and_minus_one_marks_integers(self, parts):
        X_train, y_train, X_test, y_test = parts
        notes = Notes()
        scores({"a": Recorder(notes)}, *parts, k=[6], n_repeats=1, n_unlabelled=3)
        assert notes.seen[0][1][6:] == [None] * 3
        codes = [np.searchsorted(["x", "y", "z"], y).astype(np.uint8) for y in (y_train, y_test)]
        notes = Notes()
        scores({"a": Recorder(notes)}, X_train, codes[0], X_test, codes[1], k=[6], n_unlabelled=3)
        assert notes.seen[0][1][6:] == [-1] * 3
        assert set(notes.seen[0][1][:6]) == {0, 1, 2}

    def test_scores_are_those_of_a_direct_computation(self, parts):
        X_train, y_train, X_test, y_test = parts
        codes = np.searchsorted(["x", "y", "z"], y_train)
        truth = np.searchsorted(["x", "y", "z"], y_test)
        model = SelfTrainingClassifier(LogisticRegression(), threshold=0.6)
        records = scores({"st": model}, X_train, codes, X_test, truth, k=[20], n_repeats=2, n_unlabelled=100)
        for record, context in zip(records, nested_contexts(codes, 20, 2)):
            order = orders_of_rows(codes, 2, 0)[record["repeat"]]
            rows = np.append(context[20], order[::-1][:100])
            y = np.where(np.arange(120) < 20, codes[rows], -1)
            predicted = clone(model).fit(X_train[rows], y).predict(X_test)
            assert record["accuracy"] == accuracy_score(truth, predicted)

    def test_classes_that_look_like_marks_are_refused(self, parts):
        X_train, y_train, X_test, y_test = parts
        y_train, y_test = np.where(y_train == "x", -1, 1), np.where(y_test == "x", -1, 1)
        with pytest.raises(ValueError, match="`y` has the class -1, which marks rows without a label"):
            scores({"nb": GaussianNB()}, X_train, y_train, X_test, y_test, k=[8], n_unlabelled=1)
        scores({"nb": GaussianNB()}, X_train, y_train, X_test, y_test, k=[8], n_repeats=1)


class TestBalancedDraws:
    """Labels are drawn equally; queries and rows without a label come from the population."""

    @pytest.fixture
    def skewed(self):
        y = np.random.default_rng(2).permutation(["a"] * 240 + ["b"] * 40 + ["c"] * 20)
        return np.arange(600.0).reshape(300, 2), y

    def fits(self, X, y, **options):
        """For every fit: labels, row numbers of the context, those without a label, and those of the queries."""
        notes = Notes()
        few_shot_curve({"a": Recorder(notes)}, X, y, stratify="balanced", **options)
        found = []
        for (rows, labels), asked in zip(notes.seen, notes.asked):
            numbers = [int(row[0]) // 2 for row in rows]
            known = [label for label in labels if label is not None]
            queries = [int(row[0]) // 2 for row in asked]
            found.append((known, numbers[: len(known)], numbers[len(known) :], queries))
        return found

    def test_contexts_are_those_of_nested_contexts_under_the_size_asked_for(self, skewed):
        X, y = skewed
        options = {"k": [8, 16], "n_repeats": 3, "X_test": X[:50], "y_test": y[:50]}
        records = few_shot_curve({"nb": GaussianNB()}, X, y, stratify="balanced", **options).records
        assert [record["k"] for record in records] == [8] * 3 + [16] * 3
        contexts = nested_contexts(y, [8, 16], 3, stratify="balanced")
        expected = [context[k] for k in (8, 16) for context in contexts]
        for (labels, rows, *_), context in zip(self.fits(X, y, **options), expected, strict=True):
            assert rows == context.tolist()
            assert np.unique(labels, return_counts=True)[1].tolist() == [len(context) // 3] * 3

    @pytest.mark.parametrize("queries_of_x", [True, False])
    def test_other_rows_have_the_classes_of_the_population(self, skewed, queries_of_x):
        X, y = skewed
        parts = {} if queries_of_x else {"X_test": X, "y_test": y}
        found = self.fits(X, y, k=[8, 16], n_repeats=20, n_unlabelled=60, test_size=0.3, **parts)
        for labels, context, unlabelled, queries in found:
            assert np.unique(labels, return_counts=True)[1].tolist() == [len(labels) // 3] * 3
            assert not set(context) & set(unlabelled)
            assert len(set(unlabelled)) == 60
            if queries_of_x:
                assert not set(queries) & {*context, *unlabelled}
        for part in (2, 3):
            of_a = np.mean([np.mean(y[fit[part]] == "a") for fit in found])
            assert of_a == pytest.approx(0.8, abs=0.03)
        for small, large in zip(found[:20], found[20:]):
            assert len(set(small[2]) & set(large[2])) >= 60 - 15, "the same, but for those that are in the context"

    def test_sizes_that_need_rows_kept_for_queries_are_left_out(self, skewed):
        X, y = skewed
        found = self.fits(X, y, k=[12, 58], n_repeats=3)
        assert [len(labels) for labels, *_ in found] == [12] * 3
        with pytest.raises(ValueError, match="no size fits, the rarest class has too few rows beside the share"):
            self.fits(X, y, k=58)
        with pytest.raises(ValueError, match="equally many of each class at most 20, all rows of 'c', got"):
            self.fits(X, y, k=100)

    def test_other_draws_have_the_fingerprints_of_earlier_versions(self):
        y = np.array(["a"] * 60 + ["b"] * 8 + ["c"] * 2)
        X = np.arange(140.0).reshape(70, 2) % 7
        found = [
            few_shot_curve({"nb": GaussianNB()}, X, y, k=8, n_repeats=1, stratify=stratify, **parts).records[0]["task"]
            for stratify in (False, True)
            for parts in ({}, {"X_test": X, "y_test": y})
        ]
        assert found == ["13059a70ad302c7c", "698d786c26c3cd15", "0095b4b6935df5a3", "87f5478207005bb1"]


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
    options: ClassVar = {"k": [6, 20], "n_repeats": 2, "n_queries": 40, "dataset": "demo"}

    @pytest.mark.parametrize("stratify", [True, "balanced"])
    @pytest.mark.parametrize("n_fits", [0, 1, 3])
    def test_resumed_is_uninterrupted(self, parts, tmp_path, n_fits, stratify):
        estimators = {"lr": LogisticRegression(max_iter=1000), "nb": KilledAfter(var_smoothing=0.1)}
        options = {**self.options, "stratify": stratify}
        KilledAfter.left = 1000
        expected = scores(estimators, *parts, **options)
        KilledAfter.left = n_fits
        with pytest.raises(Killed):
            scores(estimators, *parts, **options, results_file=tmp_path / "r.csv")
        lines = (tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + 2 * n_fits + 1, "header, full rounds, and the estimator before the one that died"
        KilledAfter.left = 4 - n_fits
        found = scores(estimators, *parts, **options, results_file=tmp_path / "r.csv")
        assert KilledAfter.left == 0, "nothing was computed twice"
        assert without_seconds(found) == without_seconds(expected)
        again = scores(estimators, *parts, **options, results_file=tmp_path / "r.csv")
        assert again == found, "seconds too come from the file"

    def test_sizes_repeats_estimators_and_sets_can_be_added(self, parts, estimators, tmp_path):
        path = tmp_path / "r.csv"
        lr = {"lr": estimators["lr"]}
        scores(lr, *parts, k=[20], n_repeats=1, results_file=path, dataset="one")
        first = path.read_text(encoding="utf-8")
        found = scores(estimators, *parts, k=[6, 20], n_repeats=2, results_file=path, dataset="one")
        assert path.read_text(encoding="utf-8").startswith(first)
        direct = scores(estimators, *parts, k=[6, 20], n_repeats=2, dataset="one")
        assert without_seconds(found) == without_seconds(direct)
        scores(lr, parts[0] + 1, *parts[1:], k=[20], n_repeats=1, results_file=path, dataset="two")
        assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + 8 + 1

    @pytest.mark.parametrize("change", ["data", "labels", "queries", "seed", "natural", "balanced"])
    def test_records_of_another_task_are_not_mixed_in(self, parts, estimators, tmp_path, change):
        X_train, y_train, X_test, y_test = parts
        options = {**self.options, "results_file": tmp_path / "r.csv"}
        scores(estimators, *parts, **options)
        before = (tmp_path / "r.csv").read_bytes()
        if change == "data":
            X_test = X_test + 1e-9
        elif change == "labels":
            y_train = y_train[::-1]
        elif change == "queries":
            options["n_queries"] = 41
        elif change in ("natural", "balanced"):
            options["stratify"] = change == "balanced" and change
        else:
            options["random_state"] = 1
        with pytest.raises(ValueError, match="holds records of the data set 'demo' made from other data"):
            scores(estimators, X_train, y_train, X_test, y_test, **options)
        assert (tmp_path / "r.csv").read_bytes() == before

    def test_other_scores_are_refused(self, parts, estimators, tmp_path):
        scores(estimators, *parts, **self.options, results_file=tmp_path / "r.csv")
        with pytest.raises(ValueError, match="holds other columns"):
            scores(estimators, *parts, **self.options, scoring=["brier"], results_file=tmp_path / "r.csv")


class Letters(TransformerMixin, BaseEstimator):
    """Counts letters, and how many texts it was given in all."""

    encoded = 0

    def __init__(self, letters="ab", batch_size=1):
        self.letters = letters
        self.batch_size = batch_size

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        Letters.encoded += len(X)
        return np.array([[text.count(letter) for letter in self.letters] for text in X], dtype=float)


class NeedsLabels(Letters):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class TestQueriesOutOfTheSameRows:
    def test_they_are_outside_of_every_context_and_of_the_unlabelled_rows(self, parts):
        X, y, *_ = parts
        notes = Notes()
        few_shot_curve({"a": Recorder(notes)}, X, y, k=[6, 100, 101], n_repeats=3, n_unlabelled=50)
        assert len(notes.seen) == 6, "half of 200 rows are kept for queries: 101 does not fit"
        for (seen, _), asked in zip(notes.seen, notes.asked):
            assert len(asked) == 100
            assert not {tuple(row) for row in seen} & {tuple(row) for row in asked}
        assert notes.asked[0] == notes.asked[3], "of one repeat, at both sizes"
        assert notes.asked[0] != notes.asked[1]

    def test_fewer_queries_are_some_of_them(self, parts):
        X, y, *_ = parts
        every, some = Notes(), Notes()
        for notes, n_queries in ((every, None), (some, 30)):
            few_shot_curve({"a": Recorder(notes)}, X, y, k=6, n_repeats=2, n_queries=n_queries, test_size=0.25)
        for all_rows, rows in zip(every.asked, some.asked):
            assert (len(all_rows), len(rows)) == (50, 30)
            assert {tuple(row) for row in rows} <= {tuple(row) for row in all_rows}

    def test_sizes_can_be_added_to_the_file(self, parts, estimators, tmp_path):
        X, y, *_ = parts
        few_shot_curve(estimators, X, y, k=6, n_repeats=1, results_file=tmp_path / "r.csv")
        found = few_shot_curve(estimators, X, y, k=[6, 50], n_repeats=2, results_file=tmp_path / "r.csv").records
        direct = few_shot_curve(estimators, X, y, k=[6, 50], n_repeats=2).records
        assert without_seconds(found) == without_seconds(direct)
        with pytest.raises(ValueError, match="contexts or queries drawn in another way"):
            few_shot_curve(estimators, X, y, k=6, test_size=0.3, results_file=tmp_path / "r.csv")

    def test_what_cannot_be_is_refused(self, parts, estimators):
        X, y, X_test, _ = parts
        with pytest.raises(ValueError, match=r"`k`: no size fits, 200 rows leave 100 for contexts .* got 150"):
            few_shot_curve(estimators, X, y, k=150)
        with pytest.raises(ValueError, match="`X_test` and `y_test` belong together"):
            few_shot_curve(estimators, X, y, X_test=X_test)
        for wrong in (0, 1, "half"):
            with pytest.raises(ValueError, match="`test_size` must be a number above 0 and below 1"):
                few_shot_curve(estimators, X, y, test_size=wrong)


class TestEncoder:
    @pytest.fixture
    def texts(self):
        rng = np.random.default_rng(0)
        y = np.arange(60) % 2
        counts = np.column_stack([2 + 3 * y, 5 - 3 * y]) + rng.integers(2, size=(60, 2))
        return ["a" * a + "b" * b for a, b in counts], y

    def test_rows_are_encoded_once_for_all(self, texts, estimators):
        X, y = texts
        Letters.encoded = 0
        found = few_shot_curve(estimators, X, y, k=[4, 8], n_repeats=3, encoder=Letters())
        assert Letters.encoded == 60
        direct = few_shot_curve(estimators, Letters().transform(X), y, k=[4, 8], n_repeats=3)
        for record, other in zip(found, direct):
            assert {**record, "task": 0, **dict.fromkeys(SECONDS)} == {**other, "task": 0, **dict.fromkeys(SECONDS)}
        Letters.encoded = 0
        few_shot_curve(estimators, X[:40], y[:40], k=4, X_test=X[40:], y_test=y[40:], encoder=Letters())
        assert Letters.encoded == 60

    def test_some_estimators_get_the_rows_as_they_are(self, texts):
        X, y = texts
        nb = GaussianNB(var_smoothing=0.1)
        estimators = {"nb": nb, "reader": make_pipeline(Letters(), clone(nb))}
        curve = few_shot_curve(estimators, X, y, k=4, n_repeats=2, encoder=Letters(), raw=["reader"])
        for one, other in zip(curve.records[::2], curve.records[1::2]):
            assert (one["estimator"], other["estimator"]) == ("nb", "reader")
            assert one["neg_log_loss"] == other["neg_log_loss"]
        with pytest.raises(AttributeError, match="count"):  # letters of vectors cannot be counted
            few_shot_curve(estimators, X, y, k=4, n_repeats=1, encoder=Letters())

    def test_a_run_that_is_complete_encodes_nothing(self, texts, estimators, tmp_path):
        X, y = texts
        options = {"k": 4, "n_repeats": 2, "results_file": tmp_path / "r.csv"}
        first = few_shot_curve(estimators, X, y, encoder=Letters(), **options)
        Letters.encoded = 0
        again = few_shot_curve(estimators, X, y, encoder=Letters(batch_size=7), **options)
        assert again.records == first.records
        assert Letters.encoded == 0
        with pytest.raises(ValueError, match="made from other data or embeddings"):
            few_shot_curve(estimators, X, y, encoder=Letters("abc"), **options)

    def test_wrong_encoders_are_refused(self, texts, estimators):
        X, y = texts
        with pytest.raises(ValueError, match=r"`encoder` NeedsLabels learns from labels.*pipeline with each estimator"):
            few_shot_curve(estimators, X, y, encoder=NeedsLabels())
        for wrong in ("MiniLM", Letters, GaussianNB()):
            with pytest.raises(TypeError, match="`encoder` must be a transformer"):
                few_shot_curve(estimators, X, y, encoder=wrong)
        for wrong in ("lr", ["svm"]):
            with pytest.raises(ValueError, match="`raw` must be a sequence of names out of lr, nb"):
                few_shot_curve(estimators, X, y, encoder=Letters(), raw=wrong)


def test_progress_and_advice_are_shown_when_asked_for(parts, estimators, capsys):
    few_shot_curve(estimators, *parts[:2], k=[6, 20], verbose=True)
    shown = capsys.readouterr()
    assert "20/20" in shown.err
    assert shown.out.startswith("By accuracy on 5 contexts")
    few_shot_curve(estimators, *parts[:2], k=[6])
    assert capsys.readouterr() == ("", "")


def test_a_curve_is_its_records(parts, estimators):
    curve = few_shot_curve(estimators, *parts[:2], k=6, n_repeats=2)
    assert isinstance(curve, FewShotCurve)
    assert list(curve) == curve.records
