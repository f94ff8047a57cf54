"""What the competitors of the few-shot benchmark promise."""

import numpy as np
import pytest
from benchmark_modules import load
from sklearn.datasets import load_digits, make_blobs, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import SVC

from skicl._command_line._baseline import choose, dealt_folds

competitors, discriminant, methods, side_information, tuning = map(
    load, ("competitors", "discriminant", "methods", "side_information", "tuning")
)
EVERY_METHOD = [
    method for method in methods.methods() if methods.LABELS in method.groups and not methods.is_ours(method.key)
]


def build(method):
    """The competitor; the forest with fewer trees, for speed."""
    estimator = method.make(None)
    return estimator.set_params(n_estimators=30) if method.key == "forest" else estimator


class TestCompetitors:
    @pytest.mark.parametrize("method", EVERY_METHOD, ids=lambda method: method.key)
    @pytest.mark.parametrize("counts", [(7, 1), (2, 1, 1), (1, 1), (5, 5, 5), (12, 1)])
    @pytest.mark.filterwarnings("ignore:Only one sample available")
    @pytest.mark.filterwarnings("ignore:The number of unique classes")
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_contexts_of_any_balance(self, method, counts):
        if method.key == "lda" and max(counts) == 1:
            pytest.skip("LDA needs more rows than classes")
        rng = np.random.default_rng(0)
        y = np.repeat(np.array(["a", "b", "c"])[: len(counts)], counts)
        X = rng.normal(size=(len(y), 20)).astype(np.float32)
        fitted = build(method).fit(X, y)
        query = rng.normal(size=(9, 20)).astype(np.float32)
        prob = fitted.predict_proba(query)
        assert prob.shape == (9, len(counts))
        assert fitted.classes_.tolist() == sorted(set(y))
        np.testing.assert_allclose(prob.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(build(method).fit(X, y).predict_proba(query), prob)

    @pytest.mark.parametrize("method", EVERY_METHOD, ids=lambda method: method.key)
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
    def test_each_learns_digits(self, method):
        X, y = load_digits(return_X_y=True)
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
        fitted = method.make(None).fit(X[:120], y[:120])
        prob = fitted.predict_proba(X[900:1200])
        assert np.mean(fitted.classes_[prob.argmax(axis=1)] == y[900:1200]) > 0.75

    def test_tuned_lr_picks_the_best_held_out_penalty(self):
        X, y = make_classification(60, 10, n_informative=3, flip_y=0.2, random_state=0)
        tuned = competitors.build_tuned_logistic_regression().fit(X, y)
        losses = {}
        for C in np.logspace(-2, 4, 7):
            prob = np.empty((60, 2))
            for train, test in dealt_folds(y):
                prob[test] = LogisticRegression(C=C, max_iter=1000).fit(X[train], y[train]).predict_proba(X[test])
            losses[C] = log_loss(y, prob)
        assert tuned.best_params_["C"] == min(losses, key=losses.get)

    def test_the_svm_is_that_of_scikit_learn(self):
        X, y = load_digits(return_X_y=True)
        tuned = competitors.TunedSVM().fit(X[:150], y[:150])
        plain = SVC(C=tuned.svm_.C, gamma=tuned.gamma_).fit(X[:150], y[:150])
        np.testing.assert_allclose(tuned.decision_function(X[150:500]), plain.decision_function(X[150:500]), atol=1e-6)
        assert (tuned.predict(X[150:500]) == plain.predict(X[150:500])).mean() > 0.99, "ties may fall otherwise"

    def test_the_svm_picks_the_best_held_out_candidate(self):
        X, y = make_classification(90, 6, n_informative=4, n_classes=3, flip_y=0.1, random_state=0)
        tuned = competitors.TunedSVM().fit(X, y)
        scale = 1 / (6 * X.var())
        hits = {}
        for cost in tuned.costs:
            for width in tuned.widths:
                fitted = [
                    (SVC(C=cost, gamma=width * scale).fit(X[train], y[train]).predict(X[test]), y[test])
                    for train, test in dealt_folds(y)
                ]
                hits[cost, width * scale] = sum((found == true).sum() for found, true in fitted)
        assert hits[tuned.svm_.C, tuned.gamma_] == max(hits.values())


class TestCalibration:
    def test_it_makes_an_overconfident_centroid_honest(self):
        rng = np.random.default_rng(0)
        y = rng.integers(2, size=700)
        common = rng.normal(size=(700, 1)) * 3  # correlated features fool the independent Gaussians
        X = 0.8 * y[:, None] + common + rng.normal(size=(700, 30)) * 0.3
        fitted = tuning.Tempered(competitors.NearestMean()).fit(X[:200], y[:200])
        calibrated = log_loss(y[200:], fitted.predict_proba(X[200:]))
        fitted.calibration_ = tuning.Calibration()
        assert calibrated < 0.7
        assert log_loss(y[200:], fitted.predict_proba(X[200:])) > 1.5 * calibrated

    def test_votes_get_a_floor(self):
        """The winner is right in 80 % of the rows, else any class may be: softmax of ranks alone cannot say so."""
        rng = np.random.default_rng(0)
        votes = rng.permuted(np.tile(np.arange(10.0), (4000, 1)), axis=1)
        true = np.where(rng.random(4000) < 0.8, votes.argmax(axis=1), rng.integers(10, size=4000))
        found = tuning.best_calibration([(votes[:2000], true[:2000])])
        assert found.floor == 0.2
        assert found(votes).max(axis=1).mean() == pytest.approx(0.82, abs=0.01)
        np.testing.assert_allclose(found(votes).sum(axis=1), 1)

    def test_a_few_rows_that_are_right_do_not_make_certain(self):
        found = tuning.best_calibration([(np.eye(3) * 5, np.arange(3))])
        assert found(np.eye(3) * 5).max() < 0.8
        assert tuning.best_calibration([]) == (1.0, 0.0)


def blobs(n_rows=340, seed=0):
    """Four groups of vectors and a "name" near each centre; string labels."""
    X, codes, centres = make_blobs(n_rows, 8, centers=4, cluster_std=3.0, random_state=seed, return_centers=True)
    labels = np.array(["east", "north", "south", "west"])
    return X, labels[codes], dict(zip(labels.tolist(), centres))


class TestNames:
    def test_the_nearest_name_needs_no_label(self):
        X, y, names = blobs()
        contexts = (slice(20), slice(20, 60))
        first, other = (side_information.NearestName(names).fit(X[rows], y[rows]) for rows in contexts)
        np.testing.assert_array_equal(first.predict_proba(X), other.predict_proba(X))
        assert (first.predict(X) == y).mean() > 0.8
        np.testing.assert_array_equal(first.classes_[first.predict_proba(X).argmax(axis=1)], first.predict(X))

    def test_names_help_where_labels_are_few_and_are_never_held_out(self, monkeypatch):
        X, y, names = blobs()
        rows = np.unique(y, return_index=True)[1]  # one of each class: folds of the labels alone do not exist
        seen = []

        def noted(estimator, candidates, X, y, criterion, folds):
            seen.extend(folds)
            return choose(estimator, candidates, X, y, criterion, folds)

        monkeypatch.setattr(side_information, "choose", noted)
        fitted = side_information.NamesAsExamples(names).fit(X[rows], y[rows])
        assert sorted(np.concatenate([test for _, test in seen])) == [0, 1, 2, 3]
        assert all(set(train) >= {4, 5, 6, 7} for train, _ in seen)
        plain = competitors.build_tuned_logistic_regression().fit(X[rows], y[rows])
        assert (fitted.predict(X) == y).mean() > (plain.predict(X) == y).mean()

    def test_they_are_further_rows_of_a_logistic_regression(self):
        X, y, names = blobs()
        fitted = side_information.NamesAsExamples(names).fit(X[:40], y[:40])
        rows = np.concatenate([X[:40], [names[label] for label in sorted(names)]])
        plain = LogisticRegression(**fitted.best_params_, max_iter=1000).fit(rows, [*y[:40], *sorted(names)])
        np.testing.assert_allclose(fitted.predict_proba(X), plain.predict_proba(X))


class TestGaussiansAndNames:
    @pytest.mark.parametrize("n_rows", [30, 200])
    def test_the_scores_are_those_of_the_paper(self, n_rows):
        X, y, _ = blobs(seed=2)
        assert len(set(y[:n_rows])) == 4
        X, codes = X[:n_rows], np.unique(y[:n_rows], return_inverse=True)[1]
        found = discriminant.Gaussians.fit(X, codes).scores(X)
        means = np.stack([X[codes == code].mean(axis=0) for code in range(4)])
        covariance = np.cov((X - means[codes]).T)
        shrunk = (n_rows - 1) * covariance + np.trace(covariance) * np.eye(8)
        precision = 8 * np.linalg.inv(shrunk)
        expected = X @ precision @ means.T - np.diag(means @ precision @ means.T) / 2
        np.testing.assert_allclose(found, expected)

    def test_the_parts_are_mixed_as_suits_held_out_rows(self):
        X, y, names = blobs(seed=3)
        X = X + np.random.default_rng(0).normal(size=X.shape) * 6
        fitted = discriminant.NamesAndGaussians(names).fit(X[:60], y[:60])
        losses = {}
        for mixing in (fitted.mixing_, discriminant.Mixing(), discriminant.Mixing(0, 10.0), discriminant.Mixing(5, 0)):
            fitted.mixing_ = mixing
            losses[mixing] = log_loss(y[60:], fitted.predict_proba(X[60:]))
        chosen, *others = losses.values()
        assert chosen < 1.05 * min(others), "on other rows than those that it was chosen by"
        assert chosen < 0.8 * max(others)

    def test_names_of_other_classes_are_not_believed(self):
        X, y, names = blobs(seed=3)
        lies = dict(zip(names, np.roll(list(names.values()), 1, axis=0)))
        found = {
            key: (discriminant.NamesAndGaussians(given).fit(X[:60], y[:60]).predict(X[60:]) == y[60:]).mean()
            for key, given in (("true", names), ("lies", lies))
        }
        plain = (competitors.build_tuned_logistic_regression().fit(X[:60], y[:60]).predict(X[60:]) == y[60:]).mean()
        assert found["true"] > plain - 0.02
        assert found["lies"] > plain - 0.05

    @pytest.mark.parametrize("counts", [(7, 1), (2, 1, 1), (1, 1), (5, 5, 5)])
    def test_contexts_of_any_balance(self, counts):
        rng = np.random.default_rng(0)
        y = np.repeat(np.array(["a", "b", "c"])[: len(counts)], counts)
        X, names = rng.normal(size=(len(y), 20)), {label: rng.normal(size=20) for label in "abc"}
        fitted = discriminant.NamesAndGaussians(names).fit(X, y)
        prob = fitted.predict_proba(rng.normal(size=(9, 20)))
        np.testing.assert_allclose(prob.sum(axis=1), 1)
        assert np.isfinite(prob).all()
        assert fitted.classes_.tolist() == sorted(set(y))
        assert (fitted.mixing_ == discriminant.Mixing()) == (max(counts) == 1), "nothing can be held out"


class TestUnlabelledRows:
    @pytest.mark.parametrize("build", [side_information.SelfTraining, side_information.Spreading])
    def test_marks_of_strings_and_integers_mean_the_same(self, build):
        X, y, _ = blobs()
        codes = np.unique(y, return_inverse=True)[1]
        as_text = build().fit(X[:120], np.array([*y[:40], *[None] * 80], dtype=object))
        as_codes = build().fit(X[:120], np.array([*codes[:40], *[-1] * 80]))
        assert as_text.classes_.tolist() == sorted(set(y))
        assert as_codes.classes_.tolist() == [0, 1, 2, 3]
        np.testing.assert_allclose(as_text.predict_proba(X), as_codes.predict_proba(X))
        np.testing.assert_allclose(as_text.predict_proba(X).sum(axis=1), 1)
        assert (as_text.predict(X[120:]) == y[120:]).mean() > 0.7

    @pytest.mark.parametrize("thresholds", [(), (0.8, 0.5)])
    def test_self_training_starts_from_plain_regression_and_takes_the_best_held_out(self, thresholds, monkeypatch):
        X, y, _ = blobs()
        marked = np.array([*y[:24], *[None] * 200], dtype=object)
        monkeypatch.setattr(side_information.SelfTraining, "thresholds", thresholds)
        fitted = side_information.SelfTraining().fit(X[:224], marked)
        codes = np.append(np.unique(y[:24], return_inverse=True)[1], np.full(200, -1))
        losses = [-fitted._held_out(candidate, X[:224], codes) for candidate in fitted.candidates(X[:224], codes)]
        chosen = fitted.candidates(X[:224], codes)[int(np.argmin(losses))]
        for name in ("threshold", "max_iter"):
            assert getattr(fitted.best_estimator_, name) == getattr(chosen, name)
        if not thresholds:
            tuned = competitors.build_tuned_logistic_regression().fit(X[:24], y[:24])
            np.testing.assert_allclose(fitted.predict_proba(X), tuned.predict_proba(X), atol=1e-6)

    def test_spreading_learns_from_where_rows_are(self):
        """Two moons-like arcs, one label each: only the unlabelled rows say where a class goes."""
        angle = np.linspace(0, np.pi, 200)
        rng = np.random.default_rng(0)
        X = (
            np.concatenate(
                [
                    np.column_stack([np.cos(angle), np.sin(angle)]),
                    np.column_stack([1 - np.cos(angle), 0.3 - np.sin(angle)]),
                ]
            )
            + rng.normal(size=(400, 2)) * 0.03
        )
        y = np.repeat(["up", "down"], 200)
        marked = np.full(400, None, dtype=object)
        known = [0, 30, 60, 200, 230, 260]
        marked[known] = y[known]
        order = np.argsort([label is None for label in marked], kind="stable")
        fitted = side_information.Spreading().fit(X[order], marked[order])
        nearest = np.array([y[known][np.argmin(((row - X[known]) ** 2).sum(axis=1))] for row in X])
        assert (fitted.predict(X) == y).mean() > (nearest == y).mean()
