"""Contexts are nested, hold every class and depend on the seed alone; so do orders and queries."""

import numpy as np
import pytest

from skicl.evaluation import nested_contexts
from skicl.evaluation._contexts import drawn_queries, orders_of_rows


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
        contexts = nested_contexts(self.y, [3, 10], n_repeats=4000, stratify=False)
        first = np.array([row for context in contexts for row in context[3] if self.y[row] == "b"])
        counts = np.bincount(first, minlength=70)[60:68]
        assert counts.min() > 400  # 500 expected
        assert counts.max() < 600
        rest = np.concatenate([context[10][3:] for context in contexts])
        assert np.mean(self.y[rest] == "a") == pytest.approx(59 / 67, abs=0.01)

    def test_stratified_contexts_hold_each_class_in_proportion(self):
        sizes = [7, 12, 20, 35, 50, 70]
        shares = np.array([60, 8, 2]) / 70
        for context in nested_contexts(self.y, sizes, n_repeats=50):
            for k, rows in context.items():
                counts = np.array([(self.y[rows] == name).sum() for name in "abc"])
                # Whole rows, and the first rows of rare classes come early, at the cost of the others.
                assert (np.abs(counts - k * shares) < 3).all()
        natural = nested_contexts(self.y, [35], n_repeats=300, stratify=False)
        stratified = nested_contexts(self.y, [35], n_repeats=300)
        of_b = [[(self.y[context[35]] == "b").sum() for context in found] for found in (natural, stratified)]
        assert np.std(of_b[1]) < np.std(of_b[0]) / 2

    def test_stratified_contexts_of_balanced_classes_are_balanced(self):
        y = np.random.default_rng(0).permutation(np.repeat(list("abcd"), 25))
        for context in nested_contexts(y, range(4, 101), n_repeats=5):
            for k, rows in context.items():
                counts = np.unique(y[rows], return_counts=True)[1]
                assert counts.max() - counts.min() == (k % 4 > 0)

    def test_stratified_rows_of_a_class_are_drawn_evenly(self):
        rows = np.concatenate([context[14] for context in nested_contexts(self.y, [14], n_repeats=4000)])
        counts = np.bincount(rows, minlength=70)
        for name in "abc":
            of_class = counts[self.y == name]
            assert np.abs(of_class - of_class.mean()).max() < 5 * np.sqrt(of_class.mean())

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

    def test_the_orders_of_earlier_versions(self):
        """What was recorded stays comparable: the draws of a seed never change."""
        natural, stratified = (nested_contexts(self.y, 8, 2, 5, stratify=kind)[1][8] for kind in (False, True))
        assert natural.tolist() == [68, 44, 60, 40, 46, 43, 24, 63]
        assert stratified.tolist() == [44, 60, 68, 5, 0, 41, 28, 14]

    def test_no_size_left_is_an_error(self):
        with pytest.raises(ValueError, match=r"No size in `k` can be drawn.*from 6 .* to 70, got"):
            nested_contexts(self.y, [2, 100], min_per_class=2)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("k", []),
            ("k", [0, 4]),
            ("k", [4.5]),
            ("k", [[4, 8]]),
            ("n_repeats", 0),
            ("n_repeats", 2.0),
            ("min_per_class", True),
            ("stratify", "equal"),
            ("stratify", None),
        ],
    )
    def test_wrong_parameters_are_named(self, name, value):
        parameters = {"k": [8], "n_repeats": 2, "min_per_class": 1, name: value}
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            nested_contexts(self.y, **parameters)


class TestBalancedContexts:
    y = np.random.default_rng(1).permutation(["a"] * 50 + ["b"] * 9 + ["c"] * 6)

    def balanced(self, k, n_repeats=5, **options):
        return nested_contexts(self.y, k, n_repeats, stratify="balanced", **options)

    def test_equally_many_rows_of_each_class_and_all_of_the_smaller_contexts(self):
        for context in self.balanced(range(1, 66), 20):
            assert list(context) == list(range(3, 21)), "the rarest class has 6 rows, enough for up to 20"
            before = np.array([], dtype=int)
            for k, rows in context.items():
                assert len(set(rows.tolist())) == len(rows) == k // 3 * 3
                counts = np.unique(self.y[rows], return_counts=True)[1]
                assert counts.tolist() == [k // 3] * 3
                np.testing.assert_array_equal(rows[: len(before)], before)
                before = rows

    def test_rows_of_a_class_are_drawn_evenly(self):
        rows = np.concatenate([context[9] for context in self.balanced([9], 4000)])
        counts = np.bincount(rows, minlength=65)
        for name in "abc":
            of_class = counts[self.y == name]
            assert np.abs(of_class - of_class.mean()).max() < 5 * np.sqrt(of_class.mean())

    def test_they_are_the_first_rows_of_each_class_in_the_natural_order(self):
        for order, context in zip(orders_of_rows(self.y, 3, 7, False), self.balanced([12], 3, random_state=7)):
            for name in "abc":
                of_class = [row for row in context[12] if self.y[row] == name]
                assert of_class == order[self.y[order] == name][:4].tolist()

    def test_min_per_class_counts_rows_of_each_class(self):
        assert list(self.balanced([3, 5, 6, 8], min_per_class=2)[0]) == [6, 8]

    def test_a_class_with_too_few_rows_is_named(self):
        with pytest.raises(ValueError, match="to 65, and equally many of each class at most 6, all rows of 'c', got"):
            self.balanced([21, 30])


class TestOrdersAndQueries:
    @pytest.mark.parametrize("stratify", [False, True])
    def test_an_order_has_every_row_once_and_begins_with_the_contexts(self, stratify):
        y = np.random.default_rng(0).integers(5, size=60)
        contexts = nested_contexts(y, [5, 30], 3, 7, stratify=stratify)
        for order, context in zip(orders_of_rows(y, 3, 7, stratify), contexts, strict=True):
            assert sorted(order) == list(range(60))
            for k, rows in context.items():
                np.testing.assert_array_equal(order[:k], rows)

    def test_queries_are_distinct_sorted_and_their_repeats_differ(self):
        drawn = drawn_queries(100, 30, 4, 0)
        for rows in drawn:
            assert len(set(rows.tolist())) == 30
            assert rows.tolist() == sorted(rows)
        assert len({tuple(rows) for rows in drawn}) == 4
        np.testing.assert_array_equal(drawn_queries(100, 30, 2, 0), drawn[:2])

    @pytest.mark.parametrize("n_queries", [None, 100, 1000])
    def test_all_rows_are_all_rows(self, n_queries):
        for rows in drawn_queries(100, n_queries, 2, 0):
            np.testing.assert_array_equal(rows, np.arange(100))

    @pytest.mark.parametrize("value", [True, 1.0, "1", -1, None])
    def test_counts_are_whole_numbers(self, value):
        for name in ("n_repeats", "min_per_class"):
            with pytest.raises(ValueError, match=f"`{name}` must be an integer of at least 1, got"):
                nested_contexts(["a", "b"], 2, **{"n_repeats": 1, name: value})
        nested_contexts(["a", "b"], 2, np.int64(1))
        if value is not None:
            with pytest.raises(ValueError, match="`n_queries` must be an integer of at least 1, got"):
                drawn_queries(100, value, 2, 0)
