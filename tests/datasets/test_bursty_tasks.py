"""Bursty sequences: what stands in the context, which of context and memory helps, exact references."""

import numpy as np
import pytest
from scipy.stats import chisquare, multivariate_normal

from skicl.datasets import make_bursty_classification


@pytest.fixture(scope="module")
def train():
    return make_bursty_classification(600, random_state=0)


def accuracy(proba, tasks):
    return (proba.argmax(axis=1) == tasks.y[:, -1]).mean()


def test_shapes_and_probabilities(train):
    assert train.X.shape == (600, 9, 32)
    assert train.y.shape == train.classes.shape == (600, 9)
    for proba in (train.in_context_proba, train.in_weights_proba):
        assert proba.shape == (600, 16)
        np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_items_have_unit_variance_and_the_correlation_of_the_noise(train):
    many = make_bursty_classification(600, n_classes=1600, random_state=0)
    assert (many.X**2).sum(axis=2).mean() == pytest.approx(1, rel=0.02)
    means = train.class_means[train.classes] / np.sqrt(1.25)
    assert ((train.X - means) ** 2).sum(axis=2).mean() == pytest.approx(0.25 / 1.25, rel=0.03)


def test_a_bursty_context_holds_the_class_of_the_query_so_many_times():
    tasks = make_bursty_classification(50, 12, burstiness=3, random_state=0)
    assert ((tasks.classes[:, :-1] == tasks.classes[:, -1:]).sum(axis=1) == 3).all()
    for row in tasks.classes:
        assert set(np.unique(row[:-1], return_counts=True)[1]) == {3}
    np.testing.assert_array_equal(tasks.y, tasks.class_labels[tasks.classes])


def test_order_says_nothing():
    tasks = make_bursty_classification(4000, 4, n_classes=16, random_state=0)
    places = (tasks.classes[:, :-1] == tasks.classes[:, -1:]).sum(axis=0)
    assert chisquare(places).pvalue > 1e-3


def test_share_of_bursty_sequences_and_frequencies():
    tasks = make_bursty_classification(3000, 8, p_bursty=0.25, zipf=1.0, n_classes=32, random_state=0)
    assert tasks.bursty.mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_allclose(tasks.class_frequencies[0] / tasks.class_frequencies[7], 8)
    drawn = np.bincount(tasks.classes[~tasks.bursty].ravel(), minlength=32)
    assert chisquare(drawn, drawn.sum() * tasks.class_frequencies).pvalue > 1e-3


def test_classes_share_the_labels_equally(train):
    assert set(np.bincount(train.class_labels)) == {4}


def test_context_and_memory_under_each_condition(train):
    """Which source of knowledge names the query: both, the context, memory; and who is right where they differ."""
    results = {}
    for condition in ("train", "novel", "absent", "swapped"):
        tasks = make_bursty_classification(600, condition=condition, like=train, random_state=1)
        results[condition] = accuracy(tasks.in_context_proba, tasks), accuracy(tasks.in_weights_proba, tasks)
    assert results["train"][0] > 0.97
    assert results["train"][1] > 0.97
    assert results["novel"][0] > 0.97
    assert abs(results["novel"][1] - 1 / 16) < 0.04
    assert results["absent"][0] == 0
    assert results["absent"][1] > 0.97
    assert results["swapped"][0] > 0.97
    assert results["swapped"][1] < 0.02


def test_absent_means_neither_the_class_nor_its_label(train):
    tasks = make_bursty_classification(200, condition="absent", like=train, random_state=1)
    assert not (tasks.y[:, :-1] == tasks.y[:, -1:]).any()


def test_novel_classes_occur_in_one_sequence_only(train):
    tasks = make_bursty_classification(50, condition="novel", like=train, random_state=1)
    assert tasks.classes.min() >= 64
    sets = [set(row) for row in tasks.classes]
    assert sum(map(len, sets)) == len(set.union(*sets))
    for names, marks in zip(tasks.classes, tasks.y):
        assert len(set(zip(names, marks))) == len(set(names)) == len(set(marks))


def test_swapped_labels_are_swapped_alike_within_a_sequence(train):
    tasks = make_bursty_classification(100, condition="swapped", like=train, random_state=1)
    memory = train.class_labels[tasks.classes]
    assert not (memory == tasks.y).any()
    for old, new in zip(memory, tasks.y):
        assert len(set(zip(old, new))) == len(set(old)) == len(set(new))


def test_classes_are_used_again(train):
    again = make_bursty_classification(5, like=train, random_state=3)
    np.testing.assert_array_equal(again.class_means, train.class_means)
    np.testing.assert_array_equal(again.class_labels, train.class_labels)


def test_in_context_probabilities_are_those_of_the_joint_gaussian():
    """Brute force: the density of all items under each assignment of the query to a class of the context."""
    tasks = make_bursty_classification(5, 6, 3, n_classes=8, n_labels=2, burstiness=2, noise=0.8, random_state=0)
    same = 1 / (1 + 0.64) / 3
    for X, y, classes, proba in zip(tasks.X, tasks.y, tasks.classes, tasks.in_context_proba):
        present = np.unique(classes[:-1])
        logs = []
        for name in present:
            names = np.append(classes[:-1], name)
            covariance = same * (names[:, None] == names) + (1 / 3 - same) * np.eye(7)
            logs.append(sum(multivariate_normal(cov=covariance).logpdf(column) for column in X.T))
        weights = np.exp(np.array(logs) - max(logs))
        expected = np.zeros(2)
        for name, weight in zip(present, weights / weights.sum()):
            expected[y[:-1][classes[:-1] == name][0]] += weight
        np.testing.assert_allclose(proba, expected, atol=1e-10)


def test_in_weights_probabilities_are_those_of_bayes_rule():
    tasks = make_bursty_classification(5, 4, 3, n_classes=6, n_labels=3, noise=1.5, zipf=1.0, random_state=0)
    for x, proba in zip(tasks.X[:, -1], tasks.in_weights_proba):
        covariance = 2.25 / 3.25 / 3 * np.eye(3)
        density = np.array([multivariate_normal(mean / np.sqrt(3.25), covariance).pdf(x) for mean in tasks.class_means])
        joint = density * tasks.class_frequencies
        expected = [joint[tasks.class_labels == label].sum() / joint.sum() for label in range(3)]
        np.testing.assert_allclose(proba, expected, atol=1e-10)


def test_references_are_calibrated():
    tasks = make_bursty_classification(
        3000, 4, 4, n_classes=8, n_labels=4, noise=1.0, condition="novel", random_state=0
    )
    best = tasks.in_context_proba.max(axis=1)
    right = tasks.in_context_proba.argmax(axis=1) == tasks.y[:, -1]
    assert right.mean() == pytest.approx(best.mean(), abs=0.03)


def test_equal_seeds_equal_sequences():
    first, second, other = (make_bursty_classification(4, random_state=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.X, second.X)
    assert np.abs(first.X - other.X).max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_pairs": 7}, "`n_pairs`=7 must be a multiple of `burstiness`=2"),
        ({"n_classes": 30}, "`n_classes`=30 must be a multiple of `n_labels`=16"),
        ({"n_labels": 1}, "must be at least 2"),
        ({"n_classes": 2, "n_labels": 2}, "needs 4 classes in a sequence; `n_classes` is 2"),
        ({"condition": "icl"}, "`condition` must be one of 'train', 'novel', 'absent', 'swapped', got 'icl'"),
        ({"condition": "novel", "n_labels": 2}, "`condition`='novel' gives each of 4 classes"),
        ({"condition": "absent", "n_classes": 4, "n_labels": 4}, "'absent' leaves no classes of other labels"),
        ({"zipf": 1000.0}, "`zipf`=1000.0 gives the rarest of 64 classes a frequency of 0"),
        ({"noise": 0.0}, "`noise` must be a number above 0"),
        ({"p_bursty": 1.5}, "`p_bursty` must be a number of at least 0 and at most 1"),
        ({"like": make_bursty_classification(1)}, "`n_features` is 5, and the classes of `like` have 32"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_bursty_classification(**{"n_features": 5 if "like" in arguments else 32, **arguments})


def test_other_objects_are_no_earlier_result():
    with pytest.raises(TypeError, match="`like` must be a result of make_bursty_classification or None, got dict"):
        make_bursty_classification(like={"class_means": np.ones((4, 32))})
