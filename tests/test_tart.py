"""TartClassifier: the contract with scikit-learn, the laws, and the limits of its inputs."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skicl import TartClassifier
from skicl.reasoning import EquivariantReasoner, Reasoner, load_reasoner, save_reasoner


@parametrize_with_checks([TartClassifier()])
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")      # else scikit-learn skips its check of array API inputs
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
    assert_same(TartClassifier().fit(X, y, sample_weight=np.where(y, by_hand[1], by_hand[0])).predict_proba(X),
                balanced.predict_proba(X))


def test_decision_function_and_probabilities_agree():
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X, y)
    np.testing.assert_allclose(np.exp(classifier.decision_function(X)), classifier.predict_proba(X))
    binary = TartClassifier().fit(X[:100], y[:100])
    proba = binary.predict_proba(X)
    np.testing.assert_allclose(binary.decision_function(X), np.log(proba[:, 1] / proba[:, 0]))
    assert binary.decision_function(X).shape == (150,)


@pytest.mark.parametrize("labels", [np.array(["a", "b"]), np.array(["a", "b"], dtype=object), np.array([False, True]),
                                    np.array([3, -1]), np.array([0.0, 1.0])])
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


@pytest.mark.parametrize("X", [np.ones((10, 384)), np.zeros((10, 1)), np.full((10, 3), 1e-300),
                               np.repeat(np.eye(2, 5), 5, axis=0), np.eye(10, 384) * 1e12])
def test_degenerate_contexts_give_finite_probabilities(X):
    y = np.arange(10) % 2
    proba = TartClassifier().fit(X, y).predict_proba(np.concatenate([X, X * 3 + 1, -X]))
    assert np.isfinite(proba).all()
    assert ((proba > 0) & (proba < 1)).all()


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
    for name, model in {"raw": TartClassifier(), "scaled": make_pipeline(StandardScaler(), TartClassifier()),
                        "unscaled": TartClassifier(standardize=False)}.items():
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

    for bad, message in [(lambda: TartClassifier().fit(with_nan, y), "contains NaN"),
                         (lambda: TartClassifier().fit(X, np.zeros(150)), "1 class"),
                         (lambda: TartClassifier().fit(X, y[:-1]), "inconsistent"),
                         (lambda: TartClassifier().fit(X, X[:, 0] + 0.01), "Unknown label type"),
                         (lambda: TartClassifier().fit(X, ["a", None, "b"] * 50), "NoneType"),
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
                         (lambda: TartClassifier(reasoner="none such").fit(X, y), "no reasoner file")]:
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
    from skicl import _tart

    _tart._shared_reasoner.cache_clear()
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
    assert first._network is second._network
    assert isinstance(first._network, EquivariantReasoner)


def test_what_happens_to_X_later_does_not_matter():
    X, y = load_iris(return_X_y=True)
    mine, weight = X.copy(), np.arange(150) % 3 + 1.0
    classifier = TartClassifier().fit(mine, y, weight)
    expected = classifier.predict_proba(X)
    mine[:], weight[:75] = 0, 0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(X), expected)


def test_grid_search_and_processes():
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(TartClassifier(), {"class_weight": [None, "balanced"], "standardize": [True, False]},
                          cv=3, n_jobs=2, scoring="neg_log_loss").fit(X, y)
    assert search.best_score_ > -0.3


def test_a_pickle_loads_in_a_new_process(tmp_path):
    X, y = load_iris(return_X_y=True)
    classifier = TartClassifier().fit(X[::3], y[::3])
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(classifier))
    np.save(tmp_path / "X.npy", X)
    code = ("import pickle, numpy as np; c = pickle.load(open('fitted.pickle', 'rb'));"
            "np.save('p.npy', c.predict_proba(np.load('X.npy')))")
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
    assert used < 12                    # GB, beside the rows themselves
    assert classifier.score(X[:500], y[:500]) > 0.9
