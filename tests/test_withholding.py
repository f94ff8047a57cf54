from collections import Counter, defaultdict
from itertools import permutations

import numpy as np
import pytest

from skicl import _withholding
from skicl._withholding import LEAST_FOLDS, withheld_together

COUNTS = [[2, 2], [5, 5], [3, 2], [8, 8, 8], [20, 7], [40, 11, 3], [30, 2], [13], [9, 6, 1], [1, 1], [1, 1, 4], [6] * 9]
each_count = pytest.mark.parametrize("counts", COUNTS, ids=str)


def shuffled(counts, seed=0):
    """Labels in a random order, and another random order of the rows."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts)).tolist()
    return labels, rng.permutation(len(labels)).tolist()


@each_count
def test_what_is_left_has_the_same_number_of_every_class_for_all_rows(counts):
    labels, order = shuffled(counts)
    n_folds = max(LEAST_FOLDS, min((count for count in counts if count > 1), default=0))
    for row, withheld in enumerate(withheld_together(range(len(labels)), labels, order)):
        assert row in withheld
        assert list(withheld) == sorted(set(withheld))
        out = Counter(labels[i] for i in withheld)
        for label, count in enumerate(counts):
            own = labels[row] == label
            assert out[label] == (-(-count // n_folds) if count > 1 else own)
            assert out[label] < count or count == 1


@pytest.mark.parametrize("counts", [[4, 4], [10, 10, 10], [3] * 7])
def test_of_classes_of_equal_size_one_row_each_is_left_out_and_all_share_the_rest(counts):
    labels, order = shuffled(counts)
    withheld = withheld_together(range(len(labels)), labels, order)
    assert all(withheld[i] == together for together in withheld for i in together)
    assert len(set(withheld)) == counts[0]


@pytest.mark.parametrize(("counts", "folds"), [([2, 2], 5), ([3, 2], 5), ([3, 2], 2), ([4, 2], 2), ([2, 2, 2], 5)])
def test_what_is_left_says_nothing_of_a_label_beyond_how_frequent_it_is(counts, folds, monkeypatch):
    """Exact, by going through all labels and orders: given the rows left out and the labels of all the others."""
    monkeypatch.setattr(_withholding, "LEAST_FOLDS", folds)
    n_rows = sum(counts)
    found = defaultdict(Counter)
    labelings = set(permutations(np.repeat(np.arange(len(counts)), counts).tolist()))
    orders = list(permutations(range(n_rows)))
    for labels in labelings:
        for order in orders:
            withheld = withheld_together(range(n_rows), labels, order)[0]
            found[withheld, tuple(labels[i] for i in range(n_rows) if i not in withheld)][labels[0]] += 1
    assert len(found) > 1
    for labels in found.values():
        np.testing.assert_allclose(
            [labels[i] / sum(labels.values()) for i in range(len(counts))], np.array(counts) / n_rows
        )


def test_leaving_out_the_row_alone_would_tell_its_label():
    """The law above is one that plain leave-one-out breaks."""
    labels, _ = shuffled([4, 4])
    left = [tuple(np.bincount([labels[i] for i in range(8) if i != row])) for row in range(8)]
    assert set(zip(left, labels)) == {((3, 4), 0), ((4, 3), 1)}


def test_equal_rows_are_left_out_with_equal_others():
    rows, labels = list("abcaadef"), [0, 1, 0, 0, 1, 1, 0, 1]
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(8).tolist()
        withheld = withheld_together(rows, labels, order)
        contents = [sorted((rows[i], labels[i]) for i in together) for together in withheld]
        assert contents[0] == contents[3]  # "a" with label 0; the third "a" has another
        assert 0 in withheld[0]
        assert 3 in withheld[3]
