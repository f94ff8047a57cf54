"""Diagnostics of estimators whose behaviour is known: each measure finds what was put in, and nothing else."""

from itertools import count

import numpy as np
import pytest
from prompting.tiny_causal_models import pair_of
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skicl import ICLClassifier, TartClassifier
from skicl.inspection import icl_diagnostics

X, Y = load_iris(return_X_y=True)
X2, Y2 = X[:100], np.array(["no", "yes"])[Y[:100]]
FITS = count()


class Known(ClassifierMixin, BaseEstimator):
    """A nearest neighbour that can be made to depend on what should not matter."""

    def __init__(self, *, last_wins=0.0, stubborn=None, biased=0.0, random=False, template=1.0, rows_seen=None):
        self.last_wins = last_wins  # share of the label of the last row
        self.stubborn = stubborn  # (X, y): what it knows without any context
        self.biased = biased  # share of the first class
        self.random = random  # another prediction with every fit
        self.template = template  # scale of the columns
        self.rows_seen = rows_seen

    def fit(self, X, y):
        if X is None:
            self.classes_, self.neighbour_, self.last_ = np.unique(y), None, 0
            return self
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.last_ = codes[-1]
        X, y = (X, self.classes_[codes]) if self.stubborn is None else self.stubborn
        y = np.searchsorted(self.classes_, y)
        self.neighbour_ = KNeighborsClassifier(1).fit(X**self.template, y)
        self.tilt_ = np.random.default_rng(next(FITS)).dirichlet(np.ones(len(self.classes_)))
        return self

    def predict_proba(self, X):
        n_classes = len(self.classes_)
        if self.neighbour_ is None:
            return np.full((len(X), n_classes), 1 / n_classes)
        proba = np.zeros((len(X), n_classes))
        proba[:, self.neighbour_.classes_] = 0.9 * self.neighbour_.predict_proba(X**self.template)
        proba += 0.1 / n_classes
        for share, towards in [
            (self.last_wins, np.eye(n_classes)[self.last_]),
            (self.biased, np.eye(n_classes)[0]),
            (0.5 * self.random, self.tilt_),
        ]:
            proba = (1 - share) * proba + share * towards
        return proba


def clear(report, name):
    return report[name].clear


@pytest.fixture(scope="module")
def plain():
    """The report of a nearest neighbour that depends on nothing but its rows."""
    return icl_diagnostics(Known(), X, Y, n_context=30, n_repeats=8)


def test_numbers_intervals_and_floors_are_in_order(plain):
    for measure in plain.measures:
        assert measure.low <= measure.high
        assert 0 <= measure.noise_floor <= 1
        # Distances are pushed up by resampling, so their intervals may begin above the value.
        assert measure.low - 0.05 <= measure.value <= measure.high + 1e-9, measure.name


def test_what_does_not_matter_to_a_nearest_neighbour(plain):
    for name in ("order: divergence", "order: changed labels"):
        assert plain[name][1:] == (0.0, 0.0, 0.0, 0.0)
    assert "order: the estimator is invariant to it" in plain.notes[0]
    assert plain["context: follows renamed labels"].value == 1
    assert plain["context: keeps its label"].value == 0
    assert not clear(plain, "label bias")


def test_what_matters_to_a_nearest_neighbour(plain):
    assert clear(plain, "accuracy")
    assert clear(plain, "demonstrations: divergence")
    assert clear(plain, "context: gain over shuffled labels")
    # A wrong label in the context is a wrong prediction for the queries next to it.
    assert clear(plain, "label noise: accuracy lost")
    assert plain["label noise: accuracy lost"].value == pytest.approx(0.95, abs=0.2)


def test_dependence_on_the_last_row_is_found():
    report = icl_diagnostics(Known(last_wins=0.5), X, Y, n_context=30, n_repeats=10)
    assert clear(report, "order: divergence")
    assert not any("invariant" in note for note in report.notes)
    weak = icl_diagnostics(Known(last_wins=0.1), X, Y, n_context=30, n_repeats=10)
    assert 0 < weak["order: divergence"].value < 0.3 * report["order: divergence"].value
    assert weak["order: changed labels"].value == 0


def test_an_estimator_that_changes_with_every_fit_raises_the_floors():
    report = icl_diagnostics(Known(random=True), X, Y, n_context=30, n_repeats=6)
    assert report["order: divergence"].noise_floor > 0.01
    assert not clear(report, "order: divergence")


def test_an_estimator_that_does_not_read_its_context():
    report = icl_diagnostics(Known(stubborn=(X, Y)), X, Y, n_context=30, n_repeats=6)
    assert report["context: keeps its label"].value == 1
    assert report["context: follows renamed labels"].value == 0
    for name in ("demonstrations: divergence", "label noise: accuracy lost", "context: gain over shuffled labels"):
        assert report[name].value == pytest.approx(0, abs=1e-12)
        assert not clear(report, name)


def test_bias_is_found():
    report = icl_diagnostics(Known(biased=0.6), X, Y, n_context=30, n_repeats=4)
    assert clear(report, "label bias")
    assert report["label bias"].value == pytest.approx(0.4, abs=0.06)
    assert clear(report, "content-free bias")


def test_gain_over_no_context():
    report = icl_diagnostics(Known(), X, Y, n_context=30, n_repeats=4)
    gain = report["context: gain over no context"]
    assert gain.value == pytest.approx(report["accuracy"].value - 1 / 3, abs=0.06)
    assert clear(report, "context: gain over no context")
    other = icl_diagnostics(KNeighborsClassifier(1), X, Y, n_context=30, n_repeats=2)
    assert "cannot be fitted without rows" in other.notes[-1]


def test_names_of_classes_say_nothing_of_rows_of_numbers():
    """Without rows the classifier knows names, which go with texts."""
    flowers = np.array(["setosa", "versicolor", "virginica"])[np.unique(Y, return_inverse=True)[1]]
    report = icl_diagnostics(TartClassifier(), X, flowers, n_context=24, n_repeats=2)
    assert any("without rows the estimator does not read the queries" in note for note in report.notes)


def test_templates():
    same = icl_diagnostics(Known(), X, Y, n_context=30, n_repeats=2, templates=[1.0, 1.0])
    assert same["template: divergence"].value == 0
    other = icl_diagnostics(Known(), X, Y, n_context=30, n_repeats=2, templates=[-3.0, 6.0])
    assert clear(other, "template: divergence")
    pipeline = make_pipeline(StandardScaler(with_mean=False), Known())
    within = icl_diagnostics(pipeline, X, Y, n_context=30, n_repeats=2, templates=[-3.0])
    assert within["template: changed labels"].value > 0
    named = icl_diagnostics(Known(), X, Y, n_context=30, n_repeats=2, templates=[0.5], template_parameter="last_wins")
    assert named["template: divergence"].value > 0
    assert "template: not measured; pass `templates` to compare." in icl_diagnostics(Known(), X, Y, n_repeats=2).notes


def test_the_reasoner_is_invariant_to_the_order_and_the_report_says_so():
    report = icl_diagnostics(TartClassifier(), X, Y, n_context=24, n_repeats=4)
    assert report["order: divergence"].value == 0
    assert "order: the estimator is invariant to it" in report.notes[0]
    assert report["context: follows renamed labels"].value == 1
    assert not [note for note in report.notes if "template" in note]


def test_class_texts_work_without_context():
    vectors = {name: X2[Y2 == name].mean(axis=0) for name in ("no", "yes")}
    report = icl_diagnostics(TartClassifier(class_texts=vectors), X2, Y2, n_context=10, n_repeats=2)
    assert abs(report["context: gain over no context"].value) < 0.3


def test_a_prompted_language_model_depends_on_the_order_of_its_demonstrations():
    texts = [f"{word} number {i}" for i in range(20) for word in ("apple", "stone")]
    labels = ["fruit", "rock"] * 20
    classifier = ICLClassifier(pair_of("llama"), demonstrations=4)
    report = icl_diagnostics(
        classifier, texts, labels, n_context=12, n_queries=8, n_repeats=3, templates=["{text} is {label}"]
    )
    assert report["order: divergence"].value > 0
    assert "order: of the 4 demonstrations that the estimator chose." in report.notes
    assert report["order: divergence"].noise_floor < 1e-9
    assert report["template: divergence"].value > 0
    assert "context: gain over no context" in [measure.name for measure in report.measures]


def test_frames_lists_and_arrays_give_one_report():
    pd = pytest.importorskip("pandas")
    arguments = {"n_context": 20, "n_repeats": 2, "n_bootstrap": 50}
    whole = str(icl_diagnostics(KNeighborsClassifier(3), X, Y, **arguments))
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(150) + 7)
    of_frame = make_pipeline(FunctionTransformer(np.asarray), KNeighborsClassifier(3))
    assert str(icl_diagnostics(of_frame, frame, pd.Series(Y), **arguments)).splitlines()[1:9] == whole.splitlines()[1:9]
    texts = [" ".join(f"{value}" for value in row) for row in X]
    read = FunctionTransformer(lambda rows: np.array([[float(part) for part in row.split()] for row in rows]))
    of_texts = make_pipeline(read, KNeighborsClassifier(3))
    report = icl_diagnostics(of_texts, texts, Y, n_context=20, n_repeats=2, n_bootstrap=50)
    assert report["accuracy"].value == icl_diagnostics(KNeighborsClassifier(3), X, Y, **arguments)["accuracy"].value


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_matrix])
def test_sparse_rows_give_the_report_of_dense_ones(kind):
    def dense(rows):
        assert rows.format == "csr"
        return rows.toarray()

    reader = make_pipeline(FunctionTransformer(dense, accept_sparse=True), KNeighborsClassifier(3))
    arguments = {"n_context": 20, "n_repeats": 2, "n_bootstrap": 50}
    expected = icl_diagnostics(KNeighborsClassifier(3), X, Y, **arguments)
    assert icl_diagnostics(reader, kind(X), Y, **arguments).measures == expected.measures
    own = {"y": Y[::2], "y_query": Y[1::2]} | arguments
    expected = icl_diagnostics(KNeighborsClassifier(3), X[::2], X_query=X[1::2], **own)
    report = icl_diagnostics(reader, kind(X[::2]), X_query=kind(X[1::2]), **own)
    assert report.measures == expected.measures


def test_queries_of_ones_own():
    report = icl_diagnostics(Known(), X[::2], Y[::2], X_query=X[1::2], y_query=Y[1::2], n_context=20, n_repeats=2)
    assert report.n_queries == 75
    everything = icl_diagnostics(Known(), X[::2], Y[::2], X_query=X[1::2], y_query=Y[1::2], n_context=75, n_repeats=2)
    assert any(note.startswith("demonstrations: not measured") for note in everything.notes)


def test_the_estimator_is_not_changed_and_seeds_repeat():
    estimator = DecisionTreeClassifier(random_state=0)
    first, second = (str(icl_diagnostics(estimator, X, Y, n_repeats=2, n_bootstrap=50)) for _ in range(2))
    assert first == second
    assert not hasattr(estimator, "classes_")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_repeats": 1}, "`n_repeats` must be an integer of at least 2, got 1"),
        ({"n_queries": 2.5}, "`n_queries` must be an integer of at least 2, got 2.5"),
        ({"n_queries": 2}, "`n_queries`=2 is less than the number of classes, 3"),
        ({"n_bootstrap": 1}, "`n_bootstrap` must be an integer of at least 10"),
        ({"n_context": 2}, "`n_context`=2 must lie between the number of classes, 3, and the number of rows"),
        ({"n_context": 149}, "`n_context`=149 must lie between"),
        ({"confidence_level": 95}, "`confidence_level` must be a number above 0 and below 1, got 95"),
        ({"X_query": X}, "`X_query` and `y_query` go together"),
        ({"X_query": X, "y_query": Y + 1}, r"`y_query` holds \[3\], which do not occur in `y`"),
        ({"y": np.zeros(150)}, r"`y` has only the class \[0.0\]"),
        ({"y": np.append(np.zeros(149), 1)}, "`y` has a single row of class 1.0"),
        ({"y": np.array(["a"] * 149 + ["b"], dtype=object)}, "`y` has a single row of class 'b'"),
        ({"y": Y[:9]}, "inconsistent numbers of samples"),
        ({"X": None}, "`X` is None"),
        ({"y": None}, "`y` is None"),
        ({"X_query": X[:0], "y_query": Y[:0]}, "`X_query` is empty"),
        ({"templates": "{text}"}, "`templates` must be a list of templates"),
        ({"templates": 5}, "`templates` must be a list of templates, got 5"),
        ({"X": "abc", "y": [0, 1, 0]}, r"`X` is a bare string \('abc'\)"),
        (
            {"templates": [1], "template_parameter": "prompt"},
            "`template_parameter`='prompt' is not a parameter of Known",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        icl_diagnostics(**{"estimator": Known(), "X": X, "y": Y, **arguments})


def test_estimators_that_cannot_be_asked():
    with pytest.raises(TypeError, match="`estimator` must be a classifier with predict_proba, got LinearSVC"):
        icl_diagnostics(LinearSVC(), X, Y)
    with pytest.raises(ValueError, match="one parameter called template, and KNeighborsClassifier has 0"):
        icl_diagnostics(KNeighborsClassifier(), X, Y, templates=["a"])
