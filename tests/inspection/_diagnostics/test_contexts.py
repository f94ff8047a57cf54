"""Changed contexts: what is changed, and nothing else."""

from collections import Counter

import numpy as np
import pytest
from scipy import sparse

from skicl.inspection._diagnostics._contexts import draw_rows, rotation, sliceable, with_wrong_labels, without_content


@pytest.fixture
def random():
    return np.random.RandomState(0)


def test_sparse_matrices_get_a_layout_that_has_rows():
    matrix = sliceable(sparse.coo_array(np.arange(6).reshape(3, 2)))
    np.testing.assert_array_equal(matrix[[2, 0]].toarray(), [[4, 5], [0, 1]])
    texts = ["a", "b"]
    assert sliceable(texts) is texts


@pytest.mark.parametrize("n_rows", [3, 10, 40, 100])
def test_drawn_rows_hold_every_class_and_keep_the_shares(random, n_rows):
    codes = random.permutation(np.repeat([0, 1, 2], [60, 36, 4]))
    for _ in range(20):
        rows = draw_rows(codes, n_rows, random)
        assert len(set(rows)) == n_rows
        counts = Counter(codes[rows].tolist())
        assert set(counts) == {0, 1, 2}
        assert abs(counts[0] - 0.6 * n_rows) <= 2


def test_drawn_rows_are_in_random_order_and_all_have_a_chance(random):
    codes = np.repeat([0, 1], 10)
    drawn = [draw_rows(codes, 6, random) for _ in range(2000)]
    counts = np.bincount(np.concatenate(drawn), minlength=20)
    np.testing.assert_allclose(counts / 2000, 0.3, atol=0.05)
    firsts = np.mean([codes[rows[0]] for rows in drawn])
    assert firsts == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
def test_wrong_labels_are_as_many_as_asked_and_wrong(random, rate):
    codes = np.repeat([0, 1, 2], 10)
    noisy = with_wrong_labels(codes, rate, 3, random)
    assert (noisy != codes).sum() == round(30 * rate)
    assert set(noisy) == {0, 1, 2}
    np.testing.assert_array_equal(codes, np.repeat([0, 1, 2], 10))


def test_no_class_loses_its_last_row(random):
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 2])
    for _ in range(50):
        assert set(with_wrong_labels(codes, 0.4, 3, random)) == {0, 1, 2}


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_a_rotation_is_one_cycle(random, n_classes):
    renamed = rotation(n_classes, random)
    seen, name = [], 0
    for _ in range(n_classes):
        seen.append(name)
        name = renamed[name]
    assert sorted(seen) == list(range(n_classes))
    assert name == 0


def test_queries_without_content(random):
    pd = pytest.importorskip("pandas")
    texts = ["one two three", "four", "five six"]
    made = without_content(texts, random)
    assert [len(text.split()) for text in made] == [3, 1, 2]
    assert {word for text in made for word in text.split()} <= set(" ".join(texts).split())
    assert len(without_content(np.array(texts, dtype=object), random)) == 3
    table = random.standard_normal((50, 3))
    shuffled = without_content(table, random)
    np.testing.assert_allclose(np.sort(shuffled, axis=0), np.sort(table, axis=0))
    assert not np.allclose(shuffled, table)
    frame = pd.DataFrame({"a": list("wxyz"), "b": [1, 2, 3, 4]})
    made = without_content(frame, random)
    assert sorted(made["a"]) == list("wxyz")
    assert frame["a"].tolist() == list("wxyz"), "the queries themselves stay"
    lists = without_content(table.tolist(), np.random.RandomState(3))
    np.testing.assert_array_equal(lists, without_content(table, np.random.RandomState(3)))
    assert without_content([[1, 2], [3]], random) is None
    assert without_content([object(), object()], random) is None
    assert without_content(["", " "], random) is None


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_queries_without_content_are_the_dense_ones(random, kind):
    table = random.standard_normal((40, 6)) * (random.random_sample((40, 6)) < 0.3)
    table[:, 2] = 0
    rows = kind(table)
    made = without_content(rows, np.random.RandomState(5))
    assert sparse.issparse(made)
    np.testing.assert_array_equal(made.toarray(), without_content(table, np.random.RandomState(5)))
    np.testing.assert_array_equal(rows.toarray(), table)
