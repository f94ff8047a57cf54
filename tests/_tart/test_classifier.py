"""TartClassifier: the contract with scikit-learn, the laws, and the limits of its inputs."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from counting_encoder import CountingEncoder
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_moons
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skicl import SentenceEncoder, TartClassifier
from skicl._tart._coordinates import has_mixed_units
from skicl.reasoning import EquivariantConfig, EquivariantReasoner, Reasoner, load_reasoner, save_reasoner


@parametrize_with_checks([TartClassifier()])
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else scikit-learn skips its check of array API inputs
    check(estimator)


@pytest.fixture(params=["float64", "float32", "wide", "rank deficient"])
def problem(request):
    """Rows, labels and queries of three classes."""
    rng = np.random.default_rng(0)
    n_features = {"wide": 384}.get(request.param, 8)
    y = np.arange(40) % 3
    centres = rng.normal(size=(3, n_features))
    X, Q = rng.normal(size=(40, n_features)) + centres[y], rng.normal(size=(11, n_features))
    if request.param == "rank deficient":
        X[:, 4:], Q[:, 4:] = X[:, :4], Q[:, :4]
        X[20:] = X[:20]
    dtype = np.float32 if request.param == "float32" else np.float64
    return X.astype(dtype), np.array(["red", "green", "blue"])[y], Q.astype(dtype)


def assert_same(a, b, atol=1e-5):
    np.testing.assert_allclose(a, b, atol=atol, rtol=0)


def test_order_of_the_rows_does_not_matter(problem):
    X, y, Q = problem
    order = np.random.default_rng(1).permutation(len(y))
    assert_same(TartClassifier().fit(X[order], y[order]).predict_proba(Q), TartClassifier().fit(X, y).predict_proba(Q))


def test_rotations_do_not_matter_where_columns_are_not_standardised(problem):
    X, y, Q = problem
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(X.shape[1],) * 2))[0].astype(X.dtype)
    plain, rotated = TartClassifier().fit(X, y), TartClassifier().fit(X @ rotation, y)
    assert not plain.standardized_
    assert not rotated.standardized_
    assert_same(rotated.predict_proba(Q @ rotation), plain.predict_proba(Q))


@pytest.mark.parametrize("labels", [[0, 1, 2], [-5, 99, 7], ["c", "a", "b"], [2.0, 0.0, 1.0]])
def test_names_of_the_classes_do_not_matter(problem, labels):
    X, y, Q = problem
    plain = TartClassifier().fit(X, y)
    new_name = dict(zip(plain.classes_, labels))
    renamed = TartClassifier().fit(X, [new_name[label] for label in y])
    columns = [list(renamed.classes_).index(new_name[label]) for label in plain.classes_]
    assert_same(renamed.predict_proba(Q)[:, columns], plain.predict_proba(Q))


def test_one_by_one_equals_together_and_any_batch_size(problem):
    X, y, Q = problem
    classifier = TartClassifier().fit(X, y)
    together = classifier.predict_proba(Q)
    assert_same(np.concatenate([classifier.predict_proba(row[None]) for row in Q]), together)
    assert_same(TartClassifier(batch_size=3).fit(X, y).predict_proba(Q), together)


def test_pickled_equals_original_and_is_small(problem):
    X, y, Q = problem
    classifier = TartClassifier().fit(X, y)
    data = pickle.dumps(classifier)
    assert len(data) < X.nbytes + 20_000
    loaded = pickle.loads(data)
    np.testing.assert_array_equal(loaded.predict_proba(Q), classifier.predict_proba(Q))
    assert (loaded.predict(Q) == classifier.predict(Q)).all()


def test_integer_weights_equal_repetition(problem):
    X, y, Q = problem
    weight = np.random.default_rng(2).integers(0, 4, size=len(y))
    weighted = TartClassifier().fit(X, y, sample_weight=weight)
    repeated = TartClassifier().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_same(weighted.predict_proba(Q), repeated.predict_proba(Q))


def test_partial_fit_equals_fit(problem):
    X, y, Q = problem
    parts = TartClassifier().partial_fit(X[:10], y[:10]).partial_fit(X[10:25], y[10:25]).partial_fit(X[25:], y[25:])
    assert_same(parts.predict_proba(Q), TartClassifier().fit(X, y).predict_proba(Q))
    again = pickle.loads(pickle.dumps(TartClassifier().partial_fit(X[:10], y[:10])))
    assert_same(again.partial_fit(X[10:], y[10:]).predict_proba(Q), parts.predict_proba(Q))


def test_partial_fit_with_declared_classes():
    X, y = load_iris(return_X_y=True)
    two = y < 2
    classifier = TartClassifier().partial_fit(X[two], y[two], classes=[0, 1, 2])
    proba = classifier.predict_proba(X)
    assert proba.shape == (150, 3)
    assert (proba[:, 2] > 0).all()
    assert proba[:, 2].max() < 0.1
    with pytest.raises(ValueError, match="does not list"):
        classifier.partial_fit(X[:2], [0, 7])
    with pytest.raises(ValueError, match="differs from the first call"):
        classifier.partial_fit(X, y, classes=[0, 1])
    classifier.partial_fit(X, y)
    assert classifier.score(X, y) > 0.9


def test_partial_fit_grows_classes_when_none_are_declared():
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().partial_fit(X[:100], y[:100])
    assert list(classifier.classes_) == [0, 1]
    assert list(classifier.partial_fit(X, y).classes_) == [0, 1, 2]


def test_class_weight():
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.1).astype(int)
    X = rng.normal(size=(200, 5)) + y[:, None] * 0.7
    plain = TartClassifier().fit(X, y).predict_proba(X)[:, 1].mean()
    balanced = TartClassifier(class_weight="balanced").fit(X, y)
    assert balanced.predict_proba(X)[:, 1].mean() > 2 * plain
    by_hand = {0: 200 / (2 * (y == 0).sum()), 1: 200 / (2 * (y == 1).sum())}
    assert_same(TartClassifier(class_weight=by_hand).fit(X, y).predict_proba(X), balanced.predict_proba(X))
    assert_same(
        TartClassifier().fit(X, y, sample_weight=np.where(y, by_hand[1], by_hand[0])).predict_proba(X),
        balanced.predict_proba(X),
    )


def test_decision_function_and_probabilities_agree():
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X, y)
    np.testing.assert_allclose(np.exp(classifier.decision_function(X)), classifier.predict_proba(X))
    binary = TartClassifier().fit(X[:100], y[:100])
    proba = binary.predict_proba(X)
    np.testing.assert_allclose(binary.decision_function(X), np.log(proba[:, 1] / proba[:, 0]))
    assert binary.decision_function(X).shape == (150,)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        np.array([False, True]),
        np.array([3, -1]),
        np.array([0.0, 1.0]),
    ],
)
def test_labels_of_any_type_come_back_as_they_were(labels):
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X[:100], labels[y[:100]])
    predicted = classifier.predict(X[:100])
    assert predicted.dtype == labels.dtype
    assert (predicted == labels[y[:100]]).mean() > 0.9


@pytest.mark.parametrize("n_classes", [2, 50, 300])
def test_one_example_per_class(n_classes):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_classes, 64))
    classifier = TartClassifier().fit(X, np.arange(n_classes))
    proba = classifier.predict_proba(X + 0.1 * rng.normal(size=X.shape))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (proba.argmax(axis=1) == np.arange(n_classes)).mean() > 0.9


@pytest.mark.parametrize(
    "X",
    [
        np.ones((10, 384)),
        np.zeros((10, 1)),
        np.full((10, 3), 1e-300),
        np.repeat(np.eye(2, 5), 5, axis=0),
        np.eye(10, 384) * 1e12,
    ],
)
def test_degenerate_contexts_give_finite_probabilities(X):
    y = np.arange(10) % 2
    proba = TartClassifier().fit(X, y).predict_proba(np.concatenate([X, X * 3 + 1, -X]))
    assert np.isfinite(proba).all()
    assert ((proba > 0) & (proba < 1)).all()


@pytest.mark.parametrize(
    "X",
    [
        [[1e-310, 5e-324, 0.0], *[[0.0] * 3] * 4],
        [[0.0, 1.0, 5e-324, 5e-324], *[[5e-324] * 4] * 3, [5e-324, 1.0, 0.0, 0.0]],
    ],
)
def test_subnormal_numbers_give_finite_probabilities(X):
    for classifier in (TartClassifier(), TartClassifier(standardize=True), TartClassifier(reasoner="tart-paper")):
        proba = classifier.fit(np.array(X), [0, 1, 0, 1, 0]).predict_proba(X)
        np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_equal_rows_give_the_frequencies_of_the_classes():
    proba = TartClassifier().fit(np.ones((40, 6)), ["a"] * 10 + ["b"] * 30).predict_proba(np.ones((1, 6)))
    np.testing.assert_allclose(proba[0], [0.25, 0.75], atol=0.1)


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e6, 1e150])
def test_the_unit_of_all_features_does_not_matter(factor):
    X, y = load_iris(return_X_y=True)
    expected = TartClassifier().fit(X, y).predict_proba(X)
    assert_same(TartClassifier().fit(X * factor, y).predict_proba(X * factor), expected)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_raw_columns_of_different_units_work_as_in_a_scaled_pipeline(load):
    X, y = load(return_X_y=True)
    scores = {}
    for name, model in {
        "raw": TartClassifier(),
        "scaled": make_pipeline(StandardScaler(), TartClassifier()),
        "unscaled": TartClassifier(standardize=False),
    }.items():
        scores[name] = cross_val_score(model, X, y, cv=3).mean()
    assert scores["raw"] == pytest.approx(scores["scaled"], abs=0.01)
    assert scores["raw"] > scores["unscaled"]


def test_standardised_columns_make_units_irrelevant():
    X, y = load_wine(return_X_y=True)
    units = 10.0 ** np.random.default_rng(0).integers(-4, 5, size=X.shape[1])
    expected = TartClassifier().fit(X, y).predict_proba(X)
    assert_same(TartClassifier().fit(X * units, y).predict_proba(X * units), expected)


def test_problems_that_are_not_linear():
    X, y = make_moons(300, noise=0.2, random_state=0)
    linear = LogisticRegression().fit(X[:100], y[:100]).score(X[100:], y[100:])
    assert TartClassifier().fit(X[:100], y[:100]).score(X[100:], y[100:]) > linear + 0.03


def test_it_learns_digits_from_raw_pixels():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, train_size=100, stratify=y, random_state=0)
    assert TartClassifier().fit(X, y).score(X_test, y_test) > 0.85


def test_frames_and_their_names():
    X, y = load_iris(return_X_y=True, as_frame=True)
    expected = TartClassifier().fit(X.to_numpy(), y).predict_proba(X.to_numpy())
    classifier = TartClassifier().fit(X, y)
    assert list(classifier.feature_names_in_) == list(X.columns)
    assert_same(classifier.predict_proba(X), expected, atol=1e-9)
    frame = pl.DataFrame({name: X[name].to_numpy() for name in X.columns})
    assert_same(TartClassifier().fit(frame, y).predict_proba(frame), expected, atol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(X.rename(columns=str.upper))
    with pytest.raises(ValueError, match="4 features"):
        classifier.predict(X.to_numpy()[:, :3])
    by_category = TartClassifier().fit(X, pd.Series(y).map({0: "a", 1: "b", 2: "c"}).astype("category"))
    assert by_category.classes_.tolist() == ["a", "b", "c"]


def test_unusable_input_is_refused_with_a_reason():
    X, y = load_iris(return_X_y=True)
    with_nan = X.copy()
    with_nan[3, 1] = np.nan
    from scipy.sparse import csr_array

    for bad, message in [
        (lambda: TartClassifier().fit(with_nan, y), "contains NaN"),
        (lambda: TartClassifier().fit(X, np.zeros(150)), "1 class"),
        (lambda: TartClassifier().fit(X, y[:-1]), "inconsistent"),
        (lambda: TartClassifier().fit(X, X[:, 0] + 0.01), "Unknown label type"),
        (lambda: TartClassifier().fit(X, np.array(["a", 1, "b"] * 50, dtype=object)), "mixes"),
        (lambda: TartClassifier().fit("a bare string", ["a", "b"]), "bare string"),
        (lambda: TartClassifier().fit(X, y, sample_weight=-np.ones(150)), "negative"),
        (lambda: TartClassifier().fit(X, y, sample_weight=np.ones(3)), "150"),
        (lambda: TartClassifier().fit(X, y, sample_weight=np.zeros(150)), "zero"),
        (lambda: TartClassifier(class_weight={9: 2}).fit(X, y), r"`class_weight`.*\[9\]"),
        (lambda: TartClassifier(class_weight="even").fit(X, y), "`class_weight`"),
        (lambda: TartClassifier(class_weight={0: -1}).fit(X, y), "`class_weight` holds -1"),
        (lambda: TartClassifier(class_weight={0: np.nan}).fit(X, y), "`class_weight` holds nan"),
        (lambda: TartClassifier(class_weight={0: "x"}).fit(X, y), "`class_weight` holds 'x'"),
        (lambda: TartClassifier(class_weight={0: 1e300}).fit(X, y), "rescale"),
        (lambda: TartClassifier().fit(X, y, np.full(150, 1e-300)), "rescale"),
        (lambda: TartClassifier().fit([["a", "b"], ["c", "d"]], [0, 1]), "`X` holds strings"),
        (lambda: TartClassifier().fit(X, y).predict(["a text"]), "`X` holds strings"),
        (lambda: TartClassifier().fit(X, y).partial_fit(X[:2], ["a", "b"]), "another kind"),
        (lambda: TartClassifier(encoder=FunctionTransformer(lambda Z: Z[1:])).fit(X, y), "149 rows"),
        (lambda: TartClassifier(batch_size=0).fit(X, y), "`batch_size`"),
        (lambda: TartClassifier(standardize="yes").fit(X, y), "`standardize`"),
        (lambda: TartClassifier(device="abacus").fit(X, y), "`device`"),
        (lambda: TartClassifier(reasoner="none such").fit(X, y), "no reasoner file"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            bad()
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        TartClassifier().fit(csr_array(X), y)
    with pytest.raises(TypeError, match="`encoder`"):
        TartClassifier(encoder=3).fit(X, y)
    with pytest.raises(TypeError, match="`reasoner`"):
        TartClassifier(reasoner=3).fit(X, y)


def test_an_encoder_may_take_anything():
    X, y = load_iris(return_X_y=True)
    items = [tuple(row) for row in X]
    encoder = FunctionTransformer(lambda rows: np.array(rows), check_inverse=False)
    classifier = TartClassifier(encoder=encoder).fit(items, y)
    assert_same(classifier.predict_proba(items), TartClassifier().fit(X, y).predict_proba(X))
    assert not hasattr(classifier, "n_features_in_")
    assert classifier.encoder_ is not encoder


def test_a_refit_forgets_the_earlier_fit():
    X, y = load_iris(return_X_y=True)
    items = [tuple(row) for row in X]
    encoder = FunctionTransformer(np.array)
    classifier = TartClassifier().fit(X, y)
    classifier.set_params(encoder=encoder).fit(items, y)
    assert not hasattr(classifier, "n_features_in_")
    classifier.set_params(encoder="auto").fit(X[:, :2], y == 0)
    assert classifier.n_features_in_ == 2
    assert classifier.classes_.tolist() == [False, True]


def test_a_failed_fit_leaves_the_fitted_classifier_as_it_was():
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X, y)
    before = classifier.predict_proba(X)
    with pytest.raises(ValueError, match="1 class"):
        classifier.fit(X[:10], y[:10])
    np.testing.assert_array_equal(classifier.predict_proba(X), before)


def test_other_reasoners(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "copy.safetensors"
    save_reasoner(path, load_reasoner())
    expected = TartClassifier().fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(TartClassifier(reasoner=path).fit(X, y).predict_proba(X), expected)
    np.testing.assert_array_equal(TartClassifier(reasoner="tart-equivariant").fit(X, y).predict_proba(X), expected)
    live = TartClassifier(reasoner=load_reasoner())
    assert_same(clone(live).fit(X, y).predict_proba(X), expected, atol=1e-3)


def test_another_version_of_the_reasoner_is_noticed_when_a_pickle_is_loaded(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "mine.safetensors"
    save_reasoner(path, load_reasoner())
    data = pickle.dumps(TartClassifier(reasoner=str(path)).fit(X, y))
    other = load_reasoner()
    with torch.no_grad():
        other.readout.bias += 1
    save_reasoner(path, other)
    from skicl.reasoning import _in_memory

    _in_memory._load.cache_clear()
    with pytest.warns(UserWarning, match="another version of the reasoner"):
        pickle.loads(data).predict(X)


def test_a_replaced_reasoner_file_is_noticed(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "mine.safetensors"
    save_reasoner(path, load_reasoner())
    before = TartClassifier(reasoner=path).fit(X, y).predict_proba(X)
    other = load_reasoner()
    with torch.no_grad():
        other.readout.weight.mul_(0.1)
    save_reasoner(path, other)
    assert np.abs(TartClassifier(reasoner=path).fit(X, y).predict_proba(X) - before).max() > 0.01


class Frequencies(Reasoner):
    """The least that a reasoner can be: it answers with the counts of the classes."""

    def encode(self, evidence, *, chunk_rows=None):
        counts = torch.nn.functional.one_hot(evidence.y, evidence.n_classes) * evidence.weight[..., None]
        return (counts.sum(1).log(),)

    def score(self, context, X, side=None):
        return context[0][:, None].expand(-1, X.shape[1], -1)


def test_a_reasoner_of_ones_own():
    X, y = load_iris(return_X_y=True)
    proba = TartClassifier(reasoner=Frequencies()).fit(X[:80], y[:80]).predict_proba(X)
    assert_same(proba, np.tile([50 / 80, 30 / 80], (150, 1)))


def test_queries_far_away_get_probabilities():
    X, y = load_iris(return_X_y=True)
    for far in (1e20, 1e160, -1e300):
        proba = TartClassifier().fit(X, y).predict_proba(np.full((1, 4), far))
        assert np.isfinite(proba).all()
        assert proba.sum() == pytest.approx(1)


def test_tied_landmarks_move_probabilities_only_a_little():
    """Beyond as many rows as landmarks, a grid has no order of its own: the one stated exception."""
    X = np.array(np.meshgrid(*[[-1.0, 1.0]] * 9)).reshape(9, -1).T
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    order = np.random.default_rng(0).permutation(len(y))
    plain, permuted = TartClassifier().fit(X, y), TartClassifier().fit(X[order], y[order])
    assert_same(plain.predict_proba(X), permuted.predict_proba(X), atol=0.05)


def test_classes_may_be_repeated_in_every_partial_fit():
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X[::2], y[::2]).partial_fit(X[1::2], y[1::2], classes=[0, 1, 2])
    assert_same(classifier.predict_proba(X), TartClassifier().fit(X, y).predict_proba(X))


def test_weights_are_shared_between_clones():
    X, y = load_iris(return_X_y=True)
    first, second = TartClassifier().fit(X, y), clone(TartClassifier()).fit(X, y)
    networks = [classifier._learnt.made(None).network for classifier in (first, second)]
    assert networks[0] is networks[1]
    assert isinstance(networks[0], EquivariantReasoner)


def test_what_happens_to_X_later_does_not_matter():
    X, y = load_iris(return_X_y=True)
    mine, weight = X.copy(), np.arange(150) % 3 + 1.0
    classifier = TartClassifier().fit(mine, y, weight)
    expected = classifier.predict_proba(X)
    mine[:], weight[:75] = 0, 0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(X), expected)


def test_grid_search_and_processes():
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(
        TartClassifier(),
        {"class_weight": [None, "balanced"], "standardize": [True, False]},
        cv=3,
        n_jobs=2,
        scoring="neg_log_loss",
    ).fit(X, y)
    assert search.best_score_ > -0.3


def test_a_pickle_loads_in_a_new_process(tmp_path):
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X[::3], y[::3])
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(classifier))
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, numpy as np; c = pickle.load(open('fitted.pickle', 'rb'));"
        "np.save('p.npy', c.predict_proba(np.load('X.npy')))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert_same(np.load(tmp_path / "p.npy"), classifier.predict_proba(X), atol=1e-9)


@pytest.mark.slow
def test_a_hundred_thousand_rows_fit_in_memory():
    import resource

    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, size=100_000)
    X = (rng.normal(size=(100_000, 384)) + 0.3 * rng.normal(size=(10, 384))[y]).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    classifier = TartClassifier().fit(X, y)
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    assert used < 12  # GB, beside the rows themselves
    assert classifier.score(X[:500], y[:500]) > 0.9


# -- names of the classes, another model, rows without a label -----------------------------------


@pytest.fixture(
    params=[
        "names",
        "unlabelled",
        "names, unlabelled",
        "fitted prior",
        "prior",
        "rule, names",
        "prior, names, unlabelled",
    ]
)
def evidence(request, problem):
    """Parameters of the classifier and labels with marks, by what is known beside labels; with rows and queries."""
    X, y, Q = problem
    parameters = {}
    if "names" in request.param:
        noise = np.random.default_rng(3).normal(size=(3, X.shape[1]))
        parameters["class_texts"] = {
            label: X[y == label].mean(axis=0) + 0.5 * noise[i] for i, label in enumerate(np.unique(y))
        }
    if "fitted prior" in request.param:
        parameters["prior"] = FrozenEstimator(GaussianNB().fit(X[::2], y[::2]))
    elif "prior" in request.param:
        parameters["prior"] = GaussianNB()
    elif "rule" in request.param:
        parameters["prior"] = rule
    y = y.astype(object)
    if "unlabelled" in request.param:
        y[1::4] = None
    return parameters, X, y, Q


def rule(X):
    """Probabilities of three classes, from the first column."""
    odds = np.exp(np.column_stack([X[:, 0], -X[:, 0], 0 * X[:, 0]]))
    return odds / odds.sum(axis=1, keepdims=True)


def fitted_on(evidence):
    parameters, X, y, _ = evidence
    return TartClassifier(**parameters).fit(X, y)


def test_order_of_all_rows_does_not_matter(evidence):
    parameters, X, y, Q = evidence
    order = np.random.default_rng(1).permutation(len(y))
    shuffled = TartClassifier(**parameters).fit(X[order], y[order])
    assert_same(shuffled.predict_proba(Q), fitted_on(evidence).predict_proba(Q))


def test_classes_may_be_renamed_with_their_names(evidence):
    parameters, X, y, Q = evidence
    if parameters.get("prior") is rule or isinstance(parameters.get("prior"), FrozenEstimator):
        pytest.skip("speaks of classes by the old names")
    new = {"red": "a", "green": "c", "blue": "b"}
    renamed = dict(parameters)
    if "class_texts" in parameters:
        renamed["class_texts"] = {new[label]: vector for label, vector in parameters["class_texts"].items()}
    other = TartClassifier(**renamed).fit(X, [None if label is None else new[label] for label in y])
    plain = fitted_on(evidence)
    columns = [list(other.classes_).index(new[label]) for label in plain.classes_]
    assert_same(other.predict_proba(Q)[:, columns], plain.predict_proba(Q))


def test_queries_are_independent_of_their_company(evidence):
    parameters, X, y, Q = evidence
    classifier = fitted_on(evidence)
    together = classifier.predict_proba(Q)
    assert_same(np.concatenate([classifier.predict_proba(row[None]) for row in Q]), together)
    classifier.predict_proba(10 * X)
    np.testing.assert_array_equal(classifier.predict_proba(Q), together)
    assert_same(TartClassifier(**parameters, batch_size=3).fit(X, y).predict_proba(Q), together)


def test_pickled_with_all_evidence(evidence):
    parameters, X, y, Q = evidence
    classifier = fitted_on(evidence)
    loaded = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(loaded.predict_proba(Q), classifier.predict_proba(Q))
    some = TartClassifier(**parameters).partial_fit(X[:25], y[:25], classes=["red", "green", "blue"])
    again = pickle.loads(pickle.dumps(some)).partial_fit(X[25:], y[25:])
    assert_same(again.predict_proba(Q), classifier.predict_proba(Q))


def test_portions_of_all_evidence_equal_one_fit(evidence):
    parameters, X, y, Q = evidence
    parts = TartClassifier(**parameters).partial_fit(X[:3], y[:3], classes=["red", "green", "blue"])
    parts.partial_fit(X[3:20], y[3:20]).partial_fit(X[20:], y[20:])
    assert_same(parts.predict_proba(Q), fitted_on(evidence).predict_proba(Q))
    assert (parts.n_context_, parts.n_labelled_) == (40, sum(label is not None for label in y))


def test_integer_weights_equal_repetition_of_all_rows(evidence):
    parameters, X, y, Q = evidence
    weight = np.random.default_rng(2).integers(0, 4, size=len(y))
    weighted = TartClassifier(**parameters).fit(X, y, sample_weight=weight)
    repeated = TartClassifier(**parameters).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_same(weighted.predict_proba(Q), repeated.predict_proba(Q))


def test_rotations_do_not_matter_to_names_and_unlabelled_rows(evidence):
    parameters, X, y, Q = evidence
    if "prior" in parameters:
        pytest.skip("depends on the axes")
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(X.shape[1],) * 2))[0].astype(X.dtype)
    turned = (
        {"class_texts": {label: vector @ rotation for label, vector in parameters["class_texts"].items()}}
        if parameters
        else {}
    )
    rotated = TartClassifier(**turned).fit(X @ rotation, y)
    assert not rotated.standardized_
    assert_same(rotated.predict_proba(Q @ rotation), fitted_on(evidence).predict_proba(Q))


def test_unlabelled_rows_without_weight_change_nothing(evidence):
    parameters, X, y, Q = evidence
    more = np.concatenate([X, 3 * Q])
    marks = np.concatenate([y, [None] * len(Q)])
    classifier = TartClassifier(**parameters).fit(more, marks, np.repeat([1.0, 0.0], [len(y), len(Q)]))
    assert_same(classifier.predict_proba(Q), fitted_on(evidence).predict_proba(Q))


def test_names_of_standardised_columns_have_their_units():
    X, y = load_wine(return_X_y=True)
    units = 10.0 ** np.random.default_rng(0).integers(-4, 5, size=X.shape[1])
    names = np.stack([X[y == label][:3].mean(axis=0) for label in range(3)])
    plain = TartClassifier(class_texts=names).fit(X[::5], y[::5])
    assert plain.standardized_
    scaled = TartClassifier(class_texts=names * units).fit(X[::5] * units, y[::5])
    assert_same(scaled.predict_proba(X * units), plain.predict_proba(X))


def test_principal_components_are_not_blown_up():
    """Ranges that differ by more than ten, not because of units: the rows themselves tell."""
    X, y = load_digits(return_X_y=True)
    Z = PCA().fit_transform(X)
    assert has_mixed_units(Z[:64])
    for n in (32, 64, 128):
        plain = TartClassifier(standardize=False).fit(Z[:n], y[:n])
        assert not TartClassifier().fit(Z[:n], y[:n]).standardized_
        assert_same(TartClassifier().fit(Z[:n], y[:n]).predict_proba(Z[-100:]), plain.predict_proba(Z[-100:]))


def test_a_reasoner_that_cannot_tell_leaves_it_to_the_ranges():
    class Silent(EquivariantReasoner):
        def context_fit(self, context):
            return None

    X, y = load_digits(return_X_y=True)
    Z = PCA().fit_transform(X)[:40]
    reasoner = Silent(EquivariantConfig(n_layers=1))
    assert TartClassifier(reasoner=reasoner).fit(Z, y[:40]).standardized_


@pytest.fixture
def few():
    """Four labelled rows of four classes in 64 dimensions, 200 rows without a label, queries, names of the classes."""
    rng = np.random.default_rng(0)
    names = 0.8 * rng.normal(size=(4, 64)) * np.linspace(1, 0, 64)
    codes = np.concatenate([np.arange(4), rng.integers(0, 4, size=500)])
    X = names[codes] + rng.normal(size=(504, 64))
    return X[:4], codes[:4], X[4:204], X[204:], codes[204:], names + 0.8 * rng.normal(size=names.shape)


def test_names_and_unlabelled_rows_help_where_labels_are_few(few):
    X, y, U, Q, y_query, names = few
    alone = TartClassifier().fit(X, y).score(Q, y_query)
    assert TartClassifier(class_texts=names).fit(X, y).score(Q, y_query) > alone + 0.02
    every, marks = np.concatenate([X, U]), np.concatenate([y, np.full(200, -1)])
    classifier = TartClassifier(missing_label=-1).fit(every, marks)
    assert classifier.score(Q, y_query) > alone + 0.02
    assert (classifier.n_context_, classifier.n_labelled_) == (204, 4)
    assert classifier.classes_.tolist() == [0, 1, 2, 3]


def test_a_model_trained_elsewhere_helps(few):
    X, y, _, Q, y_query, _ = few
    prior = GaussianNB().fit(Q[:100], y_query[:100])
    alone = TartClassifier().fit(X, y).score(Q[100:], y_query[100:])
    for given in (prior, FrozenEstimator(prior), prior.predict_proba):
        classifier = TartClassifier(prior=given).fit(X, y)
        assert classifier.prior_ is given
        assert classifier.score(Q[100:], y_query[100:]) > alone + 0.02


def test_without_labels_the_nearest_name_wins(few):
    _, _, _, Q, _, names = few
    cosines = Q @ names.T / np.linalg.norm(Q, axis=1)[:, None] / np.linalg.norm(names, axis=1)
    classifier = TartClassifier(class_texts=names).fit(None, classes=[3, 2, 1, 0])
    proba = classifier.predict_proba(Q)
    np.testing.assert_array_equal(classifier.predict(Q), cosines.argmax(axis=1))
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert ((proba > 0) & (proba < 1)).all()
    assert (classifier.n_context_, classifier.n_labelled_, classifier.n_features_in_) == (0, 0, 64)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(Q), proba)
    with pytest.raises(ValueError, match="64 features"):
        classifier.predict(Q[:, :5])


def test_without_labels_a_prior_has_the_last_word(few):
    _, _, _, Q, y_query, names = few
    prior = LogisticRegression(C=0.01).fit(Q[:100], y_query[:100])
    alone = TartClassifier(prior=prior).fit(None, classes=[0, 1, 2, 3])
    assert_same(alone.predict_proba(Q), prior.predict_proba(Q), atol=0.005)
    by_names = TartClassifier(class_texts=names).fit(None, classes=[0, 1, 2, 3])
    both = TartClassifier(class_texts=names, prior=prior).fit(None, classes=[0, 1, 2, 3]).predict_proba(Q)
    product = alone.predict_proba(Q) * by_names.predict_proba(Q)
    assert_same(both, product / product.sum(axis=1, keepdims=True), atol=1e-4)
    # A prior that is still to be fitted waits for labels.
    waiting = TartClassifier(class_texts=names, prior=GaussianNB()).fit(None, classes=[0, 1, 2, 3])
    assert waiting.prior_ is None
    np.testing.assert_array_equal(waiting.predict_proba(Q), by_names.predict_proba(Q))
    waiting.partial_fit(Q, y_query)
    assert waiting.prior_.predict(Q).shape == y_query.shape


@pytest.mark.parametrize("prior", [None, GaussianNB(), rule])
def test_labels_after_a_start_without_any(problem, prior):
    X, y, Q = problem
    names = np.stack([X[y == label][:2].mean(axis=0) for label in np.unique(y)])
    classes = ["red", "green", "blue"]
    late = TartClassifier(class_texts=names, prior=prior).fit(None, classes=classes)
    late.partial_fit(X[:7], y[:7]).partial_fit(X[7:], y[7:])
    at_once = TartClassifier(class_texts=names, prior=prior).fit(X, y, classes=classes)
    assert_same(late.predict_proba(Q), at_once.predict_proba(Q))
    marked = TartClassifier(class_texts=names, prior=prior).fit(X[:20], classes=classes)
    assert (marked.n_context_, marked.n_labelled_) == (20, 0)
    marked.partial_fit(X[20:], y[20:])
    half = [None] * 20 + y[20:].tolist()
    assert_same(marked.predict_proba(Q), TartClassifier(class_texts=names, prior=prior).fit(X, half).predict_proba(Q))


def test_a_class_without_a_labelled_row_is_known_by_its_name():
    rng = np.random.default_rng(0)
    means = 0.8 * rng.normal(size=(4, 64)) * np.linspace(1, 0, 64)
    codes = np.concatenate([[0, 1, 2, 0, 1, 2], rng.integers(0, 4, size=300)])
    X = means[codes] + rng.normal(size=(306, 64))
    classifier = TartClassifier(class_texts=dict(enumerate(means))).fit(X[:6], codes[:6])
    assert classifier.classes_.tolist() == [0, 1, 2, 3]
    assert (classifier.predict(X[codes == 3]) == 3).mean() > 0.5
    assert (classifier.predict(X[codes < 3]) == 3).mean() < 0.1
    nameless = TartClassifier().fit(X[:6], codes[:6], classes=[0, 1, 2, 3])
    assert (nameless.predict(X) != 3).all()
    assert nameless.predict_proba(X).shape == (306, 4)


def test_a_memorising_prior_leaks_nothing_into_the_context():
    rng = np.random.default_rng(5)
    X, noise = rng.normal(size=(40, 8)), rng.permutation(np.arange(40) % 3)
    honest = TartClassifier(prior=KNeighborsClassifier(1)).fit(X, noise)
    leaking = TartClassifier(prior=FrozenEstimator(KNeighborsClassifier(1).fit(X, noise))).fit(X, noise)
    codes = np.searchsorted(honest.classes_, noise)
    opinions = [classifier._learnt.rows.prior_scores for classifier in (honest, leaking)]
    agreement = [(scores.argmax(1) == codes).mean() for scores in opinions]
    assert agreement[0] < 0.6
    assert agreement[1] == 1
    np.testing.assert_array_equal(honest.prior_.predict(X), leaking.prior_.predict(X))


def test_clone_forgets_a_fit_and_a_frozen_prior_is_kept():
    X, y = load_iris(return_X_y=True)
    prior = GaussianNB().fit(X, y)
    assert not hasattr(clone(TartClassifier(prior=prior)).prior, "classes_")
    frozen = clone(TartClassifier(prior=FrozenEstimator(prior))).fit(X[::10], y[::10])
    np.testing.assert_array_equal(
        frozen.predict_proba(X), TartClassifier(prior=prior).fit(X[::10], y[::10]).predict_proba(X)
    )


def test_a_grid_search_over_names_and_priors():
    X, y = load_iris(return_X_y=True)
    names = np.stack([X[y == label][:3].mean(axis=0) for label in range(3)])
    grid = {
        "class_texts": [None, names, dict(enumerate(names))],
        "prior": [None, GaussianNB(), FrozenEstimator(GaussianNB().fit(X[::2], y[::2]))],
    }
    search = GridSearchCV(TartClassifier(), grid, cv=3, scoring="neg_log_loss", error_score="raise").fit(X, y)
    scores = search.cv_results_["mean_test_score"].reshape(3, 3)
    np.testing.assert_allclose(scores[1], scores[2])
    assert len(np.unique(np.round(scores, 9))) == 6
    inner = GridSearchCV(
        TartClassifier(prior=GaussianNB()), {"prior__var_smoothing": [1e-9, 1.0]}, cv=3, error_score="raise"
    ).fit(X, y)
    assert np.isfinite(inner.best_score_)


def test_rows_without_a_label_belong_to_no_class():
    X, y = load_iris(return_X_y=True)
    marks = np.where(np.arange(150) % 50 < 10, y, -1)
    factor = {0: 3.0, 1: 1.0, 2: 0.5}
    weight = np.array([factor.get(label, 1.0) for label in marks])
    plain = TartClassifier(missing_label=-1)
    weighted = clone(plain).fit(X, marks, weight).predict_proba(X)
    assert_same(clone(plain).set_params(class_weight=factor).fit(X, marks).predict_proba(X), weighted)
    balanced = clone(plain).set_params(class_weight="balanced").fit(X, marks).predict_proba(X)
    assert_same(balanced, plain.fit(X, marks).predict_proba(X))  # as many labels of each class


def test_minus_one_is_a_label_unless_the_user_says_otherwise():
    X, y = load_iris(return_X_y=True)
    reference = TartClassifier().fit(X, y).predict_proba(X)
    for shifted in (y - 1, np.where(y == 0, -1, y + 4), np.where(y == 2, 7, y - 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            classifier = TartClassifier().fit(X, shifted)
        assert classifier.classes_.tolist() == np.unique(shifted).tolist()
        assert classifier.n_labelled_ == 150
        assert_same(np.sort(classifier.predict_proba(X)), np.sort(reference))
    grown = TartClassifier().partial_fit(X[y > 0], y[y > 0]).partial_fit(X[y == 0], np.full(50, -1))
    assert grown.classes_.tolist() == [-1, 1, 2]
    assert_same(grown.predict_proba(X), reference)


def test_minus_one_marks_rows_without_a_label_where_the_user_says_so():
    X, y = load_iris(return_X_y=True)
    marks = np.where(np.arange(150) % 3, y, -1)
    by_none = TartClassifier().fit(X, [label if label >= 0 else None for label in marks.tolist()])
    assert by_none.n_labelled_ == 100
    names = {label: X[y == label][0] for label in (0, 1, 2)}
    for classifier in (
        TartClassifier().fit(X, marks, classes=[0, 1, 2]),
        TartClassifier(missing_label=-1).fit(X, marks),
        TartClassifier().partial_fit(X[:60], marks[:60], classes=[0, 1, 2]).partial_fit(X[60:], marks[60:]),
        TartClassifier(missing_label=-1).fit(X, marks.astype(float)),
        TartClassifier(missing_label="?").fit(X, np.where(marks < 0, "?", marks.astype(str))),
        TartClassifier(missing_label=-1).fit(X, [str(label) if label >= 0 else -1 for label in marks]),
    ):
        assert classifier.n_labelled_ == 100
        assert_same(classifier.predict_proba(X), by_none.predict_proba(X))
    assert TartClassifier(class_texts=names).fit(X, marks).n_labelled_ == 100
    assert TartClassifier(class_texts=names | {-1: X[0]}).fit(X, marks).n_labelled_ == 150
    assert TartClassifier().fit(X, marks, classes=[-1, 0, 1, 2]).n_labelled_ == 150


def test_a_mark_is_no_label():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="`missing_label` is -1, and the label space lists it too"):
        TartClassifier(missing_label=-1).fit(X, y, classes=[-1, 0, 1, 2])
    for wrong in (float("nan"), [1], object()):
        with pytest.raises(TypeError, match="`missing_label` must be None, a number or a string"):
            TartClassifier(missing_label=wrong).fit(X, y)


COLOURS = ["red wine", "blue sea", "red rose", "blue sky", "a sea"], np.array(["red", "blue", "red", "blue", "blue"])


@pytest.fixture
def sentences(tiny_folder):
    return SentenceEncoder(tiny_folder, device="cpu")


def test_names_are_read_unless_switched_off(sentences):
    texts, y = COLOURS
    swapped = np.where(y == "red", "blue", "red")
    for class_texts in ({}, {"class_texts": "labels"}, {"class_texts": None}):
        plain, other = (
            TartClassifier(sentences, **class_texts).fit(texts, labels).predict_proba(texts) for labels in (y, swapped)
        )
        if class_texts == {"class_texts": None}:
            assert_same(plain, other[:, ::-1])
        else:
            assert np.abs(plain - other[:, ::-1]).max() > 1e-3


def equal_bits(one, other, *data, **options):
    """Whether two classifiers that read the same predict the same, bit for bit."""
    probas = [classifier.fit(*data, **options).predict_proba(data[0]) for classifier in (one, other)]
    return np.array_equal(*probas)


@pytest.mark.parametrize("labels", [["get_red", "GetBlue"], ["red", "blue"], ["rot: red", "blau: blue"]])
def test_names_are_the_labels_in_words(sentences, labels):
    texts, y = COLOURS
    y = np.where(y == "red", *labels)
    words = dict(zip(labels, [{"get_red": "get red", "GetBlue": "Get Blue"}.get(label, label) for label in labels]))
    by_default, by_hand = TartClassifier(sentences), TartClassifier(sentences, class_texts=words)
    assert equal_bits(by_default, by_hand, texts, y)
    assert equal_bits(by_default, by_hand, texts, np.where([True, False] * 2 + [True], y, None))
    assert equal_bits(by_default, by_hand, texts, classes=labels)
    assert equal_bits(by_default, by_hand, pd.Series(texts), pd.Series(y))
    as_they_are = TartClassifier(sentences, class_texts={label: label for label in labels})
    assert equal_bits(TartClassifier(sentences, class_texts="labels"), as_they_are, texts, y)


@pytest.mark.parametrize(
    "labels", [["LABEL_0", "LABEL_1"], ["a", "b"], ["0", "1"], [0, 1], [False, True], ["en", "de"]]
)
def test_labels_that_are_codes_play_no_part(sentences, labels):
    texts, y = COLOURS
    y = np.array(labels)[(y == "red").astype(int)]
    assert equal_bits(TartClassifier(sentences), TartClassifier(sentences, class_texts=None), texts, y)


def test_names_play_no_part_beside_what_is_no_text(sentences):
    X, y = load_iris(return_X_y=True)
    X, y = X[::5], np.array(["setosa", "versicolor", "virginica"])[y[::5]]
    off = {"class_texts": None}
    assert equal_bits(TartClassifier(), TartClassifier(**off), X, y)
    for encoder in (StandardScaler(), make_pipeline(StandardScaler(), PCA(3))):
        assert equal_bits(TartClassifier(encoder), TartClassifier(encoder, **off), X, y)
    texts, y = COLOURS
    quiet = FunctionTransformer(sentences.fit(texts).transform)  # no tag says that it reads texts
    assert equal_bits(TartClassifier(quiet), TartClassifier(quiet, **off), texts, y)
    frame = pd.DataFrame({"text": texts})
    columns = ColumnTransformer([("text", sentences, "text")])
    assert equal_bits(TartClassifier(columns), TartClassifier(columns, **off), frame, y)
    knows_nothing = make_pipeline(CountVectorizer(), TruncatedSVD(3, random_state=0))
    y = np.where(y == "red", "warm", "cold")
    assert equal_bits(TartClassifier(knows_nothing), TartClassifier(knows_nothing, **off), texts, y)


@pytest.mark.parametrize("wrap", [FrozenEstimator, lambda one: make_pipeline(one, StandardScaler()), make_union])
def test_encoders_around_an_encoder_of_texts_read_names_too(sentences, wrap):
    texts, y = COLOURS
    encoder = wrap(sentences.fit(texts))
    assert equal_bits(TartClassifier(encoder), TartClassifier(encoder, class_texts="labels"), texts, y)


def test_a_reasoner_that_reads_labels_only_gets_no_names(sentences):
    texts, y = COLOURS
    paper = {"reasoner": "tart-paper"}
    by_default, off = TartClassifier(sentences, **paper), TartClassifier(sentences, class_texts=None, **paper)
    assert equal_bits(by_default, off, texts, y)
    with pytest.raises(ValueError, match="nothing tells the classes apart"):
        TartClassifier(sentences, **paper).fit(None, classes=["red", "blue"])


class Choosy(SentenceEncoder):
    """Reads no text of one word."""

    def transform(self, X):
        if not all(" " in text for text in X):
            raise ValueError("a text of one word")
        return super().transform(X)


def test_an_encoder_that_refuses_names_is_reported_and_does_without(tiny_folder):
    texts, y = COLOURS
    encoder = Choosy(tiny_folder, device="cpu")
    with pytest.warns(UserWarning, match="names of the classes were not used: `encoder` Choosy.*one word") as caught:
        classifier = TartClassifier(encoder).fit(texts, y)
    assert len(caught) == 1
    plain = TartClassifier(encoder, class_texts=None).fit(texts, y)
    np.testing.assert_array_equal(classifier.predict_proba(texts), plain.predict_proba(texts))
    for class_texts, data in {"labels": (texts, y), "auto": (texts, [None] * 5), None: (texts, [None] * 5)}.items():
        with pytest.raises(ValueError, match=r"a text of one word|nothing else tells the classes apart"):
            TartClassifier(encoder, class_texts=class_texts).fit(*data, classes=["red", "blue"])


def test_names_alone_make_a_start(sentences):
    texts, y = COLOURS
    named = TartClassifier(sentences, class_texts={"red": "red", "blue": "blue"}).fit(None)
    start = TartClassifier(sentences).fit(None, classes=["red", "blue"])
    np.testing.assert_array_equal(start.predict_proba(texts), named.predict_proba(texts))
    started = start.partial_fit(texts, y)
    assert_same(started.predict_proba(texts), TartClassifier(sentences).fit(texts, y).predict_proba(texts))
    for parameters, labels in [({}, ["a", "b"]), ({}, [0, 1]), ({"encoder": None}, ["red", "blue"])]:
        with pytest.raises(ValueError, match=r"nothing tells the classes apart.*reads labels that are names"):
            TartClassifier(**parameters).fit(None, classes=labels)


def test_a_prior_without_rows_is_asked_alone(problem, sentences):
    X, y, Q = problem
    prior = GaussianNB().fit(X, y)
    start = TartClassifier(prior=prior).fit(None, classes=["red", "green", "blue"])
    off = TartClassifier(prior=prior, class_texts=None).fit(None, classes=["red", "green", "blue"])
    assert start.encoder_ is None
    np.testing.assert_array_equal(start.predict_proba(Q), off.predict_proba(Q))


def test_names_follow_the_classes_as_they_grow(sentences):
    texts, y = COLOURS
    more, labels = ["green grass", "C7 again"], np.array(["green_grass", "C7"])
    grown = TartClassifier(sentences).partial_fit(texts, y)
    whole = TartClassifier(sentences)
    for n in (1, 2):
        grown.partial_fit(more[n - 1 : n], labels[n - 1 : n])
        whole.fit(texts + more[:n], np.append(y.astype(object), labels[:n]))
        assert_same(grown.predict_proba(texts), whole.predict_proba(texts))
        off = TartClassifier(sentences, class_texts=None).fit(texts + more[:n], np.append(y.astype(object), labels[:n]))
        # A code among the names puts an end to them.
        assert np.allclose(off.predict_proba(texts), grown.predict_proba(texts), atol=1e-5) == (n == 2)


def test_names_are_embedded_once(tmp_path):
    log = tmp_path / "log"
    classifier = TartClassifier(CountingEncoder(str(log))).partial_fit(["red wine", "blue sea"], ["red", "blue"])
    classifier.partial_fit(["red rose", "green grass"], ["red", "green"]).predict(["a rose"])
    texts = ["red wine", "blue sea", "red rose", "green grass", "a rose"]
    assert sorted(log.read_text().splitlines()) == sorted([*texts, "red", "blue", "green"])


def test_names_get_lost_where_labels_are_renamed(sentences):
    texts, y = COLOURS
    vote = VotingClassifier([("one", TartClassifier(sentences))], voting="soft").fit(texts, y)
    off = TartClassifier(sentences, class_texts=None).fit(texts, y)
    assert_same(vote.predict_proba(texts), off.predict_proba(texts))


def test_texts_of_classes_equal_their_vectors(tiny_folder):
    texts, y = ["red wine", "blue sea", "red rose", "blue sky", "a sea"], ["red", "blue", None, None, "blue"]
    encoder = SentenceEncoder(tiny_folder, device="cpu").fit(texts)
    red, crimson, blue = encoder.transform(["red", "crimson", "blue"])
    same = [
        ["labels", {"red": "red", "blue": ["blue"]}, {"red": red, "blue": blue}, np.stack([blue, red])],
        [{"red": ["red", "crimson"], "blue": "blue"}, {"red": (red + crimson) / 2, "blue": "blue"}],
    ]
    for group in same:
        for fit in (lambda c: c.fit(texts, y), lambda c: c.fit(texts, classes=["red", "blue"])):
            probas = [fit(TartClassifier(encoder, class_texts=given)).predict_proba(texts) for given in group]
            for proba in probas[1:]:
                assert_same(proba, probas[0])
    by_texts = TartClassifier(encoder, class_texts="labels").fit(None, classes=["red", "blue"])
    by_vectors = TartClassifier(FrozenEstimator(encoder), class_texts=same[0][3]).fit(None, classes=["red", "blue"])
    assert_same(by_texts.predict_proba(texts), by_vectors.predict_proba(texts))
    assert_same(
        by_texts.partial_fit(texts, y).predict_proba(texts),
        TartClassifier(encoder, class_texts="labels").fit(texts, y).predict_proba(texts),
    )


def test_a_prior_may_read_what_the_encoder_does_not(tiny_folder):
    texts = ["red wine", "blue sea", "red rose", "blue sky", "a red sea", "blue blue"]
    y = ["red", "blue", "red", "blue", "red", "blue"]
    words = make_pipeline(CountVectorizer(), MultinomialNB())
    classifier = TartClassifier(SentenceEncoder(tiny_folder, device="cpu"), prior=words).fit(texts, y)
    assert classifier.prior_.predict(["red", "blue"]).tolist() == ["red", "blue"]
    parts = TartClassifier(SentenceEncoder(tiny_folder, device="cpu"), prior=words)
    parts.partial_fit(texts[:3], y[:3]).partial_fit(pd.Series(texts[3:]), y[3:])
    assert_same(parts.predict_proba(texts), classifier.predict_proba(texts))


def test_encoders_and_unlabelled_rows():
    X, y = load_iris(return_X_y=True)
    marks = np.where(np.arange(150) % 3, y, -1)
    learnt = TartClassifier(LinearDiscriminantAnalysis(), missing_label=-1).fit(X, marks)
    Z = LinearDiscriminantAnalysis().fit(X[marks >= 0], y[marks >= 0]).transform(X)
    by_hand = TartClassifier(standardize=False, missing_label=-1).fit(Z, marks)
    assert_same(learnt.predict_proba(X), by_hand.predict_proba(Z))
    scaled = TartClassifier(StandardScaler(), missing_label=-1).fit(X, marks)
    np.testing.assert_allclose(scaled.encoder_.mean_, X.mean(axis=0))


def test_unusable_evidence_is_refused_with_a_reason(problem):
    X, y, _ = problem
    names = {label: X[0] for label in ("red", "green", "blue")}
    two = {label: X[0] for label in ("red", "green")}
    for parameters, data, message in [
        ({}, (X, None), "requires y to be passed"),
        ({"class_texts": "labels"}, (X, None), "requires y to be passed"),
        ({"class_texts": "labels"}, (X, y), "`class_texts` holds texts, and there is no encoder"),
        ({"class_texts": "labels", "encoder": None}, (None, None, None, ["a", "b"]), "there is no encoder"),
        ({"class_texts": "names"}, (X, y), "`class_texts` must be"),
        ({"class_texts": two}, (X, y), r"`class_texts` does not list: \['blue'\]"),
        ({"class_texts": two}, (X, y, None, ["red", "green", "blue"]), r"no entry for the classes \['blue'\]"),
        ({"class_texts": names}, (X, y, None, ["red", "green"]), r"`classes` does not list: \['blue'\]|does not list"),
        ({"class_texts": np.eye(2, X.shape[1])}, (X, y), "2 rows, and there are 3 classes"),
        ({"class_texts": np.eye(3, 5)}, (X, y), "different numbers of features"),
        ({"prior": lambda rows: np.ones((len(rows), 3))}, (X, y), "no probabilities"),
        ({"prior": GaussianNB().fit(X, np.arange(40) % 3)}, (X, y), "none of"),
        ({}, (X, [None] * 40, None, ["a", "b"]), "`y` holds no label"),
        ({"prior": GaussianNB()}, (X, [None] * 40, None, ["a", "b"]), "`y` holds no label"),
        ({"class_texts": names}, (X, [None] * 39), "one entry for every row"),
        ({}, (X, y, None, ["red", "green"]), "does not list"),
        ({}, (X, y, None, "red"), "bare string"),
        ({}, (None, None, None, ["a", "b"]), "nothing tells the classes apart"),
        ({"prior": GaussianNB()}, (None, None, None, ["a", "b"]), "nothing tells the classes apart"),
        ({"class_texts": np.eye(2)}, (None,), "`classes` must list"),
        ({"class_texts": {"a": [1.0]}}, (None,), "`classes` must list at least two"),
        ({"class_texts": names}, (None, y), "`y` and `sample_weight` must be None"),
        ({"class_texts": names, "encoder": StandardScaler()}, (None,), "no rows to fit it on"),
        ({"class_texts": names, "encoder": LinearDiscriminantAnalysis()}, (X,), "learns from labels"),
    ]:
        arguments = dict(zip(("X", "y", "sample_weight", "classes"), data))
        with pytest.raises(ValueError, match=message):
            TartClassifier(**parameters).fit(**arguments)
    for prior in (GaussianNB, 3, StandardScaler()):
        with pytest.raises(TypeError, match="`prior`"):
            TartClassifier(prior=prior).fit(X, y)
    with pytest.raises(ValueError, match="`prior` was changed"):
        TartClassifier(prior=rule).fit(X, y).set_params(prior=GaussianNB()).partial_fit(X, y)
    with pytest.raises(ValueError, match="requires y"):
        TartClassifier().fit(X, y).partial_fit(X, None)
    with pytest.raises(ValueError, match="for 40 rows"):
        TartClassifier(prior=lambda rows: np.full((39, 3), 1 / 3)).fit(X, y)


@pytest.mark.parametrize("given", ["names", "prior"])
def test_one_row_is_a_context(problem, given):
    X, y, Q = problem
    parameters = {"class_texts": X[:3]} if given == "names" else {"prior": rule}
    for labels in (y[:1], [None]):
        proba = TartClassifier(**parameters).fit(X[:1], labels, classes=np.unique(y)).predict_proba(Q)
        assert np.isfinite(proba).all()
        assert ((proba > 0) & (proba < 1)).all()


def test_sparse_rows_go_through_an_encoder_that_reads_them():
    from scipy.sparse import csr_array, csr_matrix
    from sklearn.decomposition import TruncatedSVD

    X, y = load_iris(return_X_y=True)
    svd = TruncatedSVD(2, random_state=0)
    dense = TartClassifier(encoder=svd, device="cpu").fit(X, y).predict_proba(X[::10])
    for sparse in (csr_array, csr_matrix):
        classifier = TartClassifier(encoder=svd, device="cpu").fit(sparse(X), y)
        np.testing.assert_allclose(classifier.predict_proba(sparse(X[::10])), dense, atol=1e-6)
    with pytest.raises(ValueError, match="150 and 149"):
        TartClassifier(encoder=svd, device="cpu").fit(csr_array(X), y[1:])


def test_words_that_are_almost_right_are_answered_with_the_right_one():
    X, y = load_iris(return_X_y=True)
    for parameter, word, meant in [
        ("standardize", "Auto", "auto"),
        ("class_weight", "balancd", "balanced"),
        ("class_texts", "label", "labels"),
        ("device", "gpu", "cuda"),
        ("reasoner", "tart-papr", "tart-paper"),
        ("encoder", "atuo", "auto"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=f"{word}.* Did you mean '{meant}'"):
            TartClassifier(**{parameter: word}).fit(X, y)
